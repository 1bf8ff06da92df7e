package streams

import (
	"errors"
	"fmt"
)

var (
	// ErrFenced: somebody else has written to a stream since this writer read
	// its end. Nothing of the rejected batch is stored. The writer must start
	// anew from the stream's position record.
	ErrFenced = errors.New("another writer has written to the stream")

	// ErrNoMark: the stream has no position record yet.
	ErrNoMark = errors.New("the stream has no position record yet")

	// ErrNotDurable: the server acknowledges messages before they are on disk.
	ErrNotDurable = errors.New("the NATS server does not sync before it acknowledges: set sync_interval: always in its jetstream block")

	// ErrStoreInUse: another process has the embedded server's store open.
	ErrStoreInUse = errors.New("the store directory is in use by another process")
)

// AckError is a batch that the server refused. Nothing of it is stored.
type AckError struct {
	Stream      string
	Code        int // JetStream's err_code
	Description string
}

func (e *AckError) Error() string {
	return fmt.Sprintf("stream %s: batch refused: %s (%d)", e.Stream, e.Description, e.Code)
}

// Unwrap gives ErrFenced for a failed fence.
func (e *AckError) Unwrap() error {
	if e.Code == codeWrongLastSequence {
		return ErrFenced
	}
	return nil
}

const codeWrongLastSequence = 10071

// ValueError is a value that cannot be written as JSON by the rules of
// docs/EVENTS.md. It never holds the value.
type ValueError struct {
	Table, Column string
	Err           error
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("table %s column %s: %v", e.Table, e.Column, e.Err)
}

func (e *ValueError) Unwrap() error { return e.Err }

// Permanent says that the value will be the same next time.
func (e *ValueError) Permanent() bool { return true }
