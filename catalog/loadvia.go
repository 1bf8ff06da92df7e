package catalog

import (
	"regexp"
	"strconv"
)

// viaRef is an owner found via a person table, until all tables are known.
type viaRef struct {
	t     *Table
	owner int // in t.Owners
	name  string
	p     place
}

// ownerColumn is the column with the code of the owner or, via a person table,
// with the person.
func (l tableLoader) ownerColumn(f *ownerFile, p place) (column int, ok bool) {
	name, key := f.Column, "column"
	switch {
	case f.Via == "" && f.Person != "":
		l.errorf(p.in("person"), "person: name the person table in via, or the column with the code in column")
	case f.Via != "" && f.Column != "":
		l.errorf(p.in("column"), "an owner has a column or a person table: remove column, or via and person")
	case f.Via != "":
		name, key = f.Person, "person"
	}
	return l.column(name, "owner", p.in(key))
}

// persons checks what a person table says about itself.
func (l tableLoader) persons(f *personsFile) {
	p := l.p.in("persons")
	column := func(name, key string, needed bool) int {
		if name == "" && !needed {
			return -1
		}
		i, ok := l.column(name, "persons: "+key, p.in(key))
		if !ok {
			return -1
		}
		return i
	}
	out := &Persons{
		Person: column(f.Person, "person", true), Kommune: column(f.Kommune, "kommune", false), Akasse: column(f.Akasse, "akasse", false),
		From: column(f.From, "from", false), To: column(f.To, "to", false),
	}
	if f.Kommune == "" && f.Akasse == "" {
		l.errorf(p, "persons: name the column with the kommune, with the akasse, or both")
	}
	if i := out.Person; i >= 0 && !personType(l.t.Columns[i].Type) {
		l.errorf(p.in("person"), "persons: person column %s is of type %s: want uuid, an integer, or char or varchar of at most 15 characters", f.Person, l.t.Columns[i].Type)
	}
	for _, i := range []int{out.From, out.To} {
		if i >= 0 && l.t.Columns[i].Form != FormDate {
			l.errorf(p, "persons: column %s is of type %s: want date", l.t.Columns[i].Name, l.t.Columns[i].Type)
		}
	}
	if out.Person >= 0 {
		l.t.Persons = out
	}
}

var shortText = regexp.MustCompile(`^character(?: varying)?\(([0-9]+)\)$`)

// personType tells whether values of a type can name persons: all of them fit
// into the fixed space that capture has for each.
func personType(canonical string) bool {
	switch canonical {
	case "uuid", "smallint", "integer":
		return true
	}
	m := shortText.FindStringSubmatch(canonical)
	if m == nil {
		return false
	}
	n, err := strconv.Atoi(m[1])
	return err == nil && n <= 15
}

// resolveVias finds the person tables that owners name.
func (l *loader) resolveVias() {
	for _, v := range l.vias {
		via := l.personTable(v.name)
		o := &v.t.Owners[v.owner]
		person := v.t.Columns[o.Column]
		switch {
		case via == nil:
			l.errorf(v.p.in("via"), "via: there is no table %s: name a person table as schema.table", v.name)
			continue
		case via.Persons == nil:
			l.errorf(v.p.in("via"), "via: table %s does not say whose its persons are: give it persons", via)
			continue
		case v.t.Persons != nil:
			l.errorf(v.p, "table %s is a person table: its own owners are found in its columns", v.t)
		case via.Persons.Column(o.Axis) < 0:
			l.errorf(v.p.in("via"), "via: table %s has no %s of its persons: name the column in its persons", via, o.Axis)
		case person.Type != via.Columns[via.Persons.Person].Type:
			l.errorf(v.p.in("person"), "person column %s is of type %s, in table %s it is %s: the types must be the same",
				person.Name, person.Type, via, via.Columns[via.Persons.Person].Type)
		case v.t.Identity != "full":
			l.errorf(v.p, "table %s finds owners via a person table: it needs identity full, because large values that are read again could be newer than the person's move", v.t)
		}
		o.Via = via
		via.routes = via.routes || v.t.Area.Open()
	}
}

func (l *loader) personTable(name string) *Table {
	for id, t := range l.cat.tables {
		if name == t.String() || name == id.name && id.schema == "public" {
			return t
		}
	}
	return nil
}
