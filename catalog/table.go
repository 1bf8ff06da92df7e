package catalog

import (
	"bytes"
	"slices"
)

// Form says how the text of a column becomes JSON. It follows from the type.
type Form uint8

const (
	FormString      Form = iota // everything else: a string with the text of Postgres
	FormInt                     // smallint, integer
	FormBigInt                  // bigint
	FormNumeric                 // numeric, money
	FormFloat                   // real, double precision
	FormBool                    // boolean
	FormJSON                    // json, jsonb
	FormDate                    // date
	FormTimestamp               // timestamp without time zone
	FormTimestampTZ             // timestamp with time zone
)

// Column is one column that is carried. Type is the type as Postgres itself
// writes it (format_type), so "varchar(80)" in a file is
// "character varying(80)" here. FreeText marks text that people wrote, which
// may hold somebody else's name or CPR number and is subject to erasure.
type Column struct {
	Name, Type, Description, Role string
	Nullable, FreeText            bool
	Form                          Form
}

// Owner says how a row finds its Bruger on one axis: by the code in Column or,
// with Via, by the person in Column, whose owner the table Via tells. Hold: a
// row whose owner is null or unknown is held until it is known; otherwise such
// a row has no owner on this axis. Only: rows that do not match have no owner
// on this axis and are not held for it.
type Owner struct {
	Axis   Axis
	Column int
	Via    *Table `json:",omitempty"`
	Hold   bool
	Only   *Match
}

// Persons are the columns of a table that tells whose its persons are. Kommune
// or Akasse is -1 when the table does not tell it. From and To are the first
// and the last day on which the row is in force; -1 or null: no limit.
type Persons struct {
	Person, Kommune, Akasse, From, To int
}

// Column is the column with the codes of an axis, -1 if there is none.
func (p *Persons) Column(a Axis) int {
	switch a {
	case Kommune:
		return p.Kommune
	case Akasse:
		return p.Akasse
	}
	return -1
}

// Match is true for a row whose value in Column is one of In. Blanks at the
// end of the value do not count (Postgres pads char(n)).
type Match struct {
	Column int
	In     []string
}

func (m *Match) matches(v Value) bool {
	if v.Kind != Text {
		return false
	}
	text := bytes.TrimRight(v.Text, " ")
	for _, s := range m.In {
		if s == string(text) {
			return true
		}
	}
	return false
}

// Table is one table of the mirror. Slug is its name in event types and
// files. Key holds the indices of the primary key's columns. Owners has at
// most one entry per axis, kommune before akasse. Everybody: rows belong to
// Alle and Owners is empty. Draft: rows that match are drafts and do not
// leave; so are rows whose marker is null or not sent. Persons: the table tells
// whose its persons are, for the tables that find their owners via it.
// Identity is the
// replica identity the table must have: "full", "default" (the primary key)
// or "index:<name>".
type Table struct {
	Area        *Dataomraade `json:"-"` // not part of the table's own content
	Schema      string
	Name        string
	Slug        string
	Description string
	Columns     []Column
	Key         []int
	Owners      []Owner
	Everybody   bool
	Draft       *Match
	Persons     *Persons `json:",omitempty"`
	Identity    string

	routes bool // a table that leaves finds its owners via this one
}

// Captured tells whether changes of the table are of interest: its rows leave,
// or they tell whose the rows of others are.
func (t *Table) Captured() bool { return t.Area.Open() || t.routes }

// Via tells whether an owner of the table's rows is found via a person table.
func (t *Table) Via() bool {
	for i := range t.Owners {
		if t.Owners[i].Via != nil {
			return true
		}
	}
	return false
}

// String returns schema.name, unquoted, for messages.
func (t *Table) String() string { return t.Schema + "." + t.Name }

// Column returns the index of the column with that name.
func (t *Table) Column(name string) (int, bool) {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i, true
		}
	}
	return 0, false
}

// Routing returns the indices of the columns that decide who owns a row:
// owner columns, filter columns and the draft marker, and all that a person
// table says, in order, each once. They must be part of the replica identity.
func (t *Table) Routing() []int {
	var columns []int
	if t.Draft != nil {
		columns = append(columns, t.Draft.Column)
	}
	for _, o := range t.Owners {
		columns = append(columns, o.Column)
		if o.Only != nil {
			columns = append(columns, o.Only.Column)
		}
	}
	if p := t.Persons; p != nil {
		for _, i := range []int{p.Person, p.Kommune, p.Akasse, p.From, p.To} {
			if i >= 0 {
				columns = append(columns, i)
			}
		}
	}
	slices.Sort(columns)
	return slices.Compact(columns)
}
