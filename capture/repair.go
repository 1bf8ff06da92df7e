package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// Mend is a row of a Bruger whose state is published anew: what the mirror has
// of it, or that the Bruger has it no longer.
type Mend struct {
	Bruger catalog.Bruger
	Key    catalog.Row // the key's columns are set, no others
	Row    catalog.Row // as it was read; nil: the mirror does not have it
}

// ErrNotCapturing: this process does not have the slot now.
var ErrNotCapturing = errors.New("this process does not capture now")

// Repair reads rows of a table again and publishes them as they are, in order
// with all other changes: like a chunk of a back-fill, they are read in a
// snapshot while the table is watched, and those that a later change has
// overtaken are left out. So it does no harm to rows that were right, and it
// may be done again after a crash. It returns how many events it published.
func (c *Capturer) Repair(ctx context.Context, t *catalog.Table, rows []Mend) (int, error) {
	p := c.live.Load()
	if p == nil {
		return 0, ErrNotCapturing
	}
	conn, err := connect(ctx, c.cfg.Postgres)
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	l, err := newLoader(ctx, conn)
	if err != nil {
		return 0, err
	}
	published := 0
	for len(rows) > 0 {
		w := newWatch(t)
		if err := p.do(ctx, func() { p.watches = append(p.watches, w) }); err != nil {
			return published, err
		}
		limit := min(len(rows), p.pub.ChunkRows())
		read, took, err := l.readAgain(ctx, t, rows[:limit])
		if err != nil {
			read = &chunkRead{chunk: Chunk{Table: t, Mends: []Mend{}}}
		}
		// Whatever happened, the watch must not hold up others behind it.
		if err := errors.Join(err, p.do(context.WithoutCancel(ctx), func() { w.read = read })); err != nil {
			return published, err
		}
		done, err := w.wait(ctx, p)
		if err != nil {
			return published, err
		}
		if done {
			published += len(read.chunk.Mends)
			rows = rows[took:]
		}
	}
	return published, nil
}

// readAgain reads rows by their keys, as many as fit into a chunk.
func (l *loader) readAgain(ctx context.Context, t *catalog.Table, rows []Mend) (r *chunkRead, took int, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("table %s: repair: %w", t, withoutValues(err))
		}
	}()
	tx, err := l.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, 0, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // nothing was written
	if _, err := tx.Exec(ctx, "LOCK TABLE "+t.SQL()+" IN ACCESS SHARE MODE"); err != nil {
		return nil, 0, err
	}
	var snap string
	r = &chunkRead{chunk: Chunk{Table: t, Mends: []Mend{}}}
	if err := tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text, clock_timestamp()").Scan(&snap, &r.chunk.Time); err != nil {
		return nil, 0, err
	}
	r.chunk.Time = r.chunk.Time.UTC()
	if r.snapshot, err = parseSnapshot(snap); err != nil {
		return nil, 0, err
	}
	size := 0
	for _, m := range rows {
		if m.Row, err = readRow(ctx, tx, t, m.Key); err != nil {
			return nil, 0, err
		}
		for _, v := range m.Row {
			size += len(v.Text)
		}
		r.chunk.Mends = append(r.chunk.Mends, m)
		if took++; size > chunkBytes {
			break
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, 0, err
	}
	r.end, err = l.position(ctx)
	return r, took, err
}

// readRow reads one row, nil when there is none with exactly this key: equal
// values may have other texts (1.0 and 1.00), and those are other rows to
// receivers.
func readRow(ctx context.Context, tx pgx.Tx, t *catalog.Table, key catalog.Row) (catalog.Row, error) {
	var names, where []string
	var args [][]byte
	for _, c := range t.Columns {
		names = append(names, catalog.QuoteIdentifier(c.Name))
	}
	for n, at := range t.Key {
		where = append(where, fmt.Sprintf("%s = $%d", names[at], n+1))
		args = append(args, key[at].Text)
	}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(names, ", "), t.SQL(), strings.Join(where, " AND "))
	res := tx.Conn().PgConn().ExecParams(ctx, sql, args, nil, nil, nil).Read()
	if res.Err != nil {
		return nil, res.Err
	}
	if len(res.Rows) != 1 {
		return nil, nil
	}
	row := make(catalog.Row, len(t.Columns))
	for i, b := range res.Rows[0] {
		row[i] = textValue(b)
	}
	if rowKey(t, row) != rowKey(t, key) {
		return nil, nil
	}
	return row, nil
}

// restMends drops the rows that a later change has overtaken.
func (w *watch) restMends() []Mend {
	unseen := func(xid uint32) bool { return !w.read.snapshot.sees(xid) }
	if slices.ContainsFunc(w.truncated, unseen) {
		return []Mend{}
	}
	return slices.DeleteFunc(w.read.chunk.Mends, func(m Mend) bool {
		key := rowKey(w.table, m.Key)
		last, ok := w.changed[key]
		return ok && (unseen(last) || slices.ContainsFunc(w.older[key], unseen))
	})
}
