package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"supstream/catalog"
	"supstream/streams"
)

// Mirror reads the tables that receivers' rows are compared with.
type Mirror interface {
	// Read calls yield with one event for every row and owner of a table, all as of one moment, in no particular order. The XID of
	// an event is the transaction that has touched the row since, 0 if none. With counts, the rows of each Bruger are counted a
	// second time by other means.
	Read(ctx context.Context, t *catalog.Table, counts bool, yield func(*streams.Event) error) (*streams.Look, map[catalog.Bruger]int64, error)

	// Position is the end of the log now.
	Position(ctx context.Context) (uint64, error)

	// Pseudonym names a row by its key as events have it.
	Pseudonym(t *catalog.Table, key []byte) string
}

var _ Mirror = (*streams.MirrorReader)(nil)

// Scope is what to compare; what is empty is everything.
type Scope struct {
	Areas   []string // slugs
	Tables  []string // slugs
	Brugere []catalog.Bruger
	List    int // most differences to list

	// Loading takes areas too that have not been read to their end: what is not there yet is missing.
	Loading bool
}

func (s *Scope) wants(b catalog.Bruger) bool {
	return len(s.Brugere) == 0 || slices.Contains(s.Brugere, b)
}

func (s *Scope) tables(a *area) []*catalog.Table {
	if len(s.Tables) == 0 {
		return a.Tables
	}
	var out []*catalog.Table
	for _, t := range a.Tables {
		if slices.Contains(s.Tables, t.Slug) {
			out = append(out, t)
		}
	}
	return out
}

// Comparison is the result for one area.
type Comparison struct {
	Dataomraade string           `json:"dataomraade"`
	Position    string           `json:"position"` // the stream up to here was compared
	Rows        int64            `json:"rows"`     // in the mirror, once for each owner
	Kinds       map[string]int64 `json:"differences"`
	Repaired    int64            `json:"repaired,omitempty"` // events published to mend them
	List        []Difference     `json:"list,omitempty"`     // the first of them
	Seconds     float64          `json:"seconds"`
	Error       string           `json:"error,omitempty"` // why the area was not compared
}

// Differences is how many there are.
func (c *Comparison) Differences() (n int64) {
	for _, k := range c.Kinds {
		n += k
	}
	return n
}

// Difference is one row that receivers of a Bruger do not have as the mirror has it. Key is the pseudonym of its key, the subject of
// its events; empty for Counted.
type Difference struct {
	Bruger string `json:"bruger"`
	Table  string `json:"table"`
	Kind   string `json:"kind"`
	Key    string `json:"key,omitempty"`
}

// Repair publishes what the mirror has of rows that differ: for each the row, or that it is gone. Pairs of one call are of one
// table. It returns how many events there were.
type Repair func(ctx context.Context, t *catalog.Table, rows []KeyOf) (int, error)

// KeyOf is a row of a Bruger, by its key as events have it.
type KeyOf struct {
	Bruger catalog.Bruger
	Key    string // JSON object
}

// Reconcile compares, area by area, the rows that the mirror has for each Bruger with those that receivers have. It stops nobody:
// files go on being made, and the mirror's changes go on being captured. With repair, what differs is mended and compared again;
// the result then has what was found in List and Repaired, and in Kinds what is left.
//
// Each table is read in one snapshot. The other side is the fold of the stream up to a mark behind that snapshot, of those events
// only whose transactions the snapshot sees; for one row these always come before the others. So both sides are the same moment
// whatever goes on meanwhile, and a healthy system shows no difference. Rows are first compared by checksums for each table and
// Bruger; only where these differ, row by row, with a new snapshot.
func (r *Runner) Reconcile(ctx context.Context, m Mirror, s Scope, repair Repair) ([]Comparison, error) {
	var work []*comparison
	for _, a := range r.areas {
		if (len(s.Areas) == 0 || slices.Contains(s.Areas, a.Slug)) && len(s.tables(a)) > 0 {
			work = append(work, &comparison{Runner: r, area: a, mirror: m, scope: s, repair: repair})
		}
	}
	compareAll(ctx, work)
	var again []*comparison
	for _, c := range work {
		if c.err == nil && c.Repaired > 0 {
			again = append(again, &comparison{Runner: r, area: c.area, mirror: m, scope: s, first: c})
		}
	}
	compareAll(ctx, again)
	for _, c := range again {
		c.Repaired = c.first.Repaired
		if len(c.List) == 0 {
			c.List = c.first.List
		}
		*c.first = *c
	}
	out := []Comparison{}
	for _, c := range work {
		if c.err != nil && ctx.Err() == nil {
			r.log.Error("comparison with the mirror failed", "dataomraade", c.Slug, "error", c.err)
			c.Error = c.err.Error()
		}
		if ctx.Err() == nil {
			r.metrics.reconciled(&c.Comparison, len(s.Tables) == 0 && len(s.Brugere) == 0)
		}
		out = append(out, c.Comparison)
	}
	return out, context.Cause(ctx)
}

