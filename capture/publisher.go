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

	// Hold is called once, before anything is published: the changes of these
	// areas come with PublishHeld until the publisher ends. An area that was
	// held before and is not among them takes nothing before its Replay.
	Hold(ctx context.Context, areas []*catalog.Dataomraade) error

	// PublishHeld keeps a change of a held area as it was sent.
	PublishHeld(ctx context.Context, h *Held) error

	// Replay calls yield for what is kept of an area and was committed before
	// the position, in order; yield publishes it. At the end all of it is
	// durable in the area, what was kept is removed, and the area goes on
	// like the others. After an error, or a crash, it is called again and
	// yields the same; what the area has already is passed over.
	Replay(ctx context.Context, area *catalog.Dataomraade, before uint64, yield func(*Held) error) error
}

// AreaState is how far an area's destination is.
type AreaState struct {
	Dataomraade string
	Position    Position             // zero: nothing is stored
	Loads       map[string]LoadState // by table slug; every table of the area

	Held     bool     // it was held, and what was kept is still to be replayed
	HeldTo   Position // if so: every change before it is in the area or kept
	HeldLast Position // the last change that is kept
}

// covered is the position before which nothing of the area is missing.
func (a *AreaState) covered() Position {
	if a.Held && a.HeldTo.Compare(a.Position) > 0 {
		return a.HeldTo
	}
	return a.Position
}

// LoadState is how far a table's back-fill is.
type LoadState struct {
	After []string // key of the last row read; nil before the first
	Rows  int64    // read so far
	Done  bool
	Reset bool // the rows that receivers have are still to be taken away

	// What was read: another table of the same name, or one that was out of
	// the publication meanwhile, has to be read again. Zero: not known.
	OID    uint32 // of the table
	Member uint32 // its entry in the publication
	Shape  string // key and columns in the catalogue
}

// begun reports whether receivers may have rows of the back-fill.
func (s LoadState) begun() bool { return s.Done || s.Rows > 0 || s.After != nil }

// fresh is the state before the first row.
func (s LoadState) fresh() LoadState {
	return LoadState{OID: s.OID, Member: s.Member, Shape: s.Shape}
}

// Held is a message of the replication stream that is kept while its area is
// held: I, U, D, T for one change, or R for the description of a table, which
// comes before the first change that needs it and has the same position. Behind
// a description stand the names of its columns' types.
type Held struct {
	Area       *catalog.Dataomraade
	Position   Position
	XID        uint32
	CommitTime time.Time
	Message    []byte
}

// Chunk is a piece of a table read by a back-fill.
type Chunk struct {
	Table *catalog.Table
	Reset bool          // first take away all rows that receivers have
	Rows  []catalog.Row // in key order
	Time  time.Time     // when they were read, by Postgres' clock
	State LoadState     // after this chunk
}
