package capture

import (
	"fmt"
	"slices"
	"strings"

	"supstream/catalog"
)

// filter narrows the read of a table to the rows of a scope. The zero filter
// takes every row.
type filter struct {
	where string   // condition in SQL on $1 to $n; empty: none
	args  [][]byte // n of them
	scan  int      // rows looked at for one chunk; 0: as many as it takes
}

// scanRows bounds a chunk whose condition no index helps with, so that few
// rows far apart do not make one long read.
const scanRows = 50_000

// rolePerson marks columns that say whom a row is about.
const rolePerson = "person_key"

// covers reports whether the scope can have rows in t.
func (s Scope) covers(t *catalog.Table) bool {
	if s.Table != "" && s.Table != t.Slug {
		return false
	}
	switch s.Kind {
	case ScopeBruger:
		b := s.bruger()
		return t.Everybody == (b.Axis == catalog.Alle) && (t.Everybody || ownerColumn(t, b.Axis) >= 0)
	case ScopePerson:
		return len(personColumns(t)) > 0
	}
	return true
}

// filter is the scope on a table that it covers.
func (s Scope) filter(t *catalog.Table) filter {
	name := func(at int) string { return catalog.QuoteIdentifier(t.Columns[at].Name) }
	switch s.Kind {
	case ScopeBruger:
		b := s.bruger()
		if t.Everybody {
			return filter{}
		}
		// As catalog compares codes: without zeros and blanks in front and
		// blanks behind. The publisher has the last word on who owns a row.
		return filter{
			where: fmt.Sprintf("rtrim(ltrim(%s::text, ' 0')) = $1", name(ownerColumn(t, b.Axis))),
			args:  [][]byte{[]byte(strings.TrimLeft(b.Kode, "0"))},
			scan:  scanRows,
		}
	case ScopePerson:
		var any []string
		for _, at := range personColumns(t) {
			any = append(any, name(at)+" = $1")
		}
		return filter{where: "(" + strings.Join(any, " OR ") + ")", args: [][]byte{[]byte(s.Values[0])}}
	case ScopeKey:
		var all []string
		f := filter{}
		for i, at := range t.Key {
			all = append(all, fmt.Sprintf("%s = $%d", name(at), i+1))
			f.args = append(f.args, []byte(s.Values[i]))
		}
		f.where = strings.Join(all, " AND ")
		return f
	}
	return filter{}
}

// ownerColumn is the column that tells who owns a row on an axis; -1: none.
func ownerColumn(t *catalog.Table, a catalog.Axis) int {
	i := slices.IndexFunc(t.Owners, func(o catalog.Owner) bool { return o.Axis == a })
	if i < 0 {
		return -1
	}
	return t.Owners[i].Column
}

func personColumns(t *catalog.Table) []int {
	var list []int
	for i, c := range t.Columns {
		if c.Role == rolePerson {
			list = append(list, i)
		}
	}
	return list
}
