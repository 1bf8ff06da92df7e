package ops

import (
	"context"
	"errors"
	"testing"
	"time"
)

// clock is a time that a test moves.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func newClock() *clock { return &clock{time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)} }

func TestPatience(t *testing.T) {
	c := newClock()
	var fail error
	w := &watch{timeout: time.Second, stale: time.Hour, now: c.now, checks: []Check{
		{Name: "at once", Run: func(context.Context) error { return fail }},
		{Name: "patient", Patience: time.Minute, Run: func(context.Context) error { return fail }},
	}}
	broken := errors.New("broken")
	begun := c.Time
	steps := []struct {
		after time.Duration
		fail  error
		ok    [2]bool
		since time.Duration // of both, from the beginning
	}{
		{0, nil, [2]bool{true, true}, 0},
		{time.Second, nil, [2]bool{true, true}, 0},
		{2 * time.Second, broken, [2]bool{false, true}, 2 * time.Second},
		{61 * time.Second, broken, [2]bool{false, true}, 2 * time.Second},
		{62 * time.Second, broken, [2]bool{false, false}, 2 * time.Second},
		{63 * time.Second, nil, [2]bool{true, true}, 63 * time.Second},
		{64 * time.Second, broken, [2]bool{false, true}, 64 * time.Second},
	}
	for _, s := range steps {
		c.Time, fail = begun.Add(s.after), s.fail
		w.round(t.Context())
		r := w.report()
		if r.OK != (s.ok[0] && s.ok[1]) {
			t.Errorf("after %s: report is ok: %v", s.after, r.OK)
		}
		for i, got := range r.Checks {
			if got.OK != s.ok[i] || !got.Since.Equal(begun.Add(s.since)) || (got.Error == "broken") != (s.fail != nil) {
				t.Errorf("after %s: %+v", s.after, got)
			}
		}
	}
}

func TestNoAnswerIsNotAlive(t *testing.T) {
	c := newClock()
	w := &watch{timeout: time.Millisecond, stale: 20 * time.Second, now: c.now, checks: []Check{{Name: "slow", Run: func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}}}
	if w.report().OK {
		t.Error("ok before the first round")
	}
	w.round(t.Context())
	if r := w.report(); r.OK || r.Checks[0].Error != "no answer within 1ms" {
		t.Errorf("a check that does not answer: %+v", r)
	}
	w.checks[0].Run = func(context.Context) error { return nil }
	w.round(t.Context())
	if !w.report().OK {
		t.Error("not ok after a good round")
	}
	c.Time = c.Add(20 * time.Second)
	if w.report().OK {
		t.Error("ok though nothing was asked for 20 s")
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	w.round(stopped)
	if r := w.report(); r.Checks[0].Error != "" {
		t.Errorf("a round that was told to stop counts: %+v", r)
	}
}
