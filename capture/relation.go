package capture

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"supstream/catalog"
)

// relation is a table as the stream announced it.
type relation struct {
	id      uint32
	table   *catalog.Table // nil: its changes are none of ours
	columns []int          // for each column sent, its place in table.Columns; -1: not carried
	key     []bool         // for each column of table.Columns: part of the replica identity
	full    bool           // the whole old row is sent

	held *holding // the area is held: what was announced is kept with its changes
	raw  []byte   // see Held; nil once it was kept
}

// announcement is a relation message.
type announcement struct {
	schema, name string
	identity     byte
	columns      []announced
}

// announced is a column of a relation message.
type announced struct {
	name     string
	typeOID  uint32
	modifier int32
	key      bool
	typ      string // only where the message was kept
}

// readRelation decodes a relation message behind its type byte and fits it to
// the catalogue. A table that differs from its description is an error: its
// values must not be guessed.
func (d *decoder) readRelation(ctx context.Context, w *wire, msg []byte) (*relation, error) {
	r := &relation{id: w.uint32()}
	a := announcement{schema: w.text(), name: w.text()}
	if a.schema == "" {
		a.schema = "pg_catalog"
	}
	a.identity = w.byte()
	a.columns = make([]announced, w.uint16())
	for i := range a.columns {
		c := &a.columns[i]
		c.key = w.byte()&1 != 0
		c.name = w.text()
		c.typeOID = w.uint32()
		c.modifier = int32(w.uint32())
	}
	if d.replays != nil {
		for i := range a.columns {
			a.columns[i].typ = w.text()
		}
	}
	if err := w.end(); err != nil {
		return nil, d.malformed(err)
	}
	t := d.find(a.schema, a.name, r.id)
	if t == nil || d.replays != nil && t.Area != d.replays {
		return r, nil
	}
	if held := d.holds[t.Area]; held != nil {
		r.table, r.held, r.raw = t, held, slices.Clone(msg)
		for _, c := range a.columns {
			typ, err := d.typeName(ctx, c.typeOID, c.modifier)
			if err != nil {
				return nil, err
			}
			r.raw = append(append(r.raw, typ...), 0)
		}
		return r, nil
	}
	drift, err := d.fit(ctx, r, t, &a)
	switch {
	case err != nil:
		return nil, err
	case drift == nil:
		return r, nil
	case d.lsn < d.stale[t]:
		return &relation{id: r.id}, nil // what is read again is newer
	}
	return nil, &driftFound{drift}
}

// find is the table of the catalogue that a relation message is about. A table
// that has been renamed is found by its number.
func (d *decoder) find(schema, name string, id uint32) *catalog.Table {
	if t, ok := d.catalog.Table(schema, name); ok && t.Area.Open() {
		return t
	}
	return d.known[id]
}

// fit compares an announcement with the catalogue's table, and prepares r for
// its rows when they agree.
func (d *decoder) fit(ctx context.Context, r *relation, t *catalog.Table, a *announcement) (*catalog.DriftError, error) {
	// Before the survey the table may have had another name.
	known := d.lsn < d.surveyed && d.oids[t] == r.id
	if !known && (a.schema != t.Schema || a.name != t.Name) {
		return &catalog.DriftError{Table: t, Kind: catalog.TableMissing}, nil
	}
	if oid := d.oids[t]; oid != 0 && oid != r.id {
		return &catalog.DriftError{Table: t, Kind: catalog.TableReplaced}, nil
	}
	columns, key := make([]int, len(a.columns)), make([]bool, len(t.Columns))
	missing := len(t.Columns)
	for i, c := range a.columns {
		at, ok := t.Column(c.name)
		if !ok {
			columns[i] = -1
			continue
		}
		if slices.Contains(columns[:i], at) {
			return nil, d.malformed(fmt.Errorf("table %s: column %s was announced twice", t, c.name))
		}
		columns[i], key[at] = at, c.key
		missing--
		typ := c.typ
		if d.replays == nil {
			var err error
			if typ, err = d.typeName(ctx, c.typeOID, c.modifier); err != nil {
				return nil, err
			}
		}
		if typ != t.Columns[at].Type {
			return &catalog.DriftError{Table: t, Column: c.name, Kind: catalog.TypeChanged, Want: t.Columns[at].Type, Have: typ}, nil
		}
	}
	if missing > 0 {
		return &catalog.DriftError{Table: t, Column: missingColumn(t, a.columns), Kind: catalog.ColumnMissing}, nil
	}
	r.table, r.columns, r.key, r.full = t, columns, key, a.identity == 'f'
	return r.checkIdentity(a.identity), nil
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
func (r *relation) checkIdentity(identity byte) *catalog.DriftError {
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

// truncateOf is the message that a table was truncated, it alone.
func truncateOf(id uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'T'}, 1)
	return binary.BigEndian.AppendUint32(append(b, 0), id)
}
