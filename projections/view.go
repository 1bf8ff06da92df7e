package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"supstream/catalog"
	"supstream/streams"
)

// view is what receivers of an area have: its base, opened a second time so that the Runner may replace its runs meanwhile, and
// what happened since.
type view struct {
	from streams.Mark // of the base
	runs []*run
	seen *Fold
	late *Fold // events that the look has not seen; only to tell what is on its way
}

// ErrNotComparable: the area has no base yet, or is being read.
var ErrNotComparable = errors.New("the area cannot be compared now")

// openView opens the base of an area as it is now.
func (r *Runner) openView(ctx context.Context, a *area) (*view, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.openBases()
	first, incarnation, err := r.parts.Source.First(ctx, a.Slug)
	if err != nil {
		return nil, fmt.Errorf("start of the stream: %w", err)
	}
	if a.base == nil || len(a.base.runs) == 0 || a.base.mark.Incarnation != incarnation {
		return nil, fmt.Errorf("%w: its base is built with the first files", ErrNotComparable)
	}
	if t := (&areaTick{Runner: r, area: a, first: first, to: streams.Mark{Time: r.parts.Clock.Now()}}); t.gone(a.base.mark) {
		return nil, fmt.Errorf("%w: the base ends where the stream has expired, see the log of the projector", ErrNotComparable)
	}
	v := &view{from: a.base.mark}
	for _, old := range a.base.runs {
		opened, err := openRun(r.parts.FS, old.name)
		if err != nil {
			return nil, errors.Join(err, v.Close())
		}
		v.runs = append(v.runs, opened)
	}
	return v, nil
}

// Close closes what the view has opened.
func (v *view) Close() error {
	var errs []error
	for _, r := range v.runs {
		errs = append(errs, r.Close())
	}
	for _, f := range []*Fold{v.seen, v.late} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	v.runs, v.seen, v.late = nil, nil, nil
	return errors.Join(errs...)
}

// parts are the base and what happened since, oldest first.
func (v *view) parts() []part {
	var out []part
	for _, r := range v.runs {
		out = append(out, r)
	}
	return append(out, v.seen.parts()...)
}

// reach waits for the first mark at or behind a position of the log.
func (r *Runner) reach(ctx context.Context, a *area, loading bool, lsn uint64) (streams.Mark, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, reachWithin, fmt.Errorf("%w: its stream did not come as far as the mirror within %s", ErrNotComparable, reachWithin))
	defer cancel()
	for {
		m, err := r.parts.Source.Newest(ctx, a.Slug)
		switch {
		case err != nil && context.Cause(ctx) == nil:
			return m, fmt.Errorf("newest mark: %w", err)
		case err == nil && m.Loading && !loading:
			return m, fmt.Errorf("%w: it is being read", ErrNotComparable)
		case err == nil && m.Position.LSN >= lsn:
			return m, nil
		}
		select {
		case <-ctx.Done():
			return m, context.Cause(ctx)
		case <-time.After(reachEvery):
		}
	}
}

const (
	reachWithin = 2 * time.Minute
	reachEvery  = 100 * time.Millisecond
)

// window folds what happened behind the base, up to a mark, into what the looks at the tables have seen and what they have not.
// Tables without a look are left out. Of the order of events and looks it reports false for a table that was read by a back-fill,
// or emptied by a repair, behind its look: what such events have seen cannot be told.
func (r *Runner) window(ctx context.Context, a *area, v *view, to streams.Mark, looks map[string]*streams.Look, wanted func(catalog.Bruger) bool) (map[string]bool, error) {
	disturbed := map[string]bool{}
	seen, late := NewCompactor(r.spool, r.cfg.Memory), NewCompactor(r.spool, r.cfg.Memory)
	err := r.parts.Source.Read(ctx, a.Slug, v.from.Seq, to.Seq, func(e *streams.Event) error {
		look := looks[e.Table]
		switch {
		case look == nil || !wanted(e.Bruger):
			return nil
		case e.XID == 0 && e.Position.LSN > look.Begin:
			disturbed[e.Table] = true
			return nil
		case e.XID != 0 && !look.Sees(e.XID):
			return late.Add(e)
		}
		return seen.Add(e)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read from sequence %d: %w", v.from.Seq, err), seen.Close(), late.Close())
	}
	v.seen, v.late = seen.Finish(), late.Finish()
	return disturbed, nil
}
