package projections

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"supstream/catalog"
	"supstream/streams"
)

// areaTick brings one area to a cut: the base first, then the deltas, those with the same beginning from one pass over the
// stream, and last the full loads, which are read from the base.
type areaTick struct {
	*Runner
	*area
	to   streams.Mark // Seq is an upper limit until the first pass has found the last event before Position
	only func(Chain) bool

	first   uint64 // sequence left in the stream
	fixed   bool   // to.Seq is final
	baseErr error
	errs    []error
}

// job is one file to make.
type job struct {
	Chain
	full bool
	from streams.Mark // of a delta
}

// run reports whether it came as far as the chains, and what failed.
func (t *areaTick) run(ctx context.Context, list []granted) (begun bool, err error) {
	var incarnation string
	t.first, incarnation, err = t.parts.Source.First(ctx, t.Slug)
	if err == nil && incarnation != t.to.Incarnation {
		err = errors.New("the stream was made anew just now")
	}
	if err != nil {
		t.metrics.failed(errSource, err)
		return false, fmt.Errorf("start of the stream: %w", err)
	}
	if t.base != nil && t.base.mark.Incarnation == t.to.Incarnation && t.base.mark.Position.Compare(t.to.Position) > 0 {
		t.to, t.fixed = t.base.mark, true // an earlier tick came further in this area
	}
	jobs, delivered := t.plan(ctx, list)
	t.prepareBase(ctx, delivered)

	deltas := map[uint64][]job{}
	var fulls []job
	for _, j := range jobs {
		if j.full {
			fulls = append(fulls, j)
			continue
		}
		deltas[j.from.Seq] = append(deltas[j.from.Seq], j)
	}
	t.advance(ctx, deltas)
	for _, from := range sortedKeys(deltas) {
		t.pass(ctx, from, deltas[from])
	}
	t.fulls(ctx, fulls)
	return true, errors.Join(t.errs...)
}

func (t *areaTick) fail(kind string, err error, chains ...job) {
	t.metrics.failed(kind, err)
	t.errs = append(t.errs, err)
	for _, j := range chains {
		t.again[j.Chain] = true
	}
}

// plan decides what each chain gets. delivered tells whether a chain has files of this life of the stream.
func (t *areaTick) plan(ctx context.Context, list []granted) (jobs []job, delivered bool) {
	for _, g := range list {
		if t.only == nil || t.only(g.Chain) {
			delete(t.again, g.Chain)
		}
		last, err := t.parts.Sink.Last(ctx, g.Chain)
		if err == nil && last.Incarnation == t.to.Incarnation {
			delivered = true
		}
		switch {
		case t.only != nil && !t.only(g.Chain):
		case t.to.Time.Before(g.from): // the cut must lie within the grant, or it could not be told from one before it
		case errors.Is(err, ErrNoManifest):
			jobs = append(jobs, t.fullLoad(g.Chain, "the chain is new"))
		case err != nil:
			t.fail(errPublish, fmt.Errorf("%s: newest manifest: %w", g.Chain, err), job{Chain: g.Chain})
		default:
			if j, ok := t.next(g, &last); ok {
				jobs = append(jobs, j)
			}
		}
	}
	return jobs, delivered
}

func (t *areaTick) fullLoad(c Chain, why string) job {
	t.log.Info("full load", "chain", c.String(), "reason", why)
	return job{Chain: c, full: true}
}

// next is what follows the newest manifest of a chain; nothing when the cut does not lie behind it.
func (t *areaTick) next(g granted, last *Manifest) (job, bool) {
	t.served[g.Chain] = last.Period.End
	end, err := last.End()
	if err != nil {
		t.fail(errPublish, fmt.Errorf("%s: %w", g.Chain, err))
		return job{}, false
	}
	switch {
	case last.Incarnation != t.to.Incarnation:
		return t.fullLoad(g.Chain, "the stream was made anew"), true
	case g.from.After(last.Period.End):
		return t.fullLoad(g.Chain, "the grant is newer than the last file"), true
	case t.gone(end):
		t.metrics.failed(errRangeGone, ErrRangeGone)
		return t.fullLoad(g.Chain, "the stream no longer has what followed the last file"), true
	}
	switch c := t.to.Position.Compare(end.Position); {
	case c < 0, c == 0 && !t.to.Time.After(end.Time):
		return job{}, false
	}
	return job{Chain: g.Chain, from: end}, true
}

