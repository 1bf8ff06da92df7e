package catalog

import (
	"slices"
	"strings"
)

// Catalog is a validated catalogue. It is immutable: nothing it returns may be
// changed.
type Catalog struct {
	areas   []*Dataomraade // by slug
	tables  map[tableName]*Table
	brugere [Alle + 1]brugere // by Axis
	version string
}

type tableName struct{ schema, name string }

// brugere are the known authorities of one axis.
type brugere struct {
	list  []Bruger          // in order
	codes map[string]Bruger // by bareKode
	names map[string]string // by Kode
}

// Dataomraader returns all areas, open or not, by slug.
func (c *Catalog) Dataomraader() []*Dataomraade { return c.areas }

// Dataomraade returns the area with that slug.
func (c *Catalog) Dataomraade(slug string) (*Dataomraade, bool) {
	i, ok := slices.BinarySearchFunc(c.areas, slug, func(d *Dataomraade, s string) int {
		return strings.Compare(d.Slug, s)
	})
	if !ok {
		return nil, false
	}
	return c.areas[i], true
}

// Table returns the table with that schema and name, as Postgres knows them.
func (c *Catalog) Table(schema, name string) (*Table, bool) {
	t, ok := c.tables[tableName{schema, name}]
	return t, ok
}

// PersonTables are the tables that tell whose persons are, for tables that
// leave: none when every row says itself whose it is.
func (c *Catalog) PersonTables() []*Table {
	var list []*Table
	for _, d := range c.areas {
		for _, t := range d.Tables {
			if t.routes {
				list = append(list, t)
			}
		}
	}
	return list
}

// ViaTables are the tables that leave and find an owner via a person table.
func (c *Catalog) ViaTables(persons *Table) []*Table {
	var list []*Table
	for _, d := range c.areas {
		for _, t := range d.Tables {
			if d.Open() && slices.ContainsFunc(t.Owners, func(o Owner) bool { return o.Via == persons }) {
				list = append(list, t)
			}
		}
	}
	return list
}

// Brugere returns the known authorities of an axis, in order. For Alle it is
// the one pseudo-Bruger Alle.
func (c *Catalog) Brugere(a Axis) []Bruger {
	if int(a) >= len(c.brugere) {
		return nil
	}
	return c.brugere[a].list
}

// BrugerName returns the name of an authority, or "" when it is not known.
func (c *Catalog) BrugerName(b Bruger) string {
	if int(b.Axis) >= len(c.brugere) {
		return ""
	}
	return c.brugere[b.Axis].names[b.Kode]
}

// Bruger finds an authority by the code that stands in a row. Blanks around
// the code and leading zeros do not count. Bruger does not allocate.
func (c *Catalog) Bruger(a Axis, code []byte) (Bruger, bool) {
	if int(a) >= len(c.brugere) {
		return Bruger{}, false
	}
	b, ok := c.brugere[a].codes[string(bareKode(code))]
	return b, ok
}

// Version is a hash of the content of the catalogue: 16 hex digits that do
// not depend on the order of files and keys, on formatting or on comments.
func (c *Catalog) Version() string { return c.version }
