package projections

import (
	"bytes"
	"context"
	"errors"
	"iter"

	"supstream/catalog"
)

// Kinds of differences between the mirror and what receivers have.
const (
	Missing = "missing" // the mirror has the row, receivers do not
	Extra   = "extra"   // receivers have the row, the mirror does not
	Differs = "differs" // both have it, with other values
	Counted = "counted" // the router and SQL disagree on whose rows of a table are: no single row can be named
)

// pair is a row that differs for a Bruger.
type pair struct {
	kind string
	key  string // JSON
}

var errTableEnds = errors.New("the table ends")

// tableStates yields the states of a Bruger's rows of one table in the order of keys.
func tableStates(ctx context.Context, parts []part, b catalog.Bruger, table string) iter.Seq2[*state, error] {
	return func(yield func(*state, error) bool) {
		err := merge(ctx, parts, []catalog.Bruger{b}, func(s *state) error {
			switch {
			case s.table < table || s.isTruncate():
				return nil
			case s.table > table || !yield(s, nil):
				return errTableEnds
			}
			return nil
		})
		if err != nil && !errors.Is(err, errTableEnds) {
			yield(nil, err)
		}
	}
}

// side walks the states of one side of a comparison.
type side struct {
	pull func() (*state, error, bool)
	head *state
	err  error
}

func newSide(seq iter.Seq2[*state, error]) (*side, func()) {
	next, stop := iter.Pull2(seq)
	s := &side{pull: next}
	s.advance()
	return s, stop
}

func (s *side) advance() {
	var ok bool
	if s.head, s.err, ok = s.pull(); !ok {
		s.head = nil
	}
}

// at reports whether the side has a state of that key.
func (s *side) at(key string) *state {
	if s.head != nil && s.head.key == key {
		return s.head
	}
	return nil
}

// compare finds the rows of a table that differ for a Bruger. mirror is the fold of one look at the table, v what receivers have.
// A row is passed over when something that the look has not seen has happened to it: a later event of the stream speaks of it,
// or a transaction that was streamed and was not yet visible, or one that is still open.
func compare(ctx context.Context, v *view, mirror *Fold, b catalog.Bruger, table string, open func(uint32) bool, yield func(pair) error) (rows int64, err error) {
	have, stop := newSide(tableStates(ctx, v.parts(), b, table))
	defer stop()
	want, stop := newSide(tableStates(ctx, mirror.parts(), b, table))
	defer stop()
	late, stop := newSide(tableStates(ctx, v.late.parts(), b, table))
	defer stop()
	for {
		if err := errors.Join(have.err, want.err, late.err); err != nil {
			return rows, err
		}
		if have.head == nil && want.head == nil {
			return rows, nil
		}
		key := least(have.head, want.head)
		for late.head != nil && late.head.key < key {
			if late.advance(); late.err != nil {
				return rows, late.err
			}
		}
		h, w := have.at(key), want.at(key)
		kind := verdict(h, w)
		onItsWay := late.at(key) != nil || h != nil && open(h.xid) || w != nil && open(w.xid)
		if kind != "" && !onItsWay {
			if err := yield(pair{kind, key}); err != nil {
				return rows, err
			}
		}
		if w != nil {
			rows++
			want.advance()
		}
		if h != nil {
			have.advance()
		}
	}
}

func least(a, b *state) string {
	if b == nil || a != nil && a.key < b.key {
		return a.key
	}
	return b.key
}

func verdict(have, want *state) string {
	has := have != nil && have.last.HasRow()
	switch {
	case want == nil && !has:
		return ""
	case want == nil:
		return Extra
	case !has:
		return Missing
	case !bytes.Equal(have.row, want.row):
		return Differs
	}
	return ""
}