// gone tells whether events behind a mark may have left the stream. A stream is shortened by its retention only: sequences that
// are missing behind a young mark belonged to position records, which replace each other.
func (t *areaTick) gone(from streams.Mark) bool {
	return t.first > from.Seq+1 && t.Retention > 0 && t.expired(from.Time)
}

// expired tells whether an event of that time may have left the stream. A tenth of the retention is kept as a margin between
// the clocks of Postgres and of the stream.
func (t *areaTick) expired(at time.Time) bool { return t.to.Time.Sub(at) >= t.Retention/10*9 }

// openBases opens the bases that are not open yet. Areas start where their base ends.
func (r *Runner) openBases() {
	for _, a := range r.areas {
		if a.base != nil {
			continue
		}
		b, err := OpenBase(r.parts.FS, filepath.Join(r.cfg.Dir, "bases", a.Slug), a.Slug)
		if err != nil {
			r.metrics.failed(errBase, err)
			r.log.Error("base cannot be used", "dataomraade", a.Slug, "error", err)
			continue
		}
		a.base, a.covered = b, b.mark.Time
	}
}

// prepareBase sees to it that the base can be continued, or built from the start of the stream.
func (t *areaTick) prepareBase(ctx context.Context, delivered bool) {
	if t.base == nil {
		t.baseErr = errors.New("the base of the area cannot be used, see the log")
		return
	}
	at := t.base.mark
	continues := at.Incarnation == t.to.Incarnation
	if continues && !t.gone(at) {
		return
	}
	complete, err := false, error(nil)
	if !continues {
		complete, err = t.startComplete(ctx, delivered)
	}
	if err != nil {
		t.baseErr = err
		t.fail(errSource, err)
		return
	}
	if !complete {
		t.baseErr = fmt.Errorf("base of %s: %w to build it: restore %s from a backup that is younger than the retention of %s, or "+
			"delete the stream of the area, which makes it load anew", t.Slug, ErrRangeGone, t.base.dir, t.Retention)
		t.fail(errBase, t.baseErr)
		return
	}
	if err := t.base.Reset(); err != nil {
		t.baseErr = err
		t.fail(errBase, err)
	}
}

var errFound = errors.New("found")

// startComplete tells whether the stream still has every event since it was made. It has when its first sequence is there. When
// that was a position record it cannot be seen any more; then the oldest event must be too young to have followed others that
// expired, and nothing can have been delivered, for that would have left a base.
func (t *areaTick) startComplete(ctx context.Context, delivered bool) (bool, error) {
	if t.first <= 1 || t.Retention == 0 {
		return true, nil
	}
	if delivered {
		return false, nil
	}
	var oldest time.Time
	err := t.parts.Source.Read(ctx, t.Slug, 0, t.to.Seq, func(e *streams.Event) error {
		oldest = e.Time
		return errFound
	})
	if err != nil && !errors.Is(err, errFound) {
		return false, fmt.Errorf("oldest event: %w", err)
	}
	return oldest.IsZero() || !t.expired(oldest), nil
}

// advance brings the base to the cut and publishes the deltas that begin where the base was.
func (t *areaTick) advance(ctx context.Context, deltas map[uint64][]job) {
	if t.baseErr != nil || t.fixed {
		return
	}
	at := t.base.mark
	if at.Position.Compare(t.to.Position) >= 0 && !t.to.Time.After(at.Time) {
		t.to, t.fixed = at, true
		return
	}
	fold, err := t.fold(ctx, at.Seq, nil)
	if err != nil {
		t.baseErr = err
		t.fail(errSource, err)
		return
	}
	defer t.closeFold(fold)
	if err := t.base.Advance(ctx, fold, t.to); err != nil {
		t.baseErr = err
		t.fail(errBase, err)
	}
	t.deltas(ctx, fold, deltas[at.Seq])
	delete(deltas, at.Seq)
}

