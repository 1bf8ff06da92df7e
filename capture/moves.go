package capture

import (
	"context"
	"slices"
	"strings"
	"time"

	"supstream/catalog"
)

// Move is a person whose rows are to be read again because another authority
// owns them now. Version tells moves of one person apart.
type Move struct {
	Via     *catalog.Table // the person table
	Person  string
	Version uint64
}

const (
	movesAtOnce = 1000                   // persons whose rows are read together
	movesEvery  = 50 * time.Millisecond  // how often moves are looked for
	dayEvery    = 500 * time.Millisecond // how often the calendar is
)

// mover reads the rows of persons that moved and hands them to the pump, like
// a back-fill and by the same rules.
type mover struct {
	loader *loader
	pump   *pump
	pub    MovePublisher
	tables func(via *catalog.Table) []*catalog.Table
	limit  int
}

// move works on pending moves until ctx ends.
func (c *Capturer) move(ctx context.Context, p *pump, pub MovePublisher) error {
	conn, err := connect(ctx, c.cfg.Postgres)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	l, err := newLoader(ctx, conn)
	if err != nil {
		return err
	}
	if err := l.settle(ctx, c.log); err != nil {
		return err
	}
	m := &mover{loader: l, pump: p, pub: pub, tables: c.cfg.Catalog.ViaTables, limit: pub.ChunkRows()}
	if c.cfg.ChunkRows > 0 {
		m.limit = min(m.limit, c.cfg.ChunkRows)
	}
	for {
		var moves []Move
		if err := p.do(ctx, func() { moves = pub.PendingMoves(movesAtOnce) }); err != nil {
			return err
		}
		if len(moves) > 0 {
			if err := m.run(ctx, moves); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(movesEvery):
		}
	}
}

// run publishes all rows of the persons in all tables.
func (m *mover) run(ctx context.Context, moves []Move) error {
	persons := make([]string, len(moves))
	for i, move := range moves {
		persons[i] = move.Person
	}
	for _, t := range m.tables(moves[0].Via) {
		for _, column := range personColumns(t, moves[0].Via) {
			if err := m.table(ctx, t, column, persons); err != nil {
				return err
			}
		}
	}
	var failed error
	err := m.pump.do(ctx, func() { failed = m.pub.FinishMoves(ctx, moves) })
	if err == nil {
		err = failed
	}
	return err
}

// personColumns are the columns by which t finds owners via a person table:
// one, or one per axis.
func personColumns(t *catalog.Table, via *catalog.Table) (columns []int) {
	for _, o := range t.Owners {
		if o.Via == via && !slices.Contains(columns, o.Column) {
			columns = append(columns, o.Column)
		}
	}
	return columns
}

func (m *mover) table(ctx context.Context, t *catalog.Table, column int, persons []string) error {
	for state := (LoadState{}); !state.Done; {
		w := newWatch(t)
		if err := m.pump.do(ctx, func() { m.pump.watches = append(m.pump.watches, w) }); err != nil {
			return err
		}
		read, err := m.loader.readOf(ctx, t, state, m.limit, &rowsOf{column, persons})
		if err != nil {
			return err
		}
		read.chunk.Moved = true
		if err := m.pump.do(ctx, func() { w.read = read }); err != nil {
			return err
		}
		published, err := w.wait(ctx, m.pump)
		if err != nil {
			return err
		}
		if published {
			state = read.chunk.State
		}
	}
	return nil
}

// rowsOf restricts a read to rows of persons.
type rowsOf struct {
	column  int
	persons []string
}

// array is the persons as an array in the text form of Postgres.
func (r *rowsOf) array() []byte {
	b := []byte{'{'}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for i, s := range r.persons {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), escape.Replace(s)...), '"')
	}
	return append(b, '}')
}

// watchDay makes the owners of another day count when the clock of Postgres
// says that it has begun.
func (c *Capturer) watchDay(ctx context.Context, p *pump, pub MovePublisher, day Day) error {
	conn, err := connect(ctx, c.cfg.Postgres)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for {
		today, err := readDay(ctx, conn)
		if err != nil {
			return err
		}
		if today > day {
			var failed error
			if err := p.do(ctx, func() { failed = pub.SetDay(ctx, today) }); err != nil {
				return err
			}
			if failed != nil {
				return failed
			}
			day = today
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(dayEvery):
		}
	}
}
