package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"supstream/projections/durable"
	"supstream/streams"
)

// Runner makes the deltas of all open areas on their schedules.
type Runner struct {
	cfg      Config
	parts    Parts
	schedule schedule
	spool    *Spool
	metrics  *metrics
	log      *slog.Logger
	lock     *os.File
	started  time.Time

	mu    sync.Mutex // held during a tick; guards the areas
	areas []*area    // by slug
}

// ErrInUse: another process works in the directory.
var ErrInUse = errors.New("the directory is in use by another process")

// NewRunner takes the directory of cfg into use and removes what a crash left there. Close gives it back. With ErrInUse nothing has
// been done, and it may be tried again.
func NewRunner(cfg Config, parts Parts) (*Runner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if parts.Clock == nil {
		parts.Clock = SystemClock{}
	}
	if parts.FS == nil {
		parts.FS = durable.OS{}
	}
	r := &Runner{cfg: cfg, parts: parts, log: parts.Log}
	var err error
	if r.schedule, err = newSchedule(cfg.Every); err != nil {
		return nil, err
	}
	if r.lock, err = lockDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("projections: %w", err)
	}
	r.metrics = newMetrics(parts.Registry)
	r.started = parts.Clock.Now()
	spilled := func(n int64) { r.metrics.spilled.Add(float64(n)) }
	if r.spool, err = OpenSpool(parts.FS, filepath.Join(cfg.Dir, "spool"), spilled); err != nil {
		return nil, errors.Join(err, r.lock.Close())
	}
	for _, d := range parts.Catalog.Dataomraader() {
		if d.Open() {
			r.areas = append(r.areas, &area{Dataomraade: d, served: map[Chain]time.Time{}, again: map[Chain]bool{}})
			r.metrics.period.WithLabelValues(d.Slug).Set(r.schedule.period(d.Frequency).Seconds())
		}
	}
	return r, nil
}

// lockDir keeps a second process out of a directory for as long as the file is open.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), f.Close())
	}
	return f, nil
}

// Close ends the use of the directory. It must not be called while Run or RunOnce is running.
func (r *Runner) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, a := range r.areas {
		if a.base != nil {
			errs = append(errs, a.base.Close())
			a.base = nil
		}
	}
	return errors.Join(append(errs, r.lock.Close())...)
}

// Run makes deltas until the context ends; that is not an error. Failures are logged, counted and tried again.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	r.survey(ctx)
	r.mu.Unlock()
	for ctx.Err() == nil {
		if err := r.poll(ctx, r.parts.Clock.Now()); err != nil && ctx.Err() == nil {
			r.log.Error("projection failed and will be tried again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-r.parts.Clock.After(r.cfg.Poll):
		}
	}
	return nil
}

// RunOnce makes the deltas of the areas that are due at now, or of all areas, up to the newest marks, without waiting for newer
// ones. It returns what failed; what did not fail is published.
func (r *Runner) RunOnce(ctx context.Context, now time.Time, all bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	granted := r.chains(now)
	r.openBases()
	var due []*area
	for _, a := range r.areas {
		if _, isDue := r.slot(a, now); all || isDue {
			due = append(due, a)
		}
	}
	marks, errs := r.marks(ctx, due)
	return errors.Join(append(errs, r.tick(ctx, now, due, marks, granted, nil))...)
}

// poll does what is to be done now: areas whose time has come and whose marks are there, and new grants.
func (r *Runner) poll(ctx context.Context, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	granted := r.chains(now)
	r.openBases()
	var due []*area
	for _, a := range r.areas {
		slot, isDue := r.slot(a, now)
		switch {
		case !isDue:
			a.due = time.Time{}
			continue
		case a.due.IsZero():
			a.due = slot
		}
		if !now.Before(a.retry) {
			due = append(due, a)
		}
	}
	marks, errs := r.marks(ctx, due)
	if r.ripe(now, due, marks) {
		errs = append(errs, r.tick(ctx, now, due, marks, granted, nil))
	}
	return errors.Join(append(errs, r.welcome(ctx, now, granted))...)
}

