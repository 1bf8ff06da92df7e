package projections

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"

	"supstream/catalog"
)

// part is a sorted piece of history: a run on disk or the memory of a Compactor. Parts are kept in the order of time.
type part interface {
	brugere() []catalog.Bruger // sorted
	open(b catalog.Bruger) (cursor, error)
}

// cursor walks the states of one Bruger in one part in order. The state is valid until the next call; nil is the end.
type cursor interface {
	next() (*state, error)
	close() error
}

// brugereOf is the union of the Brugere of parts, sorted.
func brugereOf(parts []part) []catalog.Bruger {
	var all []catalog.Bruger
	for _, p := range parts {
		all = append(all, p.brugere()...)
	}
	slices.SortFunc(all, catalog.Bruger.Compare)
	return slices.Compact(all)
}

// checkEvery is how many rows pass between two looks at the context.
const checkEvery = 4096

// merge folds the states of some Brugere over parts, oldest part first, and yields one state per row in order. The tables of
// different Brugere must not overlap, or be asked for one at a time.
func merge(ctx context.Context, parts []part, brugere []catalog.Bruger, yield func(*state) error) (err error) {
	var m merger
	defer func() {
		for _, in := range m.all {
			err = errors.Join(err, in.cursor.close())
		}
	}()
	for age, p := range parts {
		for _, b := range brugere {
			c, err := p.open(b)
			if err != nil {
				return err
			}
			in := &input{cursor: c, age: age}
			m.all = append(m.all, in)
			if err := m.advance(in); err != nil {
				return err
			}
		}
	}
	for n := 0; len(m.heap) > 0; n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := m.step(yield); err != nil {
			return err
		}
	}
	return nil
}

type input struct {
	cursor cursor
	age    int // of its part; 0 is the oldest
	head   *state
}

type merger struct {
	all       []*input
	heap      inputs
	group     []*input // those with the row at hand, oldest first
	table     string
	truncated int // age of the newest part that truncates table, -1 for none
	begun     bool
	out       state
}

// advance moves an input to its next state and queues it, unless it is at its end.
func (m *merger) advance(in *input) error {
	head, err := in.cursor.next()
	if err != nil || head == nil {
		return err
	}
	in.head = head
	heap.Push(&m.heap, in)
	return nil
}

// step yields the next row.
func (m *merger) step(yield func(*state) error) error {
	m.group = append(m.group[:0], heap.Pop(&m.heap).(*input))
	for len(m.heap) > 0 && m.heap[0].head.compare(m.group[0].head) == 0 {
		m.group = append(m.group, heap.Pop(&m.heap).(*input))
	}
	if out := m.fold(); out != nil {
		if err := yield(out); err != nil {
			return err
		}
	}
	for _, in := range m.group {
		if err := m.advance(in); err != nil {
			return err
		}
	}
	return nil
}

// fold makes one state of the group, nil when a later truncate took the row away.
func (m *merger) fold() *state {
	first := m.group[0].head
	if !m.begun || first.table != m.table {
		m.begun, m.table, m.truncated = true, first.table, -1
	}
	if first.isTruncate() {
		m.truncated = m.group[len(m.group)-1].age
	}
	found := false
	for _, in := range m.group {
		switch {
		case in.age < m.truncated && !first.isTruncate():
		case !found:
			m.out, found = *in.head, true // a copy: the cursors go on using theirs
		default:
			m.out.append(in.head)
		}
	}
	if !found {
		return nil
	}
	if m.truncated >= 0 && !first.isTruncate() {
		m.out.first = afterTruncate
	}
	return &m.out
}

// inputs is a heap by state, then by age.
type inputs []*input

func (h inputs) Len() int { return len(h) }
func (h inputs) Less(i, j int) bool {
	return cmp.Or(h[i].head.compare(h[j].head), cmp.Compare(h[i].age, h[j].age)) < 0
}
func (h inputs) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *inputs) Push(x any)   { *h = append(*h, x.(*input)) }
func (h *inputs) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// maxRuns is how many runs of a fold may be open at once, some 150 KiB each, before they are merged into one.
const maxRuns = 128

// Fold is the result of a Compactor. It may be read any number of times, also by several goroutines.
type Fold struct {
	spool  *Spool
	runs   []*run
	memory memory
	events uint64
}

// Events is the number of events that were folded.
func (f *Fold) Events() uint64 { return f.events }

func (f *Fold) parts() []part {
	out := make([]part, 0, len(f.runs)+1)
	for _, r := range f.runs {
		out = append(out, r)
	}
	return append(out, f.memory)
}

func (f *Fold) addRun(r *run) error {
	f.runs = append(f.runs, r)
	if len(f.runs) < maxRuns {
		return nil
	}
	merged, err := f.spool.merge(f.parts())
	if err != nil {
		return err
	}
	err = f.Close()
	f.runs = []*run{merged}
	return err
}

// states is about the number of rows in the fold: a row in several runs counts several times.
func (f *Fold) states() int64 {
	var n int64
	for _, r := range f.runs {
		n += r.index.states()
	}
	for _, s := range f.memory {
		n += int64(len(s.states))
	}
	return n
}

// rows yields what changed for some Brugere whose tables do not overlap.
func (f *Fold) rows(ctx context.Context, brugere []catalog.Bruger, yield func(*Row) error) error {
	var row Row
	return merge(ctx, f.parts(), brugere, func(s *state) error {
		s.fill(&row)
		return yield(&row)
	})
}

// Close removes the files of the fold.
func (f *Fold) Close() error {
	var errs []error
	for _, r := range f.runs {
		errs = append(errs, r.Close(), f.spool.remove(r))
	}
	f.runs = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close fold: %w", err)
	}
	return nil
}

var _ part = memory(nil)
