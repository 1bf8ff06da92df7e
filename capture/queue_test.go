package capture

import (
	"bytes"
	"fmt"
	"testing"
)

func TestQueueOrder(t *testing.T) {
	q := newQueue()
	if q.take() != nil {
		t.Error("an empty queue gave something")
	}
	const n = 100000
	go func() {
		for i := range n {
			for !q.push(fmt.Appendf(nil, "message %d", i)) {
				<-q.room
			}
		}
	}()
	for i := 0; i < n; {
		<-q.ready
		for batch := q.take(); len(batch) > 0; i++ {
			if got, want := string(batch.next()), fmt.Sprintf("message %d", i); got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
}

// A queue takes a bounded number of bytes, and one message of any size when it is empty.
func TestQueueBounds(t *testing.T) {
	q := newQueue()
	huge := bytes.Repeat([]byte("x"), 3*queueBytes)
	if !q.push(huge) {
		t.Fatal("a huge message was refused by an empty queue")
	}
	if q.push([]byte("y")) {
		t.Error("a full queue took more")
	}
	batch := q.take()
	if msg := batch.next(); !bytes.Equal(msg, huge) || len(batch) != 0 {
		t.Error("the huge message did not come back")
	}
	select {
	case <-q.room:
	default:
		t.Error("nobody was told that there is room")
	}
	for n := 0; ; n++ {
		if !q.push(make([]byte, 1000)) {
			if n < 4000 || n > queueBytes/1000 {
				t.Errorf("%d messages of 1000 bytes", n)
			}
			break
		}
	}
	q.take()
	q.push(nil)
	q.take()
	if cap(q.buf) > 2*queueBytes || cap(q.spare) > 2*queueBytes {
		t.Errorf("buffers of %d and %d bytes stay", cap(q.buf), cap(q.spare))
	}
}

// Messages stay as they are until the next take, whatever is pushed meanwhile.
func TestQueueKeepsWhatWasTaken(t *testing.T) {
	q := newQueue()
	q.push([]byte("first"))
	batch := q.take()
	for range 100 {
		q.push([]byte("overwrites"))
	}
	if msg := string(batch.next()); msg != "first" {
		t.Errorf("%q", msg)
	}
}
