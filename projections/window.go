package projections

import (
	"time"

	"supstream/streams"
)

// cuts says where the windows of areas end that are due together, given their newest marks: at one commit position, the smallest
// among them, so that files of different areas show the same state of the mirror. A mark inside a transaction cuts before that
// transaction. An area whose mark is older than the newest by more than patience is held up; it is cut on its own and holds up
// nobody.
//
// The cut's Seq is the mark's own: the window ends at or before it.
func cuts(marks map[string]streams.Mark, patience time.Duration) map[string]streams.Mark {
	var newest time.Time
	for _, m := range marks {
		if m.Time.After(newest) {
			newest = m.Time
		}
	}
	var common streams.Mark
	found := false
	for _, m := range marks {
		if newest.Sub(m.Time) > patience {
			continue
		}
		if !found || earlier(m, common) {
			common, found = m, true
		}
	}
	out := make(map[string]streams.Mark, len(marks))
	for area, m := range marks {
		if newest.Sub(m.Time) <= patience {
			m.Position, m.Time = common.Position, common.Time
		}
		m.Position.Ordinal = 0
		out[area] = m
	}
	return out
}

// earlier orders marks by commit position, then by time.
func earlier(a, b streams.Mark) bool {
	if a.Position.LSN != b.Position.LSN {
		return a.Position.LSN < b.Position.LSN
	}
	return a.Time.Before(b.Time)
}
