package capture

import (
	"context"
	"time"

	"supstream/catalog"
)

// Publisher stores changes durably, in the order given. It is used by one
// goroutine, but for Durable and Wake. Any error ends it: nothing more can be
// stored with it, and what it had not stored comes again from Postgres.
type Publisher interface {
	// Publish takes the next change of the running transaction. It may
	// return before the change is durable, and keeps nothing of it.
	Publish(ctx context.Context, c *Change) error

	// Advance says that every change before pos, a boundary, was published;
	// at is Postgres' time of it.
	Advance(ctx context.Context, pos Position, at time.Time) error

	// PublishChunk takes rows that a back-fill read, between transactions.
	// The rows and the progress become durable together or not at all.
	PublishChunk(ctx context.Context, c *Chunk) error

	// ChunkRows is the most rows a chunk may have.
	ChunkRows() int

	// Flush stores what has been taken, as far as that is possible without
	// waiting. It is called when there is nothing to publish, and after Wake.
	Flush(ctx context.Context) error

	// Mark makes every destination say how far it is, if its last word is
	// older than every or behind.
	Mark(ctx context.Context, every time.Duration) error

	// Durable is the position up to which everything is stored for good.
	Durable() Position

	// Wake is signalled when Flush may be able to store more, or has failed.
	Wake() <-chan struct{}

	// Areas is what was stored when the publisher was opened.
	Areas() []AreaState
}

// AreaState is how far an area's destination is.
type AreaState struct {
	Dataomraade string
	Position    Position             // zero: nothing is stored
	Loads       map[string]LoadState // by table slug; every table of the area
}

// LoadState is how far a table's back-fill is.
type LoadState struct {
	After []string // key of the last row read; nil before the first
	Rows  int64    // read so far
	Done  bool
	Reset bool // the rows that receivers have are still to be taken away
}

// Chunk is a piece of a table read by a back-fill.
type Chunk struct {
	Table *catalog.Table
	Reset bool          // first take away all rows that receivers have
	Rows  []catalog.Row // in key order
	Time  time.Time     // when they were read, by Postgres' clock
	State LoadState     // after this chunk
	Mends []Mend        // not nil: a repair; only these and no rows, and State is not stored
}
