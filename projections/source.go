package projections

import (
	"context"
	"time"

	"supstream/agreements"
	"supstream/streams"
)

// Source reads the streams.
type Source interface {
	// Newest returns the newest mark of an area, streams.ErrNoMark before the first.
	Newest(ctx context.Context, area string) (streams.Mark, error)

	// First returns the first sequence that is left of an area's stream and the stream's incarnation.
	First(ctx context.Context, area string) (seq uint64, incarnation string, err error)

	// Read calls yield for every event with from < Seq <= to in order, for all Brugere, and stops at the first error. An event
	// is valid until yield returns.
	Read(ctx context.Context, area string, from, to uint64, yield func(*streams.Event) error) error
}

var _ Source = (*streams.Reader)(nil)

// Grants tells who may have what at a time.
type Grants interface {
	Grants(at time.Time) []agreements.Grant
}

var _ Grants = (*agreements.Register)(nil)

// Clock is the time of the schedule and of the agreements.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// SystemClock is the clock of the machine.
type SystemClock struct{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return time.Now() }

// After implements Clock.
func (SystemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