// pass publishes deltas that begin at a place of their own.
func (t *areaTick) pass(ctx context.Context, from uint64, jobs []job) {
	wanted := map[catalog.Bruger]bool{}
	for _, j := range jobs {
		for _, b := range t.sources(j.Bruger) {
			wanted[b] = true
		}
	}
	fold, err := t.fold(ctx, from, wanted)
	if err != nil {
		t.fail(errSource, err, jobs...)
		return
	}
	defer t.closeFold(fold)
	t.deltas(ctx, fold, jobs)
}

func (t *areaTick) closeFold(f *Fold) {
	if err := f.Close(); err != nil {
		t.fail(errSource, err)
	}
}

var errCut = errors.New("the cut is reached")

// fold reads the window behind from, for some Brugere or, when wanted is nil, for all, and fixes where it ends.
func (t *areaTick) fold(ctx context.Context, from uint64, wanted map[catalog.Bruger]bool) (*Fold, error) {
	began := time.Now()
	c := NewCompactor(t.spool, t.cfg.Memory)
	err := t.parts.Source.Read(ctx, t.Slug, from, t.to.Seq, func(e *streams.Event) error {
		if e.Position.Compare(t.to.Position) > 0 {
			t.to.Seq = e.Seq - 1
			return errCut
		}
		if wanted != nil && !wanted[e.Bruger] {
			return nil
		}
		return c.Add(e)
	})
	if err != nil && !errors.Is(err, errCut) {
		return nil, errors.Join(fmt.Errorf("read from sequence %d: %w", from, err), c.Close())
	}
	t.fixed = true
	fold := c.Finish()
	t.metrics.folded(fold.Events(), time.Since(began))
	return fold, nil
}

func (t *areaTick) deltas(ctx context.Context, fold *Fold, jobs []job) {
	t.publish(ctx, jobs, func(j job) *Delta {
		return &Delta{Kind: DeltaLoad, From: j.from, Rows: func(ctx context.Context, yield func(*Row) error) error {
			return fold.rows(ctx, t.sources(j.Bruger), yield)
		}}
	})
}

func (t *areaTick) fulls(ctx context.Context, jobs []job) {
	if len(jobs) > 0 && t.baseErr != nil {
		t.fail(errBase, fmt.Errorf("%d full loads wait: %w", len(jobs), t.baseErr), jobs...)
		return
	}
	t.publish(ctx, jobs, func(j job) *Delta {
		return &Delta{Kind: FullLoad, Rows: func(ctx context.Context, yield func(*Row) error) error {
			return t.base.rows(ctx, t.sources(j.Bruger), yield)
		}}
	})
}

// publish writes files side by side. Each is asked for once more whether it is still granted. A failure stops nobody else.
func (t *areaTick) publish(ctx context.Context, jobs []job, build func(job) *Delta) {
	if len(jobs) == 0 {
		return
	}
	still := t.chains(t.parts.Clock.Now())[t.Slug]
	var mu sync.Mutex // guards errs, served and again
	var g errgroup.Group
	g.SetLimit(t.cfg.Files)
	for _, j := range jobs {
		if ctx.Err() != nil {
			break
		}
		if !slices.ContainsFunc(still, func(s granted) bool { return s.Chain == j.Chain }) {
			continue
		}
		g.Go(func() error {
			d := build(j)
			d.Chain, d.Area, d.Catalog, d.To = j.Chain, t.Dataomraade, t.parts.Catalog.Version(), t.to
			m, err := t.parts.Sink.Publish(ctx, d)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.fail(errPublish, fmt.Errorf("%s: %w", j.Chain, err), j)
				return nil
			}
			t.served[j.Chain] = m.Period.End
			t.metrics.published(&m)
			return nil
		})
	}
	if err := errors.Join(g.Wait(), ctx.Err()); err != nil {
		t.errs = append(t.errs, err)
	}
}

func sortedKeys(m map[uint64][]job) []uint64 {
	out := make([]uint64, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
