package projections

import (
	"context"
	"errors"
	"slices"
	"time"

	"supstream/catalog"
)

// area is what the Runner knows of a dataomraade.
type area struct {
	*catalog.Dataomraade
	base    *Base
	covered time.Time           // deltas are made up to here
	due     time.Time           // the slot it waits for since; zero while it is not due
	retry   time.Time           // not before, after a failure
	served  map[Chain]time.Time // chains that have files, with the end of the newest
	again   map[Chain]bool      // chains that failed and need not wait for the next slot
}

// granted is a chain that may be delivered, since From.
type granted struct {
	Chain
	from time.Time
}

// chains are those that may be delivered at a time, by area and in order. Grants for what may not leave are counted and give none.
func (r *Runner) chains(at time.Time) map[string][]granted {
	out := map[string][]granted{}
	for _, g := range r.parts.Grants.Grants(at) {
		d, known := r.parts.Catalog.Dataomraade(g.Dataomraade)
		if !known || !d.Open() || !d.HasAudience(g.Bruger.Axis) {
			r.metrics.errors.WithLabelValues(errClosed).Inc()
			r.log.Warn("a grant is for an area that is not open to this kind of authority; nothing is delivered",
				"opgaveloeser", g.Opgaveloeser, "dataomraade", g.Dataomraade)
			continue
		}
		c := Chain{Opgaveloeser: g.Opgaveloeser, Bruger: g.Bruger, Dataomraade: d.Slug, Version: d.Version}
		out[d.Slug] = append(out[d.Slug], granted{c, g.From})
	}
	for slug, list := range out {
		slices.SortStableFunc(list, func(a, b granted) int {
			if c := a.Compare(b.Chain); c != 0 {
				return c
			}
			return a.from.Compare(b.from)
		})
		out[slug] = slices.CompactFunc(list, func(a, b granted) bool { return a.Chain == b.Chain })
	}
	return out
}

// unserved are the chains that were granted at a time and have no file since, and those that failed.
func (a *area) unserved(list []granted, at time.Time) map[Chain]bool {
	out := map[Chain]bool{}
	for _, g := range list {
		if end, ok := a.served[g.Chain]; !g.from.After(at) && (!ok || end.Before(g.from) || a.again[g.Chain]) {
			out[g.Chain] = true
		}
	}
	return out
}

// survey reads the ages of all chains, so that operations see them before the first tick.
func (r *Runner) survey(ctx context.Context) {
	granted := r.chains(r.parts.Clock.Now())
	for _, a := range r.areas {
		for _, g := range granted[a.Slug] {
			m, err := r.parts.Sink.Last(ctx, g.Chain)
			if err == nil {
				a.served[g.Chain] = m.Period.End
			} else if !errors.Is(err, ErrNoManifest) {
				r.metrics.failed(errPublish, err)
			}
		}
		r.showAges(a, granted[a.Slug])
	}
}

// showAges sets the age of each Opgaveloeser's deliveries of an area to that of the chain furthest behind.
func (r *Runner) showAges(a *area, list []granted) {
	r.metrics.newest.DeletePartialMatch(map[string]string{"dataomraade": a.Slug})
	oldest := map[string]time.Time{}
	for _, g := range list {
		end, ok := a.served[g.Chain]
		if !ok { // waits for its first file since it was granted, or since somebody works on it
			end = g.from
			if end.Before(r.started) {
				end = r.started
			}
		}
		if have, ok := oldest[g.Opgaveloeser]; !ok || end.Before(have) {
			oldest[g.Opgaveloeser] = end
		}
	}
	for opgaveloeser, end := range oldest {
		r.metrics.newest.WithLabelValues(opgaveloeser, a.Slug).Set(unix(end))
	}
}

// sources are the Brugere whose rows a Bruger receives: its own and, where the area has tables for everybody, those of Alle.
func (a *area) sources(b catalog.Bruger) []catalog.Bruger {
	alle := catalog.Bruger{Axis: catalog.Alle}
	if b != alle && slices.ContainsFunc(a.Tables, func(t *catalog.Table) bool { return t.Everybody }) {
		return []catalog.Bruger{b, alle}
	}
	return []catalog.Bruger{b}
}
