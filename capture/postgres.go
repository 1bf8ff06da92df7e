package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"supstream/catalog"
)

// pinned are the session settings that decide how values look as text. They
// are set for the replication connection and for loads alike, so that settings
// of the database, the role or the server change nothing.
func pinned() map[string]string {
	return map[string]string{
		"application_name":   "supstream",
		"client_encoding":    "UTF8",
		"datestyle":          "ISO, YMD",
		"timezone":           "UTC",
		"intervalstyle":      "iso_8601",
		"extra_float_digits": "1",
		"bytea_output":       "hex",
		"lc_monetary":        "C",
		"xmloption":          "content",
	}
}

// connect opens an ordinary connection with the pinned settings.
func connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	cfg = cfg.Copy()
	for k, v := range pinned() {
		cfg.RuntimeParams[k] = v
	}
	cfg.RuntimeParams["row_security"] = "off"    // an error, not an empty load
	cfg.RuntimeParams["statement_timeout"] = "0" // chunks are small; a slow disk is no error
	cfg.RuntimeParams["idle_session_timeout"] = "0"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, connectError("connect to postgres", err)
	}
	return conn, nil
}

// ConnectError is a connection that did not come about.
type ConnectError struct {
	Step     string
	Err      error
	Fix      string
	Answered bool // Postgres was there and refused
}

func (e *ConnectError) Error() string { return fmt.Sprintf("%s: %v: %s", e.Step, e.Err, e.Fix) }

func (e *ConnectError) Unwrap() error { return e.Err }

func connectError(step string, err error) error {
	e := &ConnectError{Step: step, Err: err, Fix: "does Postgres run, and is postgres.url its address?"}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return e
	}
	e.Answered = true
	switch pg.Code {
	case "28P01":
		e.Fix = "set the password in postgres.password_file or SUPSTREAM_POSTGRES_PASSWORD"
	case "28000":
		e.Fix = "the role must exist and be allowed to log in from here (pg_hba.conf)"
	case "3D000":
		e.Fix = "is the database in postgres.url the mirror?"
	case "53300":
		e.Fix = "set max_connections to a larger number, then restart Postgres"
	default:
		e.Fix = "see the log of Postgres"
	}
	return e
}

// connectReplication opens a replication connection with the pinned settings.
func connectReplication(ctx context.Context, cfg *pgx.ConnConfig) (*pgconn.PgConn, error) {
	c := cfg.Config.Copy()
	for k, v := range pinned() {
		c.RuntimeParams[k] = v
	}
	c.RuntimeParams["replication"] = "database"
	c.BuildFrontend = newGatheringFrontend
	// The receiver answers every second whatever happens behind it. When it
	// does not, the process hangs, and another should get the slot soon.
	c.RuntimeParams["wal_sender_timeout"] = "15s"
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return nil, connectError("open replication connection", err)
	}
	return conn, nil
}

// typeNamer looks type names up and remembers them.
func typeNamer(conn *pgx.Conn) func(ctx context.Context, oid uint32, modifier int32) (string, error) {
	type key struct {
		oid      uint32
		modifier int32
	}
	names := map[key]string{}
	return func(ctx context.Context, oid uint32, modifier int32) (string, error) {
		k := key{oid, modifier}
		if name, ok := names[k]; ok {
			return name, nil
		}
		var name string
		if err := conn.QueryRow(ctx, "SELECT format_type($1, $2)", oid, modifier).Scan(&name); err != nil {
			return "", fmt.Errorf("look up type %d: %w", oid, err)
		}
		names[k] = name
		return name, nil
	}
}

// rereader fills values that Postgres left out of an update because they are
// large and did not change, where the old row does not have them either. It
// takes them from the row as it is now: if that is newer, the change that made
// it so follows. If the row is gone, or has other owners by now, who alone may
// see what it holds, the columns stay out; its delete or its move follows.
func rereader(conn *pgx.Conn) func(ctx context.Context, t *catalog.Table, row catalog.Row) error {
	return func(ctx context.Context, t *catalog.Table, row catalog.Row) error {
		var names []string
		var at []int
		for i, v := range row {
			if v.Kind == catalog.Unchanged {
				names, at = append(names, catalog.QuoteIdentifier(t.Columns[i].Name)), append(at, i)
			}
		}
		routing := t.Routing()
		for _, i := range routing {
			names = append(names, catalog.QuoteIdentifier(t.Columns[i].Name))
		}
		var where []string
		var args [][]byte
		for n, i := range t.Key {
			if row[i].Kind != catalog.Text {
				return fmt.Errorf("table %s: a column of the key was not sent and cannot be looked up", t)
			}
			where = append(where, fmt.Sprintf("%s = $%d", catalog.QuoteIdentifier(t.Columns[i].Name), n+1))
			args = append(args, row[i].Text)
		}
		sql := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(names, ", "), t.SQL(), strings.Join(where, " AND "))
		res := conn.PgConn().ExecParams(ctx, sql, args, nil, nil, nil).Read()
		if res.Err != nil {
			return fmt.Errorf("table %s: read large values again: %w", t, withoutValues(res.Err))
		}
		if len(res.Rows) != 1 {
			return nil
		}
		for n, i := range routing {
			if now := textValue(res.Rows[0][len(at)+n]); now.Kind != row[i].Kind || !bytes.Equal(now.Text, row[i].Text) {
				return nil
			}
		}
		for n, i := range at {
			row[i] = textValue(res.Rows[0][n])
		}
		return nil
	}
}

// withoutValues takes the message from an error of Postgres that is about a
// value: it may quote it.
func withoutValues(err error) error {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !strings.HasPrefix(pg.Code, "22") {
		return err
	}
	return &pgconn.PgError{Severity: pg.Severity, Code: pg.Code, Message: "a value was refused; the message may quote it and is left out"}
}

func textValue(b []byte) catalog.Value {
	if b == nil {
		return catalog.Value{Kind: catalog.Null}
	}
	return catalog.Value{Kind: catalog.Text, Text: b}
}
