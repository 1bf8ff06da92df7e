package capture

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"supstream/catalog"
)

// Persons knows whose every person is, by the person tables of the catalogue,
// at a place in the order of changes. It is filled from the tables and then
// kept by their changes, so that rows are routed by whose the person was at
// that place, and not by what the mirror says meanwhile. It belongs to the
// goroutine that publishes.
//
// A person with one period takes a slot of a map without pointers, see
// docs/OPERATIONS.md for what that is; further periods, kept only where they
// are in force or to come, lie beside it.
type Persons struct {
	catalog *catalog.Catalog
	ids     map[catalog.Bruger]uint16
	day     Day
	tables  map[*catalog.Table]*people
	seen    *snapshot // changes up to seenEnd that it sees are in the map already; nil: none
	seenEnd uint64    // behind it nothing is; transaction numbers come again
	count   atomic.Int64
}

// people are the persons of one table.
type people struct {
	first map[personKey]period
	more  map[personKey][]period // further periods of persons in first
	due   map[Day][]personKey    // from day on: who has a period that begins, or ended the day before

	waiting int // entries of due
}

// Owned is a person and whose it was and is now, by axis: the zero Bruger is
// nobody.
type Owned struct {
	Via     *catalog.Table
	Person  string
	Was, Is [2]catalog.Bruger // kommune, akasse

	key  personKey
	held holder // before
}

// Changed tells whether the owner on an axis is another one.
func (o *Owned) Changed(a catalog.Axis) bool { return o.Was[a-1] != o.Is[a-1] }

// ErrPersonsTruncated: a person table was emptied. The session has to end; the
// next one reads the table, and all areas that depend on it, again.
var ErrPersonsTruncated = errors.New("a person table was truncated: the areas whose owners it tells are read again")

// NewPersons is an empty map for a day.
func NewPersons(c *catalog.Catalog, day Day) *Persons {
	p := &Persons{catalog: c, ids: map[catalog.Bruger]uint16{}, day: day, tables: map[*catalog.Table]*people{}}
	for _, a := range []catalog.Axis{catalog.Kommune, catalog.Akasse} {
		for i, b := range c.Brugere(a) {
			p.ids[b] = uint16(i + 1)
		}
	}
	for _, t := range c.PersonTables() {
		p.tables[t] = &people{first: map[personKey]period{}, more: map[personKey][]period{}, due: map[Day][]personKey{}}
	}
	return p
}

// Day is the day whose owners count.
func (p *Persons) Day() Day { return p.day }

// Count is the number of persons, and may be called from any goroutine.
func (p *Persons) Count() int64 { return p.count.Load() }

// Bytes is the memory that the map takes, by what was measured per entry.
func (p *Persons) Bytes() int64 {
	const first, more, due = 50, 120, 40
	var n int64
	for _, people := range p.tables {
		n += int64(first*len(people.first) + more*len(people.more) + due*people.waiting)
	}
	return n
}

// Find implements catalog.Finder. It does not allocate.
func (p *Persons) Find(via *catalog.Table, a catalog.Axis, person []byte) (catalog.Bruger, bool) {
	key, ok := newPersonKey(via, person)
	people := p.tables[via]
	if !ok || people == nil {
		return catalog.Bruger{}, false
	}
	first, ok := people.first[key]
	if !ok {
		return catalog.Bruger{}, false
	}
	var h holder
	if more := people.more[key]; more != nil {
		h = people.holder(key, p.day)
	} else if first.on(p.day) {
		h = holder{first.kommune, first.akasse}
	}
	b := p.bruger(h)[a-1]
	return b, b != catalog.Bruger{}
}

func (p *Persons) bruger(h holder) (b [2]catalog.Bruger) {
	if h.kommune > 0 {
		b[0] = p.catalog.Brugere(catalog.Kommune)[h.kommune-1]
	}
	if h.akasse > 0 {
		b[1] = p.catalog.Brugere(catalog.Akasse)[h.akasse-1]
	}
	return b
}

