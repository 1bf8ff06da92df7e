package capture

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// loader reads a table in chunks, in key order, each with its own short
// transaction. It knows nothing of the stream; see backfill.
type loader struct {
	conn    *pgx.Conn
	walPage uint64
}

// chunkRead is a chunk and what is needed to order it against live changes.
type chunkRead struct {
	chunk    Chunk
	snapshot snapshot
	end      uint64 // everything the chunk has seen was committed before it
}

func newLoader(ctx context.Context, conn *pgx.Conn) (*loader, error) {
	var page int64
	if err := conn.QueryRow(ctx, "SELECT current_setting('wal_block_size')::bigint").Scan(&page); err != nil {
		return nil, fmt.Errorf("read wal_block_size: %w", err)
	}
	return &loader{conn: conn, walPage: uint64(page)}, nil
}

// read reads up to limit rows behind state.After.
func (l *loader) read(ctx context.Context, t *catalog.Table, state LoadState, limit int) (*chunkRead, error) {
	tx, err := l.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // nothing was written
	var snap string
	var at time.Time
	if err := tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text, clock_timestamp()").Scan(&snap, &at); err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	r := &chunkRead{chunk: Chunk{Table: t, Time: at.UTC(), State: state}}
	if r.snapshot, err = parseSnapshot(snap); err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	if err := r.rows(ctx, tx, limit); err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	if r.end, err = l.position(ctx); err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	return r, nil
}

func (r *chunkRead) rows(ctx context.Context, tx pgx.Tx, limit int) error {
	t := r.chunk.Table
	var names, key, params []string
	for _, c := range t.Columns {
		names = append(names, catalog.QuoteIdentifier(c.Name))
	}
	for i, at := range t.Key {
		key = append(key, catalog.QuoteIdentifier(t.Columns[at].Name))
		params = append(params, fmt.Sprintf("$%d", i+1))
	}
	where, args := "", [][]byte(nil)
	if r.chunk.State.After != nil {
		where = fmt.Sprintf("WHERE (%s) > (%s)", strings.Join(key, ", "), strings.Join(params, ", "))
		for _, v := range r.chunk.State.After {
			args = append(args, []byte(v))
		}
	}
	sql := fmt.Sprintf("SELECT %s FROM %s %s ORDER BY %s LIMIT %d",
		strings.Join(names, ", "), t.SQL(), where, strings.Join(key, ", "), limit)
	res := tx.Conn().PgConn().ExecParams(ctx, sql, args, nil, nil, nil).Read()
	if res.Err != nil {
		return res.Err
	}
	state := &r.chunk.State
	for _, cols := range res.Rows {
		row := make(catalog.Row, len(cols))
		for i, b := range cols {
			row[i] = textValue(b)
		}
		r.chunk.Rows = append(r.chunk.Rows, row)
	}
	state.Rows += int64(len(res.Rows))
	state.Done = len(res.Rows) < limit
	if n := len(r.chunk.Rows); n > 0 {
		state.After = nil
		for _, at := range t.Key {
			state.After = append(state.After, string(r.chunk.Rows[n-1][at].Text))
		}
	}
	if state.Done {
		state.After = nil
	}
	return nil
}

// position is the end of the log now. At the start of a page the insert
// position lies behind the page's header, which an idle server never reports
// as read; the page itself is then the end.
func (l *loader) position(ctx context.Context) (uint64, error) {
	var lsn pglogrepl.LSN
	err := l.conn.QueryRow(ctx, `
		SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text`).Scan(&lsn)
	if err != nil {
		return 0, fmt.Errorf("read log position: %w", err)
	}
	const shortHeader, longHeader = 24, 40
	if in := uint64(lsn) % l.walPage; in == shortHeader || in == longHeader {
		return uint64(lsn) - in, nil
	}
	return uint64(lsn), nil
}

// estimate is the planner's idea of the table's rows.
func (l *loader) estimate(ctx context.Context, t *catalog.Table) (rows int64, err error) {
	err = l.conn.QueryRow(ctx, "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = $1::text::regclass", t.SQL()).Scan(&rows)
	if err != nil {
		return 0, fmt.Errorf("table %s: %w", t, err)
	}
	return rows, nil
}
