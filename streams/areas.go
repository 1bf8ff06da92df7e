package streams

import (
	"supstream/capture"
	"supstream/catalog"
)

// audience lists every Bruger that can own rows of t.
func audience(cat *catalog.Catalog, t *catalog.Table) []catalog.Bruger {
	if t.Everybody {
		return []catalog.Bruger{{Axis: catalog.Alle}}
	}
	var list []catalog.Bruger
	for _, o := range t.Owners {
		list = append(list, cat.Brugere(o.Axis)...)
	}
	return list
}

// Areas says for each open area where its stream ended when the publisher was
// opened, and how far its tables have been read.
func (p *Publisher) Areas() []capture.AreaState {
	states := make([]capture.AreaState, 0, len(p.lanes))
	for _, l := range p.lanes {
		if l.loads == nil {
			continue // of held rows
		}
		s := capture.AreaState{Dataomraade: l.slug, Position: l.resume, Loads: map[string]capture.LoadState{}}
		for slug, r := range l.loads {
			s.Loads[slug] = capture.LoadState{After: r.After, Rows: r.Rows, Done: r.Done, Reset: r.Reset}
		}
		states = append(states, s)
	}
	return states
}
