package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"supstream/capture"
	"supstream/catalog"
)

var _ capture.MovePublisher = (*Publisher)(nil)

// UsePersons implements capture.MovePublisher.
func (p *Publisher) UsePersons(ctx context.Context, persons *capture.Persons, today capture.Day, since uint64) error {
	m := p.moves
	if m == nil {
		return errors.New("the catalogue has no person tables")
	}
	m.persons = persons
	if len(m.days) == 0 {
		m.since = since
		m.days = []capture.DayFrom{{Day: persons.Day()}}
		if err := m.storeDays(ctx, p); err != nil {
			return err
		}
	}
	m.known = slices.DeleteFunc(slices.Clone(m.days), func(d capture.DayFrom) bool { return d.Day <= persons.Day() })
	for _, l := range p.lanes {
		if l.resume.Compare(m.stored) > 0 {
			m.stored = l.resume
		}
	}
	return p.SetDay(ctx, today)
}

// SetDay implements capture.MovePublisher.
func (p *Publisher) SetDay(ctx context.Context, day capture.Day) error {
	if err := p.Err(); err != nil {
		return err
	}
	p.moves.wanted = max(day, p.moves.wanted)
	return p.moves.reach(ctx, p, p.boundary)
}

// reach makes the day count that counts behind at, a place between
// transactions. A new day is stored before anything is routed by it, so no
// stream ever has a change from a day that the record does not have. Its moves
// come before it, in as many batches as it takes: if it is not stored, nothing
// was routed by it, and it begins anew.
func (m *moves) reach(ctx context.Context, p *Publisher, at capture.Position) error {
	for len(m.known) > 0 && m.known[0].From.Compare(at) <= 0 {
		if err := m.begin(ctx, p, m.known[0].Day, at); err != nil {
			return err
		}
		m.known = m.known[1:]
	}
	if m.wanted <= m.persons.Day() || at.Compare(m.stored) < 0 {
		return nil
	}
	if err := m.begin(ctx, p, m.wanted, at); err != nil {
		return err
	}
	m.days = append(m.days, capture.DayFrom{Day: m.wanted, From: at})
	m.days = m.days[max(0, len(m.days)-mostDays):]
	return m.storeDays(ctx, p)
}

// begin notes the moves that a day makes.
func (m *moves) begin(ctx context.Context, p *Publisher, day capture.Day, at capture.Position) error {
	owned := m.persons.Advance(day)
	for i := range owned {
		if m.lane.full(maxEventsPerChange) {
			if err := m.lane.spillAll(ctx); err != nil {
				return err
			}
		}
		if err := m.pend(p, &owned[i], at, p.now().UTC()); err != nil {
			return err
		}
	}
	m.measure(p)
	return m.lane.end(ctx)
}

// storeDays waits until the record of days is stored.
func (m *moves) storeDays(ctx context.Context, p *Publisher) error {
	r := dayRecord{Since: m.since}
	for _, d := range m.days {
		r.Days = append(r.Days, dayFrom{d.Day.String(), d.From})
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("record of the day: %w", err)
	}
	m.lane.add(p.boundary, movesDay, data, recordHeader)
	return p.storeNow(ctx, m.lane)
}

// storeNow ends what a lane has at hand and waits until it is stored.
func (p *Publisher) storeNow(ctx context.Context, l *lane) error {
	if err := l.end(ctx); err != nil {
		return err
	}
	if err := l.commit(ctx, l.openPosition()); err != nil {
		return err
	}
	return p.await(ctx, l, 0)
}

// MovesPosition implements capture.MovePublisher.
func (p *Publisher) MovesPosition() capture.Position {
	if p.moves == nil {
		return capture.Position{}
	}
	return p.moves.lane.resume
}

// PendingMoves implements capture.MovePublisher. There are none before the
// changes that are stored already have been seen again.
func (p *Publisher) PendingMoves(most int) (list []capture.Move) {
	if p.boundary.Compare(p.moves.stored) < 0 {
		return nil
	}
	for _, move := range p.moves.order {
		if len(list) == most {
			break
		}
		if len(list) == 0 || list[0].Via == move.via {
			list = append(list, capture.Move{Via: move.via, Person: move.person, Version: move.version})
		}
	}
	return list
}

