package capture

import (
	"context"
	"fmt"
	"slices"

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
	if !ok || !t.Captured() {
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
		if slices.Contains(r.columns[:i], at) {
			return nil, d.malformed(fmt.Errorf("table %s: column %s was announced twice", t, c.name))
		}
		r.columns[i], r.key[at] = at, c.key
		missing--
		live, err := d.typeName(ctx, c.typeOID, c.modifier)
		if err != nil {
			return nil, err
		}
		if live != t.Columns[at].Type {
			return nil, &catalog.DriftError{Table: t, Column: c.name, Kind: catalog.TypeChanged, Want: t.Columns[at].Type, Have: live}
		}
	}
	if missing > 0 {
		return nil, &catalog.DriftError{Table: t, Column: missingColumn(t, cols), Kind: catalog.ColumnMissing}
	}
	return r, r.checkIdentity(identity)
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
func (r *relation) checkIdentity(identity byte) error {
	if r.full {
		return nil
	}
	for _, at := range slices.Concat(r.table.Key, r.table.Routing()) {
		if !r.key[at] {
			return &catalog.DriftError{Table: r.table, Kind: catalog.IdentityChanged, Want: r.table.Identity, Have: identityName(identity)}
		}
	}
	return nil
}

// identityName is a replica identity as a catalogue writes it; the name of an
// index is not announced.
func identityName(c byte) string {
	switch c {
	case 'd':
		return "default"
	case 'f':
		return "full"
	case 'i':
		return "index"
	}
	return "nothing"
}
