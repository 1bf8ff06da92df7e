package projections

import (
	"cmp"
	"fmt"
	"slices"

	"supstream/catalog"
	"supstream/streams"
)

// DefaultMemory is how much a Compactor keeps in memory before it spills: 64 MiB.
const DefaultMemory = 64 << 20

// stateCost is what a row costs in memory beside its key and its JSON: the state, its place in the index and slack in both.
const stateCost = 192

// Compactor folds events to the last state of each row, per Bruger and table. Events must come in the order of the stream. What
// does not fit into its memory is sorted and spilled to files, which the Fold reads back merged.
//
//	c := NewCompactor(spool, 0)
//	err := source.Read(ctx, area, from, to, c.Add)
//	fold, err := c.Finish()
//	defer fold.Close()
type Compactor struct {
	spool  *Spool
	budget int64
	used   int64
	shards map[shardKey]*shard
	recent *shard // of the event before: rows of a table come together
	key    shardKey
	fold   *Fold
}

type shardKey struct {
	bruger catalog.Bruger
	table  string
}

func (k shardKey) compare(o shardKey) int {
	return cmp.Or(k.bruger.Compare(o.bruger), cmp.Compare(k.table, o.table))
}

// shard is the rows of one table for one Bruger.
type shard struct {
	shardKey
	index    map[string]int // key to place in states
	states   []state
	truncate *state
}

// NewCompactor makes a Compactor that uses about memory bytes; 0 means DefaultMemory. The heap may grow to twice that before
// garbage is collected.
func NewCompactor(spool *Spool, memory int64) *Compactor {
	if memory <= 0 {
		memory = DefaultMemory
	}
	return &Compactor{spool: spool, budget: memory, shards: map[shardKey]*shard{}, fold: &Fold{spool: spool}}
}

// Add folds one event in. It keeps nothing of e.
func (c *Compactor) Add(e *streams.Event) error {
	key := shardKey{e.Bruger, e.Table}
	s := c.recent
	if s == nil || key != c.key {
		s = c.shard(key)
		c.recent, c.key = s, key
	}
	c.fold.events++
	switch {
	case e.Op == streams.OpTruncate:
		c.used -= s.empty(e)
	case len(e.Key) == 0:
		return fmt.Errorf("fold: event %s of table %s has no key", e.ID, e.Table)
	case e.Op.HasRow() != (len(e.Row) > 0):
		return fmt.Errorf("fold: event %s of table %s: op %s and its row do not fit together", e.ID, e.Table, e.Op)
	default:
		c.used += s.add(e)
	}
	if c.used > c.budget {
		return c.spill()
	}
	return nil
}

func (c *Compactor) shard(key shardKey) *shard {
	s := c.shards[key]
	if s == nil {
		s = &shard{shardKey: key, index: map[string]int{}}
		c.shards[key] = s
	}
	return s
}

// add returns how many bytes it took.
func (s *shard) add(e *streams.Event) int64 {
	i, known := s.index[string(e.Key)]
	if !known {
		key := string(e.Key)
		s.index[key] = len(s.states)
		s.states = append(s.states, state{table: s.table, key: key, first: e.Op, last: e.Op, xid: e.XID, changes: 1,
			time: e.Time.UnixMicro(), row: slices.Clone(e.Row)})
		return int64(stateCost + len(key) + len(e.Row))
	}
	st := &s.states[i]
	before := cap(st.row)
	st.last, st.xid, st.time = e.Op, e.XID, e.Time.UnixMicro()
	st.changes++
	st.row = append(st.row[:0], e.Row...)
	return int64(cap(st.row) - before)
}

// empty forgets the rows and returns how many bytes that gave back.
func (s *shard) empty(e *streams.Event) int64 {
	var freed int64
	for i := range s.states {
		freed += int64(stateCost + len(s.states[i].key) + cap(s.states[i].row))
	}
	s.states = nil
	clear(s.index)
	if s.truncate == nil {
		s.truncate = &state{table: s.table, first: streams.OpTruncate, last: streams.OpTruncate}
	}
	s.truncate.xid, s.truncate.time = e.XID, e.Time.UnixMicro()
	s.truncate.changes++
	return freed
}

// sorted returns the shards in the order of Bruger and table, each with its rows in the order of keys, and starts anew.
func (c *Compactor) sorted() []*shard {
	out := make([]*shard, 0, len(c.shards))
	for _, s := range c.shards {
		slices.SortFunc(s.states, func(a, b state) int { return cmp.Compare(a.key, b.key) })
		s.index = nil
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *shard) int { return a.compare(b.shardKey) })
	c.shards, c.recent, c.used = map[shardKey]*shard{}, nil, 0
	return out
}

// spill writes what is in memory to a run.
func (c *Compactor) spill() error {
	r, err := c.spool.write(memory(c.sorted()))
	if err != nil {
		return err
	}
	return c.fold.addRun(r)
}

// Finish returns the fold of all events. The Compactor must not be used any more.
func (c *Compactor) Finish() *Fold {
	c.fold.memory = c.sorted()
	return c.fold
}

// Close gives up: files that were spilled are removed. After Finish it is the Fold that must be closed.
func (c *Compactor) Close() error { return c.fold.Close() }

// memory is a part of a fold that has not been spilled: shards in order.
type memory []*shard

func (m memory) brugere() []catalog.Bruger {
	var out []catalog.Bruger
	for _, s := range m {
		if len(out) == 0 || out[len(out)-1] != s.bruger {
			out = append(out, s.bruger)
		}
	}
	return out
}

func (m memory) open(b catalog.Bruger) (cursor, error) {
	i, _ := slices.BinarySearchFunc(m, b, func(s *shard, b catalog.Bruger) int { return s.bruger.Compare(b) })
	j := i
	for j < len(m) && m[j].bruger == b {
		j++
	}
	return &memoryCursor{shards: m[i:j], place: -1}, nil
}

// memoryCursor walks the shards of one Bruger.
type memoryCursor struct {
	shards []*shard
	place  int // in the first shard; -1 is its truncate
	state  state
}

func (c *memoryCursor) next() (*state, error) {
	for len(c.shards) > 0 {
		s := c.shards[0]
		if c.place < 0 {
			c.place = 0
			if s.truncate != nil {
				c.state = *s.truncate
				return &c.state, nil
			}
		}
		if c.place < len(s.states) {
			c.state = s.states[c.place]
			c.place++
			return &c.state, nil
		}
		c.shards, c.place = c.shards[1:], -1
	}
	return nil, nil
}

func (c *memoryCursor) close() error { return nil }