// FinishMoves implements capture.MovePublisher. A move is over only when no
// change from before can come again: then it would have to be routed as in the
// move. So first every stream that may have rows of the persons is brought up
// to the boundary.
func (p *Publisher) FinishMoves(ctx context.Context, list []capture.Move) error {
	if err := p.Err(); err != nil {
		return err
	}
	m := p.moves
	lanes := []*lane{p.held.lane}
	for _, t := range p.cfg.Catalog.ViaTables(list[0].Via) {
		if l := p.byArea[t.Area]; !slices.Contains(lanes, l) {
			lanes = append(lanes, l)
		}
	}
	for _, l := range lanes {
		if err := l.commit(ctx, l.openPosition()); err != nil {
			return err
		}
	}
	for _, l := range lanes {
		if err := p.await(ctx, l, 0); err != nil {
			return err
		}
	}
	over := map[*pendingMove]bool{}
	for _, done := range list {
		move := m.pending[done.Via][done.Person]
		if move == nil || move.version != done.Version {
			continue // the person has moved again
		}
		if m.lane.full(maxEventsPerChange) {
			if err := m.lane.spillAll(ctx); err != nil {
				return err
			}
		}
		m.lane.add(p.boundary, m.subject(p, move), []byte("{}"), releasedHeader)
		delete(m.pending[done.Via], done.Person)
		over[move] = true
	}
	m.order = slices.DeleteFunc(m.order, func(move *pendingMove) bool { return over[move] })
	m.measure(p)
	return m.lane.end(ctx)
}

// owners is the routing of a row by what is known now.
func (p *Publisher) owners(t *catalog.Table, row catalog.Row) catalog.Owners {
	if p.moves == nil || p.moves.persons == nil {
		return p.cfg.Catalog.OwnersVia(t, row, nil)
	}
	return p.cfg.Catalog.OwnersVia(t, row, p.moves.persons)
}

// moving is the move that may leave a row with old owners on the axis of
// t.Owners[i]; nil: there is none.
func (p *Publisher) moving(t *catalog.Table, i int, row catalog.Row) *pendingMove {
	o := &t.Owners[i]
	if p.moves == nil || o.Via == nil || !t.Concerns(i, row) {
		return nil
	}
	move := p.moves.of(o.Via, t.Person(i, row))
	if move == nil || !move.axes[o.Axis-1] {
		return nil
	}
	return move
}

// leave tells the old owners of a row that a move left it with that they have
// it no longer. It says nothing of what became of it.
func (p *Publisher) leave(l *lane, t *catalog.Table, row catalog.Row, but ...catalog.Owners) error {
	for i := range t.Owners {
		move := p.moving(t, i, row)
		if move == nil {
			continue
		}
		if _, born := move.born[bornRow{t, keyHash(p.enc.hash[:keyHashLen])}]; born {
			continue
		}
		for _, b := range move.olds {
			if b.Axis != t.Owners[i].Axis || slices.ContainsFunc(but, func(o catalog.Owners) bool { return o.Has(b) }) {
				continue
			}
			if err := p.event(l, b, OpScopeOut); err != nil {
				return err
			}
		}
	}
	return nil
}

