package catalog

// Owners is the routing of one row: the Brugere that it belongs to, at most
// one per axis, kommune before akasse. It has a fixed size and is comparable;
// the zero Owners is a row that belongs to nobody.
type Owners struct {
	brugere [2]Bruger
	n       uint8
	held    bool
}

// Len is the number of Brugere.
func (o Owners) Len() int { return int(o.n) }

// At returns Bruger i, 0 <= i < Len.
func (o Owners) At(i int) Bruger { return o.brugere[:o.n][i] }

// Has tells whether b is among the owners.
func (o Owners) Has(b Bruger) bool {
	for i := range int(o.n) {
		if o.brugere[i] == b {
			return true
		}
	}
	return false
}

// Held tells whether the row misses an owner that it ought to have: a code is
// null or unknown on an axis that holds such rows. The row may have an owner
// on the other axis all the same.
func (o Owners) Held() bool { return o.held }

func (o *Owners) add(b Bruger) {
	o.brugere[o.n] = b
	o.n++
}

// Finder knows whose a person is, by what a person table says.
type Finder interface {
	Find(via *Table, a Axis, person []byte) (Bruger, bool)
}

// Owners is OwnersVia for tables whose rows say themselves whose they are. An
// owner that is found via a person table counts as unknown.
func (c *Catalog) Owners(t *Table, row Row) Owners { return c.OwnersVia(t, row, nil) }

// OwnersVia returns the routing of one row of t. A nil row and a draft belong to
// nobody and are not held. A code that was not sent counts as unknown, a
// filter column that was not sent does not match, and a draft marker that is
// null or was not sent makes the row a draft: what is not known does not
// leave. OwnersVia does not allocate.
func (c *Catalog) OwnersVia(t *Table, row Row, persons Finder) Owners {
	var o Owners
	if row == nil || t.draft(row) {
		return o
	}
	if t.Everybody {
		o.add(Bruger{Axis: Alle})
		return o
	}
	for i := range t.Owners {
		owner := &t.Owners[i]
		if owner.Only != nil && !owner.Only.matches(row.at(owner.Only.Column)) {
			continue
		}
		if v := row.at(owner.Column); v.Kind == Text {
			var b Bruger
			var ok bool
			if owner.Via == nil {
				b, ok = c.Bruger(owner.Axis, v.Text)
			} else if persons != nil {
				b, ok = persons.Find(owner.Via, owner.Axis, v.Text)
			}
			if ok {
				o.add(b)
				continue
			}
		}
		o.held = o.held || owner.Hold
	}
	return o
}

// Concerns tells whether a row of t can have an owner by t.Owners[i]: it is
// there, it is no draft, and the row filter of the axis lets it pass.
func (t *Table) Concerns(i int, row Row) bool {
	only := t.Owners[i].Only
	return row != nil && !t.draft(row) && (only == nil || only.matches(row.at(only.Column)))
}

// Person is the person of a row by t.Owners[i], nil if the row names none.
func (t *Table) Person(i int, row Row) []byte {
	if v := row.at(t.Owners[i].Column); v.Kind == Text {
		return v.Text
	}
	return nil
}

func (t *Table) draft(row Row) bool {
	if t.Draft == nil {
		return false
	}
	v := row.at(t.Draft.Column)
	return v.Kind != Text || t.Draft.matches(v)
}

// Route returns whom a row belonged to before a change and whom it belongs to
// after it. The old row of an insert and the new row of a delete are nil, and
// nobody owns them. When Postgres sends no old row with an update, because
// the columns of the replica identity did not change, pass the new row as old
// too: routing columns are part of the identity.
func (c *Catalog) Route(t *Table, old, new Row) (before, after Owners) {
	return c.Owners(t, old), c.Owners(t, new)
}
