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

// Owners returns the routing of one row of t. A nil row and a draft belong to
// nobody and are not held. A code that was not sent counts as unknown, a
// filter column that was not sent does not match, and a draft marker that is
// null or was not sent makes the row a draft: what is not known does not
// leave. Owners does not allocate.
func (c *Catalog) Owners(t *Table, row Row) Owners {
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
			if b, ok := c.Bruger(owner.Axis, v.Text); ok {
				o.add(b)
				continue
			}
		}
		o.held = o.held || owner.Hold
	}
	return o
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
