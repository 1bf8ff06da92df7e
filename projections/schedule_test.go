package projections

import (
	"maps"
	"testing"
	"time"

	"supstream/capture"
	"supstream/catalog"
	"supstream/streams"
)

func TestScheduleIsDanishTime(t *testing.T) {
	s, err := newSchedule(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ frequency, after, want string }{
		{"four_times_daily", "2026-01-31T08:00:00+01:00", "2026-01-31T12:00:00+01:00"},
		{"four_times_daily", "2026-01-31T12:00:00+01:00", "2026-01-31T18:00:00+01:00"},
		{"daily", "2026-07-31T23:59:59+02:00", "2026-08-01T00:00:00+02:00"},
		{"daily", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"}, // a day of 23 hours
		{"daily", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"}, // a day of 25 hours
		{"weekly", "2026-01-31T08:00:00+01:00", "2026-02-02T00:00:00+01:00"},
		{"monthly", "2026-12-31T08:00:00+01:00", "2027-01-01T00:00:00+01:00"},
		{"15m", "2026-10-25T02:50:00+02:00", "2026-10-25T02:00:00+01:00"}, // the hour that comes twice
	} {
		f, err := catalog.ParseFrequency(tc.frequency)
		if err != nil {
			t.Fatal(err)
		}
		after, _ := time.Parse(time.RFC3339, tc.after)
		want, _ := time.Parse(time.RFC3339, tc.want)
		if got := s.next(f, after); !got.Equal(want) {
			t.Errorf("%s after %s: %s, want %s", tc.frequency, tc.after, got, want)
		}
	}
	if got := s.next(catalog.Frequency{}, stamp(0)); !got.IsZero() {
		t.Errorf("never: %s", got)
	}
}

func TestCuts(t *testing.T) {
	mark := func(lsn uint64, ordinal uint32, second int) streams.Mark {
		return streams.Mark{Position: capture.Position{LSN: lsn, Ordinal: ordinal}, Seq: lsn + 7, Time: stamp(second), Incarnation: "x"}
	}
	cut := func(lsn, seqOf uint64, second int) streams.Mark {
		m := mark(lsn, 0, second)
		m.Seq = seqOf + 7
		return m
	}
	for _, tc := range []struct {
		name        string
		marks, want map[string]streams.Mark
	}{
		{"one area", map[string]streams.Mark{"a": mark(100, 0, 1)}, map[string]streams.Mark{"a": cut(100, 100, 1)}},
		{"inside a transaction: before it", map[string]streams.Mark{"a": mark(100, 3, 1)}, map[string]streams.Mark{"a": cut(100, 100, 1)}},
		{"the smallest for all", map[string]streams.Mark{"a": mark(100, 0, 1), "b": mark(90, 2, 3), "c": mark(95, 0, 2)},
			map[string]streams.Mark{"a": cut(90, 100, 3), "b": cut(90, 90, 3), "c": cut(90, 95, 3)}},
		{"one that is held up is on its own", map[string]streams.Mark{"a": mark(100, 0, 60), "b": mark(40, 0, 10)},
			map[string]streams.Mark{"a": cut(100, 100, 60), "b": cut(40, 40, 10)}},
		{"none", nil, map[string]streams.Mark{}},
	} {
		if got := cuts(tc.marks, 30*time.Second); !maps.Equal(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
