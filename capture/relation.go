package capture

import (
	"context"
	"fmt"

	"supstream/catalog"
)

// relation is a table as the stream announced it.
type relation struct {
	id      uint32
	table   *catalog.Table // nil: not in the catalogue, its changes are none of ours
	columns []int          // for each column sent, its place in table.Columns; -1: not carried
	key     []bool         // for each column of table.Columns: part of the replica identity
	full    bool           // the whole old row is sent
}

// announced is a column of a relation message.
type announced struct {
	name     string
	typeOID  uint32
	modifier int32
	key      bool
}

// readRelation decodes a relation message behind its type byte and fits it to
// the catalogue. A table that differs from its description is an error: its
// values must not be guessed.
func (d *decoder) readRelation(ctx context.Context, w *wire) (*relation, error) {
	r := &relation{id: w.uint32()}
	schema, name := w.text(), w.text()
	if schema == "" {
		schema = "pg_catalog"
	}
	identity := w.byte()
	cols := make([]announced, w.uint16())
	for i := range cols {
		cols[i].key = w.byte()&1 != 0
		cols[i].name = w.text()
		cols[i].typeOID = w.uint32()
		cols[i].modifier = int32(w.uint32())
	}
	if err := w.end(); err != nil {
		return nil, d.malformed(err)
	}
	t, ok := d.catalog.Table(schema, name)
	if !ok || !t.Area.Open() {
		return r, nil
	}
	r.table, r.full = t, identity == 'f'
	r.columns, r.key = make([]int, len(cols)), make([]bool, len(t.Columns))
	missing := len(t.Columns)
	for i, c := range cols {
		at, ok := t.Column(c.name)
		if !ok {
			r.columns[i] = -1
			continue
		}
		r.columns[i], r.key[at] = at, c.key
		missing--
		live, err := d.typeName(ctx, c.typeOID, c.modifier)
		if err != nil {
			return nil, err
		}
		if live != t.Columns[at].Type {
			return nil, &DriftError{Table: t.String(), Column: c.name,
				What: fmt.Sprintf("is %s in the mirror, %s in the catalogue", live, t.Columns[at].Type)}
		}
	}
	if missing > 0 {
		return nil, &DriftError{Table: t.String(), Column: missingColumn(t, cols), What: "is in the catalogue but not in the mirror"}
	}
	return r, r.checkIdentity()
}

func missingColumn(t *catalog.Table, cols []announced) string {
	for _, want := range t.Columns {
		found := false
		for _, c := range cols {
			found = found || c.name == want.Name
		}
		if !found {
			return want.Name
		}
	}
	return ""
}

// checkIdentity makes sure that the old row tells who had it: all columns that
// decide on that must be part of the replica identity.
func (r *relation) checkIdentity() error {
	if r.full {
		return nil
	}
	for _, at := range RoutingColumns(r.table) {
		if !r.key[at] {
			return &DriftError{Table: r.table.String(), Column: r.table.Columns[at].Name,
				What: "decides who gets a row but is not part of the replica identity; run `supstream check` for the SQL that mends it"}
		}
	}
	return nil
}

// RoutingColumns are the columns of t whose old values capture needs: its key
// and whatever decides who gets a row.
func RoutingColumns(t *catalog.Table) []int {
	cols := append([]int(nil), t.Key...)
	for _, o := range t.Owners {
		cols = append(cols, o.Column)
		if o.Only != nil {
			cols = append(cols, o.Only.Column)
		}
	}
	if t.Draft != nil {
		cols = append(cols, t.Draft.Column)
	}
	return cols
}

// DriftError is a table that is not as the catalogue describes it.
type DriftError struct {
	Table, Column string
	What          string
}

func (e *DriftError) Error() string {
	return fmt.Sprintf("table %s column %s: %s", e.Table, e.Column, e.What)
}