// Apply takes a change of a person table and reports the persons whose owner
// it changes: none, one, or two when a row is given to another person.
func (p *Persons) Apply(c *Change) ([]Owned, error) {
	if p.seen != nil && c.Position.LSN <= p.seenEnd && p.seen.sees(c.XID) {
		return nil, nil
	}
	if c.Op == Truncate {
		return nil, fmt.Errorf("table %s: %w", c.Table, ErrPersonsTruncated)
	}
	people := p.tables[c.Table]
	var moved []Owned
	for _, row := range []catalog.Row{c.Old, c.New} {
		if key, ok := personOf(c.Table, row); ok && !slices.ContainsFunc(moved, func(o Owned) bool { return o.key == key }) {
			moved = append(moved, Owned{Via: c.Table, key: key, held: people.holder(key, p.day)})
		}
	}
	if err := p.replace(c.Table, c.Old, c.New); err != nil {
		return nil, err
	}
	return p.compare(people, moved), nil
}

// compare keeps of list those whose owner is another one now.
func (p *Persons) compare(people *people, list []Owned) []Owned {
	list = slices.DeleteFunc(list, func(o Owned) bool { return people.holder(o.key, p.day) == o.held })
	for i := range list {
		o := &list[i]
		o.Person, o.Was, o.Is = o.key.text(o.Via), p.bruger(o.held), p.bruger(people.holder(o.key, p.day))
	}
	return list
}

// replace takes away what old says and adds what new says.
func (p *Persons) replace(t *catalog.Table, old, new catalog.Row) error {
	people := p.tables[t]
	for _, row := range []catalog.Row{old, new} {
		key, ok := personOf(t, row)
		if !ok {
			continue
		}
		period, err := p.period(t, row)
		if err != nil {
			return err
		}
		switch {
		case period.to < p.day: // over, and days do not come back
		case len(new) > 0 && &row[0] == &new[0]:
			people.add(key, period, p.day)
		case !people.remove(key, period):
			return fmt.Errorf("table %s: a change takes away what the table never said: the persons are read again", t)
		}
	}
	p.count.Store(p.total())
	return nil
}

func (p *Persons) total() (n int64) {
	for _, people := range p.tables {
		n += int64(len(people.first))
	}
	return n
}

// personOf is the person of a row of a person table. A row without one, and
// one whose person no row can name, says nothing.
func personOf(t *catalog.Table, row catalog.Row) (personKey, bool) {
	if row == nil || row[t.Persons.Person].Kind != catalog.Text {
		return personKey{}, false
	}
	return newPersonKey(t, row[t.Persons.Person].Text)
}

func (p *Persons) period(t *catalog.Table, row catalog.Row) (r period, err error) {
	r = period{from: beginning, to: eternity}
	if i := t.Persons.From; i >= 0 {
		if r.from, err = parseBound(row[i], beginning); err != nil {
			return r, fmt.Errorf("table %s column %s: not a date", t, t.Columns[i].Name)
		}
	}
	if i := t.Persons.To; i >= 0 {
		if r.to, err = parseBound(row[i], eternity); err != nil {
			return r, fmt.Errorf("table %s column %s: not a date", t, t.Columns[i].Name)
		}
	}
	id := func(i int, a catalog.Axis) uint16 {
		if i < 0 || row[i].Kind != catalog.Text {
			return 0
		}
		b, _ := p.catalog.Bruger(a, row[i].Text)
		return p.ids[b] // 0: not known
	}
	r.kommune, r.akasse = id(t.Persons.Kommune, catalog.Kommune), id(t.Persons.Akasse, catalog.Akasse)
	return r, nil
}

// Advance makes another day count and reports the persons whose owner that
// changes, in no order.
func (p *Persons) Advance(day Day) []Owned {
	var moved []Owned
	was := p.day
	p.day = max(p.day, day)
	for t, people := range p.tables {
		var list []Owned
		for d, keys := range people.due {
			if d > day {
				continue
			}
			for _, key := range keys {
				list = append(list, Owned{Via: t, key: key, held: people.holder(key, was)})
			}
			people.waiting -= len(keys)
			delete(people.due, d)
		}
		slices.SortFunc(list, func(a, b Owned) int { return slices.Compare(a.key[:], b.key[:]) })
		list = slices.CompactFunc(list, func(a, b Owned) bool { return a.key == b.key })
		keys := make([]personKey, len(list))
		for i := range list {
			keys[i] = list[i].key
		}
		moved = append(moved, p.compare(people, list)...)
		for _, key := range keys {
			people.forget(key, p.day)
		}
	}
	p.count.Store(p.total())
	return moved
}
