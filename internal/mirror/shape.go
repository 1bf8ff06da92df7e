package mirror

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// nature says what the rows of a table are about.
type nature uint8

const (
	aboutCitizen nature = iota + 1
	tie                 // who answers for a citizen and who the citizen is: one row per citizen, of the platform's own areas
	reference           // the same for everybody
	shared              // neither citizens nor reference: companies' job orders
)

// shape is a table as the generator sees it. Column indices are -1 when the table has no such column.
type shape struct {
	*catalog.Table
	name     string // quoted, with schema
	nature   nature
	cols     []column
	person   int
	kommune  int
	akasse   int
	jobcentr int
	updated  int
	from, to int // of the validity
	status   int
	reason   int
	comment  int // correction comment
	texts    []int
}

// column is a column with its type taken apart.
type column struct {
	*catalog.Column
	name   string // quoted
	base   string // e.g. "character varying"
	limit  int    // of characters, or the precision of a numeric; 0: none
	scale  int
	key    bool
	points *shape // the table whose key has this column's name
}

var typeParts = regexp.MustCompile(`^([a-z ]+?)(?:\((\d+)(?:,(\d+))?\))?( with(?:out)? time zone)?$`)

// makeable are the types that values are made for, besides those that may be null.
var makeable = map[string]bool{
	"smallint": true, "integer": true, "bigint": true, "numeric": true, "money": true, "real": true, "double precision": true,
	"boolean": true, "text": true, "character varying": true, "character": true, "bpchar": true, "uuid": true, "bytea": true,
	"json": true, "jsonb": true, "date": true, "timestamp without time zone": true, "timestamp with time zone": true,
	"time without time zone": true, "interval": true, "inet": true, "oid": true,
}

func newShape(t *catalog.Table) (*shape, error) {
	s := &shape{Table: t, name: pgx.Identifier{t.Schema, t.Name}.Sanitize(), cols: make([]column, len(t.Columns))}
	for i := range t.Columns {
		c := &t.Columns[i]
		col := column{Column: c, name: pgx.Identifier{c.Name}.Sanitize()}
		if m := typeParts.FindStringSubmatch(c.Type); m != nil {
			col.base = m[1] + m[4]
			col.limit, _ = strconv.Atoi(m[2])
			col.scale, _ = strconv.Atoi(m[3])
		}
		if !makeable[col.base] && !c.Nullable && !strings.HasSuffix(c.Type, "[]") {
			return nil, fmt.Errorf("table %s, column %s: no synthetic values for type %s; make the column nullable", t, c.Name, c.Type)
		}
		s.cols[i] = col
	}
	for _, k := range t.Key {
		s.cols[k].key = true
	}
	s.person, s.updated = s.role("person_key"), s.role("updated_at")
	s.kommune, s.akasse, s.jobcentr = s.role("kommune_key"), s.role("akasse_key"), s.role("jobcenter_key")
	s.from, s.to = s.role("valid_from"), s.role("valid_to")
	s.status, s.reason, s.comment = s.role("status"), s.role("reason"), s.role("correction_comment")
	for _, o := range t.Owners { // the owner columns count, whatever their role is called
		switch o.Axis {
		case catalog.Kommune:
			s.kommune = o.Column
		case catalog.Akasse:
			s.akasse = o.Column
		}
	}
	for i, c := range t.Columns {
		if c.FreeText && !s.cols[i].key {
			s.texts = append(s.texts, i)
		}
	}
	switch {
	case t.Everybody && t.Area.Sensitivity == catalog.IkkePerson:
		s.nature = reference
	case s.person < 0:
		s.nature = shared
	case t.Area.State == catalog.Internal:
		s.nature = tie
	default:
		s.nature = aboutCitizen
	}
	return s, nil
}

// role returns the first column of that role that is not part of the key, or else any of that role.
func (s *shape) role(role string) int {
	found := -1
	for i := range s.cols {
		if s.cols[i].Role != role {
			continue
		}
		if !s.cols[i].key {
			return i
		}
		if found < 0 {
			found = i
		}
	}
	return found
}

// connectRefs finds the table that each referring column points to: the one with a key of that one column.
func (m *Mirror) connectRefs() {
	byKey := map[string]*shape{}
	for _, s := range m.tables {
		if len(s.Key) == 1 {
			byKey[s.Columns[s.Key[0]].Name] = s
		}
	}
	for _, s := range m.tables {
		for i := range s.cols {
			if c := &s.cols[i]; c.Role == "ref" && !c.key {
				c.points = byKey[c.Name]
			}
		}
	}
}

// columnList is the quoted list of all columns.
func (s *shape) columnList() string {
	names := make([]string, len(s.cols))
	for i := range s.cols {
		names[i] = s.cols[i].name
	}
	return strings.Join(names, ", ")
}

// drafts returns the value that makes a row a draft and one that does not.
func (s *shape) drafts() (draft, published string) {
	draft = s.Draft.In[0]
	for _, published = range []string{"publiceret", "t", "f", "1", "2", "P"} {
		c := &s.cols[s.Draft.Column]
		if contains(s.Draft.In, published) || !c.accepts(published) {
			continue
		}
		return draft, published
	}
	return draft, ""
}

func contains(list []string, s string) bool {
	for _, have := range list {
		if have == s {
			return true
		}
	}
	return false
}

// accepts tells whether a word can be a value of the column.
func (c *column) accepts(word string) bool {
	switch c.base {
	case "boolean":
		return word == "t" || word == "f"
	case "smallint", "integer", "bigint", "numeric":
		_, err := strconv.Atoi(word)
		return err == nil
	case "character", "character varying":
		return c.limit == 0 || len([]rune(word)) <= c.limit
	}
	return c.base == "text" || c.base == "bpchar"
}
