package projections

import (
	"context"
	"errors"
	"time"

	"supstream/catalog"
	"supstream/streams"
)

// Op is what a receiver does with a row.
type Op byte

const (
	OpInsert   Op = 'I' // store the row; the receiver has no earlier one
	OpUpdate   Op = 'U' // store the row in place of the earlier one
	OpDelete   Op = 'D' // the row was deleted
	OpScopeOut Op = 'O' // the row now belongs to another Bruger
	OpTruncate Op = 'T' // all earlier rows of the table are gone
	OpNone     Op = '-' // came and went within the range: counted, not delivered
)

// Row is one row of a delta or full load. Key is empty for OpTruncate; Row is there for OpInsert and OpUpdate only. Time, XID and
// Changes speak of the last change and the number of changes in the range. A Row and its slices are valid until the next one.
type Row struct {
	Op      Op
	Table   string // slug
	Key     []byte // JSON object
	Row     []byte // JSON object
	Time    time.Time
	XID     uint32
	Changes uint64
}

// Delta is what a Sink publishes: one file of a chain. The rows come in the order of table and key, each key once; they may be
// asked for several times.
type Delta struct {
	Chain   Chain
	Kind    Kind
	Area    *catalog.Dataomraade
	Catalog string       // version of the catalogue
	From    streams.Mark // end of the file before; zero for a full load
	To      streams.Mark
	Rows    func(ctx context.Context, yield func(*Row) error) error
}

// Sink keeps the files of chains. Both methods may be called for different chains at the same time.
type Sink interface {
	// Last returns the newest manifest of a chain, ErrNoManifest before the first.
	Last(ctx context.Context, c Chain) (Manifest, error)

	// Publish stores a delta so that all of it is visible, or nothing, and returns its manifest. Publishing the newest delta of a
	// chain again changes nothing. A delta that does not begin where the chain ends is refused with ErrNotContiguous.
	Publish(ctx context.Context, d *Delta) (Manifest, error)
}

var (
	// ErrNoManifest: the chain has no file yet.
	ErrNoManifest = errors.New("the chain has no manifest yet")

	// ErrNotContiguous: a delta does not begin where its chain ends.
	ErrNotContiguous = errors.New("the delta does not begin where its chain ends")

	// ErrRangeGone: events that are needed have left the stream.
	ErrRangeGone = errors.New("the stream no longer has the events that are needed")
)
