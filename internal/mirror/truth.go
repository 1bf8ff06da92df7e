package mirror

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// The SQL here says from the catalogue, and without the router, whose a row is. Where both are wrong in the same way nothing would
// notice, so it is written in another form than the router: one condition per Bruger, evaluated by Postgres.

// TruthSQL is a query for the rows of a table that a Bruger must have now: all columns of the catalogue, in its order.
func (m *Mirror) TruthSQL(t *catalog.Table, b catalog.Bruger) string {
	return m.selectSQL(t, m.TruthWhere(t, b))
}

func (m *Mirror) selectSQL(t *catalog.Table, where string) string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = quote(c.Name)
	}
	return "SELECT " + strings.Join(names, ", ") + " FROM " + pgx.Identifier{t.Schema, t.Name}.Sanitize() + " WHERE " + where
}

// TruthWhere is the condition of TruthSQL.
func (m *Mirror) TruthWhere(t *catalog.Table, b catalog.Bruger) string {
	if !t.Area.Open() {
		return "false"
	}
	if t.Everybody {
		if b.Axis != catalog.Alle {
			return "false"
		}
		return published(t)
	}
	for _, o := range t.Owners {
		if o.Axis == b.Axis {
			return published(t) + " AND " + only(t, o) + " AND " + bare(t, o.Column) + " = " + literal(strings.TrimLeft(b.Kode, "0"))
		}
	}
	return "false"
}

// HeldSQL is a query for the rows of a table that miss an owner they ought to have, on any axis. Such a row may have an owner on the
// other axis.
func (m *Mirror) HeldSQL(t *catalog.Table) string {
	conditions := []string{"false"}
	for _, o := range t.Owners {
		if o.Hold && t.Area.Open() && !t.Everybody {
			conditions = append(conditions, only(t, o)+" AND NOT "+m.known(t, o))
		}
	}
	return m.selectSQL(t, published(t)+" AND ("+strings.Join(conditions, " OR ")+")")
}

// DraftsSQL is a query for the drafts of a table.
func (m *Mirror) DraftsSQL(t *catalog.Table) string {
	return m.selectSQL(t, "NOT "+published(t))
}

// OwnedSQL is a query for the rows of a table that somebody on the axis must have now.
func (m *Mirror) OwnedSQL(t *catalog.Table, axis catalog.Axis) string {
	where := "false"
	for _, o := range t.Owners {
		if o.Axis == axis && t.Area.Open() && !t.Everybody {
			where = published(t) + " AND " + only(t, o) + " AND " + m.known(t, o)
		}
	}
	if axis == catalog.Alle && t.Everybody && t.Area.Open() {
		where = published(t)
	}
	return m.selectSQL(t, where)
}

// published is the condition for rows that are not drafts. An unknown marker makes a draft.
func published(t *catalog.Table) string {
	if t.Draft == nil {
		return "true"
	}
	col := quote(t.Columns[t.Draft.Column].Name)
	return fmt.Sprintf("(%s IS NOT NULL AND rtrim(%s::text, ' ') NOT IN (%s))", col, col, literals(t.Draft.In))
}

// only is the condition of an axis' row filter.
func only(t *catalog.Table, o catalog.Owner) string {
	if o.Only == nil {
		return "true"
	}
	return fmt.Sprintf("coalesce(rtrim(%s::text, ' ') IN (%s), false)", quote(t.Columns[o.Only.Column].Name), literals(o.Only.In))
}

// known is the condition for rows whose code is that of some authority.
func (m *Mirror) known(t *catalog.Table, o catalog.Owner) string {
	var codes []string
	for _, b := range m.catalog.Brugere(o.Axis) {
		codes = append(codes, strings.TrimLeft(b.Kode, "0"))
	}
	if len(codes) == 0 {
		return "false"
	}
	return fmt.Sprintf("coalesce(%s IN (%s), false)", bare(t, o.Column), literals(codes))
}

// bare is a code without padding and leading zeros.
func bare(t *catalog.Table, column int) string {
	return fmt.Sprintf("rtrim(ltrim(%s::text, ' 0'), ' ')", quote(t.Columns[column].Name))
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func literals(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = literal(s)
	}
	return strings.Join(quoted, ", ")
}

// Pin sets what decides how this session writes values as text, to what the readers of this package expect.
func Pin(ctx context.Context, conn *pgx.Conn) error {
	return execute(ctx, conn, "SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; "+
		"SET extra_float_digits = 1; SET bytea_output = 'hex'; SET client_encoding = 'UTF8'; SET standard_conforming_strings = on")
}

// Truth returns the rows of a table that a Bruger must have now: row by key, both as JSON arrays of the texts that Postgres writes
// (null for null), the row with all columns in the catalogue's order. Canonical makes the same of a row in a file or an event.
func (m *Mirror) Truth(ctx context.Context, conn *pgx.Conn, t *catalog.Table, b catalog.Bruger) (map[string]string, error) {
	return m.Rows(ctx, conn, t, m.TruthSQL(t, b))
}

// Rows returns the rows of a query for all columns of a table, in the form of Truth.
func (m *Mirror) Rows(ctx context.Context, conn *pgx.Conn, t *catalog.Table, sql string) (map[string]string, error) {
	if err := Pin(ctx, conn); err != nil {
		return nil, fmt.Errorf("read table %s: %w", t, err)
	}
	rows := map[string]string{}
	result := conn.PgConn().ExecParams(ctx, sql, nil, nil, nil, nil)
	for result.NextRow() {
		values := result.Values()
		key, row := canonical(t, func(i int) (string, bool) { return string(values[i]), values[i] == nil })
		rows[key] = row
	}
	if _, err := result.Close(); err != nil {
		return nil, fmt.Errorf("read table %s: %w", t, err)
	}
	return rows, nil
}

// Digest is a fingerprint of the rows of a query that does not depend on their order: equal for equal rows.
type Digest struct {
	Rows int64
	Sum  string
}

// Digest computes the fingerprint of a query in the database.
func (m *Mirror) Digest(ctx context.Context, conn *pgx.Conn, sql string) (Digest, error) {
	var d Digest
	if err := Pin(ctx, conn); err != nil {
		return d, fmt.Errorf("digest rows: %w", err)
	}
	err := conn.QueryRow(ctx, "SELECT count(*), coalesce(sum(hashtextextended(r::text, 0)::numeric), 0)::text FROM ("+sql+") r").Scan(&d.Rows, &d.Sum)
	if err != nil {
		return d, fmt.Errorf("digest rows: %w", err)
	}
	return d, nil
}

// Checksum is the fingerprint of every table, by schema.table.
func (m *Mirror) Checksum(ctx context.Context, conn *pgx.Conn) (map[string]Digest, error) {
	all := map[string]Digest{}
	for _, s := range m.tables {
		d, err := m.Digest(ctx, conn, m.selectSQL(s.Table, "true"))
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", s.Table, err)
		}
		all[s.Table.String()] = d
	}
	return all, nil
}
