package streams

import (
	"time"

	"supstream/capture"
	"supstream/catalog"
)

// Op says what an event means to its receiver.
type Op uint8

const (
	OpInsert   Op = iota + 1
	OpUpdate      // the row as it is now
	OpDelete      // the row is gone
	OpTruncate    // all rows of the table are gone
	OpRead        // the row as a back-fill read it
	OpScopeIn     // the row entered the receiver's scope; it is not new
	OpScopeOut    // the row left the receiver's scope; it is not gone

	opHeld     // internal: the row has no known owner and is held
	opReleased // internal: a held row is held no longer
)

var opNames = [...]string{"", "insert", "update", "delete", "truncate", "read", "scope-in", "scope-out", "held", "released"}

func (op Op) String() string {
	if int(op) < len(opNames) && op != 0 {
		return opNames[op]
	}
	return "unknown"
}

// parseOp is the inverse of String.
func parseOp(b []byte) (Op, bool) {
	for i, name := range opNames[:opHeld] {
		if i > 0 && string(b) == name {
			return Op(i), true
		}
	}
	return 0, false
}

// HasRow reports whether an event of this kind carries a row.
func (op Op) HasRow() bool {
	return op == OpInsert || op == OpUpdate || op == OpRead || op == OpScopeIn || op == opHeld
}

// Event is one event read from a stream. Its slices are valid until the next
// event is read.
type Event struct {
	ID          string
	Position    capture.Position
	Seq         uint64 // in the stream
	Dataomraade string
	Table       string // slug
	Op          Op
	Bruger      catalog.Bruger
	Time        time.Time // commit; for OpRead, when it was read
	XID         uint32
	Key, Row    []byte // JSON objects; nil where the op has none
}

// Mark is a place in a stream up to which everything is there: every event
// with a position at or before Position has a sequence at or before Seq.
type Mark struct {
	Position    capture.Position
	Seq         uint64
	Time        time.Time // Postgres' clock
	Incarnation string    // of the stream: changes when it was made anew
	Loading     bool      // a back-fill of the area has begun and not ended: no window may end here
}
