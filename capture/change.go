package capture

import (
	"time"

	"supstream/catalog"
)

// Op says what happened to a row.
type Op uint8

const (
	Insert   Op = iota + 1
	Update      // Old is set when the replica identity sent it
	Delete      // Old is set, New is nil
	Truncate    // neither row
	Read        // New is a row as a back-fill read it
)

func (op Op) String() string {
	switch op {
	case Insert:
		return "insert"
	case Update:
		return "update"
	case Delete:
		return "delete"
	case Truncate:
		return "truncate"
	case Read:
		return "read"
	}
	return "unknown"
}

// Change is one row change of a committed transaction, or one row read by a
// back-fill. Its rows are valid only during the call they are passed to.
type Change struct {
	Table      *catalog.Table
	Op         Op
	Position   Position
	XID        uint32    // 0 for Read
	CommitTime time.Time // of the transaction; for Read, when it was read
	New, Old   catalog.Row
}
