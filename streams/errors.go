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
	return fmt.Sprintf("stream %s: batch refused: %s (%d)%s", e.Stream, e.Description, e.Code, ackAdvice(e.Code))
}

// ackAdvice says what helps, where that is known.
func ackAdvice(code int) string {
	switch code {
	case codeIncompleteBatch:
		return ": is the disk of the server's store full?"
	case codeInsufficientResources, codeStorageExceeded:
		return ": make room on its disk, or raise nats.embedded.max_store"
	case codeBatchTooLarge:
		return ": set capture.batch_events to what the server allows"
	}
	return ""
}

// Unwrap gives ErrFenced for a failed fence.
func (e *AckError) Unwrap() error {
	if e.Code == codeWrongLastSequence {
		return ErrFenced
	}
	return nil
}

// Permanent is true for what trying again does not change.
func (e *AckError) Permanent() bool { return e.Code == codeBatchTooLarge }

// TornError is a stream that does not end with a position record. For a
// moment that is a batch of a former writer on its way. When it lasts, somebody
// else writes to the stream, or a server without replicas ran out of room in
// the middle of a batch; it stores the rest when it is started with more room.
type TornError struct {
	Stream       string
	Last, Record uint64 // sequences of the last message and of the record
}

func (e *TornError) Error() string {
	return fmt.Sprintf("stream %s: sequence %d lies behind the position record at %d: somebody else writes to it, or a full store cut a batch short: then start the NATS server again with more room",
		e.Stream, e.Last, e.Record)
}

// JetStream's codes of refusals.
const (
	codeWrongLastSequence     = 10071
	codeInsufficientResources = 10023
	codeStorageExceeded       = 10047
	codeIncompleteBatch       = 10176
	codeBatchTooLarge         = 10199
)

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
