package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"supstream/capture"
	"supstream/catalog"
	"supstream/ops"
	"supstream/projections"
	"supstream/streams"
)

// reconciler compares the mirror with what receivers have, once at a time: the base belongs to this process.
type reconciler struct {
	s        *service
	capturer *capture.Capturer // nil: this process does not capture, and cannot repair

	mu     sync.Mutex // held during a comparison; guards runner
	runner *projections.Runner
}

// reconcileOrder is what `supstream reconcile` asks for.
type reconcileOrder struct {
	Areas   []string `json:"areas"`
	Tables  []string `json:"tables"`
	Brugere []string `json:"brugere"`
	List    int      `json:"list"`
	Repair  bool     `json:"repair"`
}

const orderReconcile = "reconcile"

// use makes a runner the one whose bases are compared; nil ends that, when the comparison that goes on has ended.
func (r *reconciler) use(runner *projections.Runner) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runner = runner
}

// order takes the order of a command.
func (r *reconciler) order(ctx context.Context, in json.RawMessage) (any, error) {
	var o reconcileOrder
	if err := json.Unmarshal(in, &o); err != nil {
		return nil, ops.Refuse("the order is not understood: is the command of the same version as the process?")
	}
	scope := projections.Scope{Areas: o.Areas, Tables: o.Tables, List: o.List}
	for _, text := range o.Brugere {
		b, err := catalog.ParseBruger(text)
		if err != nil {
			return nil, ops.Refuse("%v", err)
		}
		scope.Brugere = append(scope.Brugere, b)
	}
	return r.run(ctx, scope, o.Repair)
}

// run compares, and repairs if asked to.
func (r *reconciler) run(ctx context.Context, scope projections.Scope, repair bool) ([]projections.Comparison, error) {
	if !r.mu.TryLock() {
		return nil, ops.Refuse("a comparison is going on already: try again when it has ended")
	}
	defer r.mu.Unlock()
	if r.runner == nil {
		return nil, ops.Refuse("this process does not make files now, so it has no base to compare with: ask the process that does")
	}
	if r.s.config.Postgres.URL == "" {
		return nil, ops.Refuse("this process does not know the mirror: set postgres.url in its configuration")
	}
	if repair && r.capturer == nil {
		return nil, ops.Refuse("this process does not capture, so it cannot repair: roles capture and project must be in one process")
	}
	pg, err := r.s.config.Postgres.parse()
	if err != nil {
		return nil, err
	}
	key, err := pseudonymKey(r.s.config.Keys)
	if err != nil {
		return nil, err
	}
	scanner, err := capture.OpenScanner(ctx, pg)
	if err != nil {
		return nil, err
	}
	defer scanner.Close(context.WithoutCancel(ctx))
	mirror := streams.NewMirrorReader(r.s.catalog, scanner, key)
	var mend projections.Repair
	if repair {
		mend = func(ctx context.Context, t *catalog.Table, rows []projections.KeyOf) (int, error) {
			list := make([]capture.Mend, len(rows))
			for i, row := range rows {
				var err error
				if list[i].Key, err = mirror.KeyRow(t, []byte(row.Key)); err != nil {
					return 0, err
				}
				list[i].Bruger = row.Bruger
			}
			return r.capturer.Repair(ctx, t, list)
		}
	}
	began := time.Now()
	results, err := r.runner.Reconcile(ctx, mirror, scope, mend)
	var rows, differences, repaired, failed int64
	for i := range results {
		c := &results[i]
		rows, differences, repaired = rows+c.Rows, differences+c.Differences(), repaired+c.Repaired
		if c.Error != "" {
			failed++
		}
	}
	r.s.log.Info("mirror compared with what receivers have", "areas", len(results), "rows", rows, "differences", differences,
		"repaired", repaired, "failed", failed, "seconds", time.Since(began).Seconds())
	return results, err
}

// mend repairs an area whose stream lacks changes. It waits a while for the projector, which may start at the same time.
func (r *reconciler) mend(ctx context.Context, area *catalog.Dataomraade) error {
	for end := time.Now().Add(mendWithin); ; {
		results, err := r.run(ctx, projections.Scope{Areas: []string{area.Slug}, Loading: true}, true)
		if refused := (*ops.RefusedError)(nil); errors.As(err, &refused) && time.Now().Before(end) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(standbyAgain):
			}
			continue
		}
		if err == nil {
			err = verdict(results)
		}
		return err
	}
}

const mendWithin = time.Minute

// nightly compares everything every day at a time of day.
func (r *reconciler) nightly(ctx context.Context, at string) error {
	zone, err := time.LoadLocation(projections.TimeZone)
	if err != nil {
		return fmt.Errorf("reconcile.at: %w", err)
	}
	clock, err := time.Parse("15:04", at)
	if err != nil {
		return fmt.Errorf("reconcile.at: %w", err)
	}
	for {
		next := nextAt(time.Now().In(zone), clock)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(next)):
		}
		_, err := r.run(ctx, projections.Scope{}, false)
		refused := (*ops.RefusedError)(nil)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refused):
			r.s.log.Info("no comparison with the mirror", "reason", err)
		case err != nil:
			r.s.log.Error("comparison with the mirror failed", "error", err)
		}
	}
}

// nextAt is the first moment behind now at which the clock on the wall shows clock. When that hour comes twice it is the first of
// them, when it is left out the hour after it.
func nextAt(now, clock time.Time) time.Time {
	for day := 0; ; day++ {
		next := time.Date(now.Year(), now.Month(), now.Day()+day, clock.Hour(), clock.Minute(), 0, 0, now.Location())
		if next.After(now) {
			return next
		}
	}
}

// unknownIn names what is not in the catalogue.
func unknownIn(c *catalog.Catalog, areas, tables []string) error {
	var known []string
	for _, d := range c.Dataomraader() {
		if len(areas) > 0 && !slices.Contains(areas, d.Slug) {
			continue
		}
		for _, t := range d.Tables {
			known = append(known, t.Slug)
		}
	}
	for _, slug := range areas {
		if d, ok := c.Dataomraade(slug); !ok || !d.Open() {
			return fmt.Errorf("%s is no open dataomraade: see supstream catalog show", slug)
		}
	}
	for _, slug := range tables {
		if !slices.Contains(known, slug) {
			return fmt.Errorf("%s is no table of these dataomraader: see supstream catalog show", slug)
		}
	}
	return nil
}
