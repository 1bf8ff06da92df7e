package capture

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
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

	table *catalog.Table // the last one read
	fit   int            // rows of it that are likely to fit into chunkBytes
}

// chunkBytes bounds the values of a chunk, but for its last row.
const chunkBytes = 4 << 20

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

// read reads up to limit rows behind state.After that pass the filter.
func (l *loader) read(ctx context.Context, t *catalog.Table, f filter, state LoadState, limit int) (*chunkRead, error) {
	tx, err := l.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // nothing was written
	// The lock comes before the snapshot: a table that is rewritten in between
	// would look empty, and its back-fill would seem to have ended.
	if _, err := tx.Exec(ctx, "LOCK TABLE "+t.SQL()+" IN ACCESS SHARE MODE"); err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	var snap string
	var at time.Time
	if err := tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text, clock_timestamp()").Scan(&snap, &at); err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	r := &chunkRead{chunk: Chunk{Table: t, Time: at.UTC(), State: state}}
	if r.snapshot, err = parseSnapshot(snap); err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	if l.table != t {
		l.table, l.fit = t, limit
	}
	cut, err := r.rows(ctx, tx, f, min(limit, l.fit))
	if err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, withoutValues(err))
	}
	l.fit = min(limit, 2*l.fit)
	if cut {
		l.fit = len(r.chunk.Rows)
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	if r.end, err = l.position(ctx); err != nil {
		return nil, fmt.Errorf("table %s: back-fill: %w", t, err)
	}
	return r, nil
}

// rows reads up to limit rows and chunkBytes. It reports whether it left out
// rows because of the latter.
func (r *chunkRead) rows(ctx context.Context, tx pgx.Tx, f filter, limit int) (cut bool, err error) {
	t := r.chunk.Table
	var names, key []string
	for _, c := range t.Columns {
		names = append(names, catalog.QuoteIdentifier(c.Name))
	}
	for _, at := range t.Key {
		key = append(key, catalog.QuoteIdentifier(t.Columns[at].Name))
	}
	order := strings.Join(key, ", ")
	var upTo []string // the last key looked at; nil: the end of the table
	if f.scan > 0 {
		where, args := behind(order, r.chunk.State.After, " > ", nil)
		sql := fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s OFFSET %d LIMIT 1", order, t.SQL(), join(where), order, f.scan-1)
		res := tx.Conn().PgConn().ExecParams(ctx, sql, args, nil, nil, nil).Read()
		if res.Err != nil {
			return false, res.Err
		}
		for _, row := range res.Rows {
			for _, v := range row {
				upTo = append(upTo, string(v))
			}
		}
	}
	where, args := behind(order, r.chunk.State.After, " > ", f.args)
	if upTo != nil {
		var end string
		end, args = behind(order, upTo, " <= ", args)
		where = strings.Join(slices.DeleteFunc([]string{where, end}, isEmpty), " AND ")
	}
	sql := fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s LIMIT %d", strings.Join(names, ", "), t.SQL(), join(f.where, where), order, limit)
	res := tx.Conn().PgConn().ExecParams(ctx, sql, args, nil, nil, nil)
	size := 0
	for res.NextRow() {
		if size > chunkBytes {
			cut = true
			continue
		}
		row := make(catalog.Row, len(t.Columns))
		for i, b := range res.Values() {
			size += len(b)
			row[i] = textValue(bytes.Clone(b))
		}
		r.chunk.Rows = append(r.chunk.Rows, row)
	}
	if _, err := res.Close(); err != nil {
		return false, err
	}
	state, n := &r.chunk.State, len(r.chunk.Rows)
	state.Rows += int64(n)
	state.Done = n < limit && !cut
	if n > 0 {
		state.After = nil
		for _, at := range t.Key {
			state.After = append(state.After, string(r.chunk.Rows[n-1][at].Text))
		}
	}
	if state.Done && upTo != nil { // the rows looked at, not the table
		state.After, state.Done = upTo, false
	}
	if state.Done {
		state.After = nil
	}
	return cut, nil
}

// behind is the condition that a key compares to values as op says, and the
// arguments with the values behind them. Without values it is empty.
func behind(key string, values []string, op string, args [][]byte) (string, [][]byte) {
	if values == nil {
		return "", args
	}
	var params []string
	for _, v := range values {
		args = append(slices.Clip(args), []byte(v))
		params = append(params, fmt.Sprintf("$%d", len(args)))
	}
	return fmt.Sprintf("(%s)%s(%s)", key, op, strings.Join(params, ", ")), args
}

// join makes a WHERE of the conditions that are not empty.
func join(conditions ...string) string {
	conditions = slices.DeleteFunc(conditions, isEmpty)
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

func isEmpty(s string) bool { return s == "" }

// settle waits until every transaction that is open now has ended. The stream
// lacks what a transaction did to a table before the table joined the
// publication, and what was streamed to an earlier process may not be visible
// yet (with synchronous replication, for long); a read after this sees both.
func (l *loader) settle(ctx context.Context, log *slog.Logger) error {
	// The end of a snapshot lies behind those that are over, and may lie in
	// front of some that are open; a number taken now lies behind all. A
	// standby, which gives none, streams nothing that is not visible there.
	var next string
	if err := l.conn.QueryRow(ctx, `
		SELECT CASE WHEN pg_is_in_recovery() THEN pg_snapshot_xmax(pg_current_snapshot()) ELSE pg_current_xact_id() END::text`).Scan(&next); err != nil {
		return fmt.Errorf("read open transactions: %w", err)
	}
	for told := false; ; told = true {
		var over bool
		if err := l.conn.QueryRow(ctx, "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8", next).Scan(&over); err != nil {
			return fmt.Errorf("read open transactions: %w", err)
		}
		if over {
			return nil
		}
		if !told {
			log.Info("the back-fill waits for transactions that were open before it (pg_stat_activity, pg_prepared_xacts)")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery):
		}
	}
}

const settleEvery = 100 * time.Millisecond

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
