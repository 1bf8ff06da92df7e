package agreements

import (
	"slices"
	"time"
)

// span is the time from its start up to, but not including, its end. A zero end means for ever. The zero span is empty.
type span struct{ from, to time.Time }

// always is the span that constrains nothing.
func always() span { return span{from: time.Time{}.Add(1)} }

func (s span) empty() bool {
	return s.from.IsZero() || !s.to.IsZero() && !s.from.Before(s.to)
}

func (s span) contains(at time.Time) bool {
	return !s.empty() && !at.Before(s.from) && (s.to.IsZero() || at.Before(s.to))
}

// and is the time that both spans hold.
func (s span) and(o span) span {
	if s.empty() || o.empty() {
		return span{}
	}
	if o.from.After(s.from) {
		s.from = o.from
	}
	if s.to.IsZero() || !o.to.IsZero() && o.to.Before(s.to) {
		s.to = o.to
	}
	if s.empty() {
		return span{}
	}
	return s
}

// union sorts the spans, drops the empty ones and joins those that touch: a renewed agreement goes on without an end in between.
func union(spans []span) []span {
	spans = slices.DeleteFunc(slices.Clone(spans), span.empty)
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && (out[n-1].to.IsZero() || !s.from.After(out[n-1].to)) {
			if last := &out[n-1]; !last.to.IsZero() && (s.to.IsZero() || s.to.After(last.to)) {
				last.to = s.to
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// intersect is the time covered by both lists; each is sorted and without overlap, and so is the result.
func intersect(a, b []span) []span {
	var out []span
	for len(a) > 0 && len(b) > 0 {
		if s := a[0].and(b[0]); !s.empty() {
			out = append(out, s)
		}
		if b[0].to.IsZero() || !a[0].to.IsZero() && a[0].to.Before(b[0].to) {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}