// viaEvents is events for a table that finds owners via a person table. While a
// move is pending, a row may be with the owners of before, and the owner of now
// may not have it yet.
func (p *Publisher) viaEvents(l *lane, c *capture.Change) error {
	t := c.Table
	before, after := p.owners(t, c.Old), p.owners(t, c.New)
	for i := range before.Len() {
		op := OpScopeOut
		if c.Op == capture.Delete {
			op = OpDelete
		}
		if b := before.At(i); !after.Has(b) {
			if err := p.event(l, b, op); err != nil {
				return err
			}
		}
	}
	if err := p.leave(l, t, c.Old, before, after); err != nil {
		return err
	}
	for i := range after.Len() {
		b := after.At(i)
		op := OpScopeIn
		switch {
		case c.Op == capture.Read:
			op = OpRead
		case c.Op == capture.Insert:
			op = OpInsert
		case before.Has(b) && !p.arriving(t, b.Axis, c.Old):
			op = OpUpdate
		}
		if err := p.event(l, b, op); err != nil {
			return err
		}
	}
	if c.Op == capture.Insert {
		p.born(t, c.New)
	}
	return p.held.route(p, c, p.held.has(t, keyHash(p.enc.hash[:keyHashLen])), after.Held())
}

// arriving tells whether the owner of a row on an axis may not have it yet.
func (p *Publisher) arriving(t *catalog.Table, a catalog.Axis, row catalog.Row) bool {
	for i := range t.Owners {
		if t.Owners[i].Axis == a && p.moving(t, i, row) != nil {
			return true
		}
	}
	return false
}

// born notes a row that is inserted while its person moves.
func (p *Publisher) born(t *catalog.Table, row catalog.Row) {
	for i := range t.Owners {
		if t.Owners[i].Via == nil || p.moves == nil {
			continue
		}
		if move := p.moves.of(t.Owners[i].Via, t.Person(i, row)); move != nil {
			if move.born == nil {
				move.born = map[bornRow]struct{}{}
			}
			move.born[bornRow{t, keyHash(p.enc.hash[:keyHashLen])}] = struct{}{}
		}
	}
}

// publishMoved stores rows of persons that moved: out of the scope of those who
// owned them, into that of those who do. It may take several batches: until
// FinishMoves all of it may come again.
func (p *Publisher) publishMoved(ctx context.Context, l *lane, c *capture.Chunk) error {
	change := capture.Change{Table: c.Table, Op: capture.Read, Position: p.boundary, CommitTime: c.Time}
	for _, row := range c.Rows {
		change.New = row
		if l.n+p.most(&capture.Change{Table: c.Table, Old: row}) >= p.cfg.BatchEvents {
			if err := p.endMoved(ctx, l, c.Table); err != nil {
				return err
			}
		}
		p.part = l.part
		if err := p.enc.begin(&change); err != nil {
			return err
		}
		if err := p.movedRow(l, &change); err != nil {
			return err
		}
		l.part = p.part
		if err := l.sendEvents(len(l.tx.events)); err != nil {
			return err
		}
	}
	if err := p.held.store(ctx, p); err != nil {
		return err
	}
	if l.n == 0 {
		return nil
	}
	return p.endMoved(ctx, l, c.Table)
}

func (p *Publisher) movedRow(l *lane, c *capture.Change) error {
	t := c.Table
	now := p.owners(t, c.New)
	if err := p.leave(l, t, c.New, now); err != nil {
		return err
	}
	for i := range now.Len() {
		if b := now.At(i); p.arriving(t, b.Axis, c.New) {
			if err := p.event(l, b, OpScopeIn); err != nil {
				return err
			}
		}
	}
	return p.held.route(p, c, p.held.has(t, keyHash(p.enc.hash[:keyHashLen])), now.Held())
}

// endMoved ends a batch of moved rows. The parts they used up must not be used
// again, so they are stored with the back-fill's progress, which does not change.
func (p *Publisher) endMoved(ctx context.Context, l *lane, t *catalog.Table) error {
	if l.n == 0 {
		return nil
	}
	r := l.loads[t.Slug]
	r.Part = l.part
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("back-fill record: %w", err)
	}
	if err := l.send(loadSubject(l.slug, t.Slug), data, recordHeader); err != nil {
		return err
	}
	return l.commit(ctx, p.boundary)
}

// oldestMove is the age of the oldest move.
func (m *Metrics) oldestMove() float64 {
	at := m.movesOldest.Load()
	if at == 0 {
		return 0
	}
	return max(0, time.Since(time.Unix(0, at)).Seconds())
}