// slot is the newest moment at or before now at which the area should have been delivered, and whether that is still to be done.
func (r *Runner) slot(a *area, now time.Time) (time.Time, bool) {
	from := a.covered
	period := r.schedule.period(a.Frequency)
	if period == 0 {
		return time.Time{}, false
	}
	if long := now.Add(-2 * period); from.Before(long) {
		from = long
	}
	var slot time.Time
	for next := r.schedule.next(a.Frequency, from); !next.After(now); next = r.schedule.next(a.Frequency, next) {
		slot = next
	}
	if a.covered.IsZero() {
		return slot, true
	}
	return slot, slot.After(a.covered)
}

// marks asks for the newest marks of areas. An area where no window can end has none.
func (r *Runner) marks(ctx context.Context, due []*area) (map[string]streams.Mark, []error) {
	out := map[string]streams.Mark{}
	var errs []error
	for _, a := range due {
		mark, err := r.parts.Source.Newest(ctx, a.Slug)
		waiting := 0.0
		switch {
		case errors.Is(err, streams.ErrNoMark) || err == nil && mark.Loading:
			waiting = 1
		case err != nil:
			r.metrics.failed(errSource, err)
			errs = append(errs, fmt.Errorf("%s: newest mark: %w", a.Slug, err))
		default:
			out[a.Slug] = mark
		}
		r.metrics.waiting.WithLabelValues(a.Slug).Set(waiting)
	}
	return out, errs
}

// ripe tells whether every due area has a mark at or after the time since which it is due, or patience is at its end.
func (r *Runner) ripe(now time.Time, due []*area, marks map[string]streams.Mark) bool {
	for _, a := range due {
		mark, ok := marks[a.Slug]
		slot := a.due
		if ok && mark.Time.Before(slot) && now.Sub(slot) < r.cfg.Patience {
			return false
		}
	}
	return len(marks) > 0
}

// tick cuts areas together and works on them side by side. Chains that only leaves out are not touched; nil means all.
func (r *Runner) tick(ctx context.Context, now time.Time, due []*area, marks map[string]streams.Mark, granted map[string][]granted,
	only func(Chain) bool) error {
	cut := cuts(marks, r.cfg.Patience)
	errs := make([]error, len(due))
	var g errgroup.Group
	g.SetLimit(r.cfg.Areas)
	for i, a := range due {
		to, ok := cut[a.Slug]
		if !ok {
			continue
		}
		g.Go(func() error {
			t := areaTick{Runner: r, area: a, to: to, only: only}
			begun, err := t.run(ctx, granted[a.Slug])
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", a.Slug, err)
				a.retry = now.Add(r.cfg.Retry)
			}
			if begun && only == nil { // what failed of it is tried again chain by chain, and disturbs nobody else's schedule
				a.covered, _ = r.slot(a, now)
				if a.covered.Before(to.Time) {
					a.covered = to.Time
				}
				a.due = time.Time{}
			}
			r.showAges(a, granted[a.Slug])
			return nil
		})
	}
	return errors.Join(g.Wait(), errors.Join(errs...))
}

// welcome works on chains that came into being since the last tick, or failed in it, without waiting for the next.
func (r *Runner) welcome(ctx context.Context, now time.Time, granted map[string][]granted) error {
	var errs []error
	for _, a := range r.areas {
		if a.covered.IsZero() || now.Before(a.retry) || len(a.unserved(granted[a.Slug], now)) == 0 {
			continue
		}
		marks, failed := r.marks(ctx, []*area{a})
		errs = append(errs, failed...)
		if fresh := a.unserved(granted[a.Slug], marks[a.Slug].Time); len(fresh) > 0 {
			errs = append(errs, r.tick(ctx, now, []*area{a}, marks, granted, func(c Chain) bool { return fresh[c] }))
		}
	}
	return errors.Join(errs...)
}