// compareAll reads the tables of all areas first, so that the streams come as far as the mirror once and not area by area.
func compareAll(ctx context.Context, work []*comparison) {
	step := func(do func(c *comparison) error) {
		for _, c := range work {
			began := time.Now()
			if c.err == nil && ctx.Err() == nil {
				c.err = do(c)
			}
			c.Seconds += time.Since(began).Seconds()
		}
	}
	step(func(c *comparison) error { return c.begin(ctx) })
	step(func(c *comparison) error { return c.finish(ctx) })
	for _, c := range work {
		if c.view != nil {
			c.err = errors.Join(c.err, c.view.Close())
		}
	}
}

// comparison is the work on one area.
type comparison struct {
	*Runner
	*area
	Comparison
	mirror Mirror
	scope  Scope
	repair Repair
	due    []KeyOf // to be mended, of the table at hand
	waited time.Duration
	first  *comparison // what this one repeats after a repair
	err    error

	// The first look at all tables.
	view  *view
	want  *digests
	looks map[string]*streams.Look
}

// finish compares what begin has read: checksums first, then the rows of what differs.
func (c *comparison) finish(ctx context.Context) error {
	suspects, err := c.checksums(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(suspects, shardKey.compare)
	c.log.Debug("checksums compared", "dataomraade", c.Slug, "rows", c.Rows, "differing", len(suspects), "waited", c.waited)
	for _, t := range c.scope.tables(c.area) {
		var brugere []catalog.Bruger
		for _, k := range suspects {
			if k.table == t.Slug {
				brugere = append(brugere, k.bruger)
			}
		}
		if len(brugere) == 0 {
			continue
		}
		if err := c.table(ctx, t, brugere); err != nil {
			return err
		}
	}
	return nil
}

// begin reads the tables.
func (c *comparison) begin(ctx context.Context) (err error) {
	c.Comparison = Comparison{Dataomraade: c.Slug, Kinds: map[string]int64{}}
	if c.view, err = c.openView(ctx, c.area); err != nil { // before the looks: what is in the base has long been visible
		return err
	}
	c.want, c.looks = newDigests(), map[string]*streams.Look{}
	for _, t := range c.scope.tables(c.area) {
		look, counts, err := c.mirror.Read(ctx, t, true, func(e *streams.Event) error {
			if c.scope.wants(e.Bruger) {
				c.Rows++
				c.want.add(shardKey{e.Bruger, e.Table}, e.Key, e.Row)
			}
			return nil
		})
		if err != nil {
			return err
		}
		c.count(t, c.want, counts)
		c.looks[t.Slug] = look
	}
	return nil
}

// checksums lists the tables and Brugere that differ, or that could not be compared this way.
func (c *comparison) checksums(ctx context.Context) ([]shardKey, error) {
	v, want, looks := c.view, c.want, c.looks
	var end uint64
	for _, look := range looks {
		end = max(end, look.End)
	}
	began := time.Now()
	mark, err := c.reach(ctx, c.area, c.scope.Loading, end)
	if err != nil {
		return nil, err
	}
	c.waited = time.Since(began)
	c.Position = mark.Position.String()
	disturbed, err := c.window(ctx, c.area, v, mark, looks, c.scope.wants)
	if err != nil {
		return nil, err
	}
	have := newDigests()
	parts := v.parts()
	for _, b := range brugereOf(parts) {
		if !c.scope.wants(b) {
			continue
		}
		err := merge(ctx, parts, []catalog.Bruger{b}, func(s *state) error {
			if looks[s.table] != nil && s.last.HasRow() {
				have.add(shardKey{b, s.table}, []byte(s.key), s.row)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	suspects := want.differing(have)
	for _, d := range []*digests{want, have} {
		for k := range d.of {
			if disturbed[k.table] && !slices.Contains(suspects, k) {
				suspects = append(suspects, k)
			}
		}
	}
	return suspects, nil
}

// count compares what was routed with what SQL counts.
func (c *comparison) count(t *catalog.Table, routed *digests, counts map[catalog.Bruger]int64) {
	wrong := func(b catalog.Bruger) {
		c.Kinds[Counted]++
		c.note(Difference{Bruger: b.String(), Table: t.Slug, Kind: Counted})
	}
	for k, d := range routed.of {
		if k.table == t.Slug && counts[k.bruger] != d.rows {
			wrong(k.bruger)
		}
	}
	for b, n := range counts {
		if n > 0 && c.scope.wants(b) && routed.of[shardKey{b, t.Slug}] == nil {
			wrong(b)
		}
	}
}

// attempts is how often a table is looked at again because a back-fill read it meanwhile.
const attempts = 3

// table compares the rows of a table for some Brugere.
func (c *comparison) table(ctx context.Context, t *catalog.Table, brugere []catalog.Bruger) error {
	for range attempts {
		disturbed, err := c.tableOnce(ctx, t, brugere)
		if err != nil || !disturbed {
			return err
		}
	}
	return fmt.Errorf("%w: table %s was read by back-fills all the time", ErrNotComparable, t)
}

func (c *comparison) tableOnce(ctx context.Context, t *catalog.Table, brugere []catalog.Bruger) (disturbed bool, err error) {
	v, err := c.openView(ctx, c.area)
	if err != nil {
		return false, err
	}
	defer v.Close()
	wanted := func(b catalog.Bruger) bool {
		_, found := slices.BinarySearchFunc(brugere, b, catalog.Bruger.Compare)
		return found
	}
	rows := NewCompactor(c.spool, c.cfg.Memory)
	look, _, err := c.mirror.Read(ctx, t, false, func(e *streams.Event) error {
		if !wanted(e.Bruger) {
			return nil
		}
		return rows.Add(e)
	})
	if err != nil {
		return false, errors.Join(err, rows.Close())
	}
	mirror := rows.Finish()
	defer mirror.Close()
	mark, err := c.reachAll(ctx, look)
	if err != nil {
		return false, err
	}
	c.Position = mark.Position.String()
	moved, err := c.window(ctx, c.area, v, mark, map[string]*streams.Look{t.Slug: look}, wanted)
	if err != nil || moved[t.Slug] {
		return true, err
	}
	for _, b := range brugere {
		if _, err := compare(ctx, v, mirror, b, t.Slug, look.Open, func(p pair) error { return c.found(ctx, t, b, p) }); err != nil {
			return false, err
		}
	}
	return false, c.mend(ctx, t)
}

// reachAll waits until the stream has everything the look has seen, and then everything that can have gone into it: a change of
// which Postgres leaves out large values is filled from the row as it is when the change is decoded, which may be later than the
// look. By the second mark the stream says what made it so.
func (c *comparison) reachAll(ctx context.Context, look *streams.Look) (streams.Mark, error) {
	if m, err := c.reach(ctx, c.area, c.scope.Loading, look.End); err != nil {
		return m, err
	}
	end, err := c.mirror.Position(ctx)
	if err != nil {
		return streams.Mark{}, err
	}
	return c.reach(ctx, c.area, c.scope.Loading, end)
}

// found notes a difference, and mends it with others when there are enough.
func (c *comparison) found(ctx context.Context, t *catalog.Table, b catalog.Bruger, p pair) error {
	c.Kinds[p.kind]++
	c.note(Difference{Bruger: b.String(), Table: t.Slug, Kind: p.kind, Key: c.mirror.Pseudonym(t, []byte(p.key))})
	if c.repair == nil {
		return nil
	}
	c.due = append(c.due, KeyOf{b, p.key})
	if len(c.due) < repairRows {
		return nil
	}
	return c.mend(ctx, t)
}

// repairRows is how many rows are mended at once.
const repairRows = 200

func (c *comparison) mend(ctx context.Context, t *catalog.Table) error {
	if len(c.due) == 0 {
		return nil
	}
	n, err := c.repair(ctx, t, c.due)
	c.Repaired += int64(n)
	c.due = c.due[:0]
	return err
}

func (c *comparison) note(d Difference) {
	if len(c.List) < c.scope.List {
		c.List = append(c.List, d)
	}
}
