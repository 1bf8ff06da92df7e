package capture

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// Scanner reads whole tables for a comparison, each in one snapshot. It is
// used by one goroutine.
type Scanner struct{ loader *loader }

// OpenScanner connects with the settings of capture, so that values look as in
// the stream.
func OpenScanner(ctx context.Context, cfg *pgx.ConnConfig) (*Scanner, error) {
	conn, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	l, err := newLoader(ctx, conn)
	if err != nil {
		conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return &Scanner{l}, nil
}

// Close closes the connection.
func (s *Scanner) Close(ctx context.Context) error { return s.loader.conn.Close(ctx) }

// Position is the end of the log now.
func (s *Scanner) Position(ctx context.Context) (uint64, error) { return s.loader.position(ctx) }

// Look says which changes a scan has seen.
type Look struct {
	Begin, End uint64 // of the log: before the snapshot was taken, and after
	Rows       int64  // read, drafts and rows without an owner too
	snapshot   snapshot
}

// Sees reports whether the scan has seen what a committed transaction did.
func (l *Look) Sees(xid uint32) bool { return l.snapshot.sees(xid) }

// Open reports whether a transaction had not ended when the scan began.
func (l *Look) Open(xid uint32) bool {
	return xid != 0 && slices.ContainsFunc(l.snapshot.running, func(running uint64) bool { return uint32(running) == xid })
}

// Scan calls yield for every row of a table in no particular order, with the
// transaction that has deleted, replaced or locked it since, 0 if none has. The
// row is valid during the call. Memory does not grow with the table. counted
// may be nil; it is given the rows of each owner as Postgres counts them in the
// same snapshot, see ownersSQL.
func (s *Scanner) Scan(ctx context.Context, t *catalog.Table, yield func(row catalog.Row, xmax uint32) error,
	counted func(a catalog.Axis, code []byte, rows int64)) (*Look, error) {
	look := &Look{}
	wrap := func(err error) (*Look, error) { return nil, fmt.Errorf("table %s: compare: %w", t, withoutValues(err)) }
	var err error
	if look.Begin, err = s.loader.position(ctx); err != nil {
		return wrap(err)
	}
	tx, err := s.loader.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return wrap(err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // nothing was written
	// Before the snapshot, as in a back-fill: a truncate does not care for snapshots.
	if _, err := tx.Exec(ctx, "LOCK TABLE "+t.SQL()+" IN ACCESS SHARE MODE"); err != nil {
		return wrap(err)
	}
	var snap string
	if err := tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text").Scan(&snap); err != nil {
		return wrap(err)
	}
	if look.snapshot, err = parseSnapshot(snap); err != nil {
		return wrap(err)
	}
	if look.Rows, err = scanRows(ctx, tx, t, yield); err != nil {
		return wrap(err)
	}
	if counted != nil {
		if err := countOwners(ctx, tx, t, look.Rows, counted); err != nil {
			return wrap(err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return wrap(err)
	}
	if look.End, err = s.loader.position(ctx); err != nil {
		return wrap(err)
	}
	return look, nil
}

func scanRows(ctx context.Context, tx pgx.Tx, t *catalog.Table, yield func(catalog.Row, uint32) error) (n int64, err error) {
	var names []string
	for _, c := range t.Columns {
		names = append(names, catalog.QuoteIdentifier(c.Name))
	}
	ctx, cancel := context.WithCancel(ctx) // an error of yield ends the query
	defer cancel()
	res := tx.Conn().PgConn().ExecParams(ctx, fmt.Sprintf("SELECT %s, xmax FROM %s", strings.Join(names, ", "), t.SQL()), nil, nil, nil, nil)
	row := make(catalog.Row, len(t.Columns))
	for res.NextRow() {
		values := res.Values()
		for i := range row {
			row[i] = textValue(values[i])
		}
		xmax, perr := strconv.ParseUint(string(values[len(row)]), 10, 32)
		if perr != nil {
			err = fmt.Errorf("xmax is not a number")
		} else {
			err = yield(row, uint32(xmax))
		}
		if err != nil {
			cancel()
			res.Close() // fails because of that
			return n, err
		}
		n++
	}
	_, err = res.Close()
	return n, err
}

// countOwners counts a second time what a scan has read, in the database.
func countOwners(ctx context.Context, tx pgx.Tx, t *catalog.Table, read int64, counted func(catalog.Axis, []byte, int64)) error {
	var all int64
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+t.SQL()).Scan(&all); err != nil {
		return err
	}
	if all != read {
		return fmt.Errorf("read %d rows of %d", read, all)
	}
	axes := []catalog.Owner{{Axis: catalog.Alle}}
	if !t.Everybody {
		axes = t.Owners
	}
	for _, o := range axes {
		rows, err := tx.Query(ctx, ownersSQL(t, o))
		if err != nil {
			return err
		}
		var code []byte
		var n int64
		if _, err := pgx.ForEachRow(rows, []any{&code, &n}, func() error {
			counted(o.Axis, code, n)
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// ownersSQL counts the rows of each code on an axis: not drafts, and what the
// axis' filter lets pass. It says in SQL what Catalog.Owners says in Go, so
// that neither is wrong alone without notice.
func ownersSQL(t *catalog.Table, o catalog.Owner) string {
	where := []string{"true"}
	if t.Draft != nil {
		col := catalog.QuoteIdentifier(t.Columns[t.Draft.Column].Name)
		where = append(where, fmt.Sprintf("%s IS NOT NULL AND rtrim(%s::text, ' ') NOT IN (%s)", col, col, literals(t.Draft.In)))
	}
	if o.Axis == catalog.Alle {
		return fmt.Sprintf("SELECT ''::text, count(*) FROM %s WHERE %s", t.SQL(), strings.Join(where, " AND "))
	}
	col := catalog.QuoteIdentifier(t.Columns[o.Column].Name)
	where = append(where, col+" IS NOT NULL")
	if o.Only != nil {
		only := catalog.QuoteIdentifier(t.Columns[o.Only.Column].Name)
		where = append(where, fmt.Sprintf("rtrim(%s::text, ' ') IN (%s)", only, literals(o.Only.In)))
	}
	return fmt.Sprintf("SELECT rtrim(ltrim(%s::text, ' 0'), ' '), count(*) FROM %s WHERE %s GROUP BY 1", col, t.SQL(), strings.Join(where, " AND "))
}

func literals(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	return strings.Join(quoted, ", ")
}
