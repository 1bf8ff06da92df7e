package capture

import (
	"encoding/binary"
	"sync"
)

// queueBytes bounds the messages received from Postgres and not yet taken.
const queueBytes = 4 << 20

// queue hands messages from the connection's goroutine to the one that
// publishes. It copies them into one of two buffers that change sides, so that
// nothing is allocated per message, and whoever takes gets all there is: few
// messages when the publisher is ahead, many when it is behind.
type queue struct {
	ready chan struct{} // capacity 1: there is something to take
	room  chan struct{} // capacity 1: there is room again

	mu         sync.Mutex // guards what follows
	buf, spare []byte
}

func newQueue() *queue {
	return &queue{ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// push copies a message in. It reports false, and takes nothing, when there is
// no room; wait on q.room then.
func (q *queue) push(msg []byte) bool {
	q.mu.Lock()
	if len(q.buf) > 0 && len(q.buf)+len(msg) > queueBytes {
		q.mu.Unlock()
		return false
	}
	first := len(q.buf) == 0
	q.buf = binary.LittleEndian.AppendUint32(q.buf, uint32(len(msg)))
	q.buf = append(q.buf, msg...)
	q.mu.Unlock()
	if first {
		signal(q.ready)
	}
	return true
}

// take returns all messages there are, nil if none. They are valid until the
// next call.
func (q *queue) take() messages {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.buf) == 0 {
		return nil
	}
	if cap(q.spare) > 2*queueBytes {
		q.spare = nil // one huge message must not stay for ever
	}
	q.buf, q.spare = q.spare[:0], q.buf
	signal(q.room)
	return messages(q.spare)
}

// messages is a sequence of length-prefixed messages.
type messages []byte

// next cuts off the first message.
func (m *messages) next() []byte {
	n := binary.LittleEndian.Uint32(*m)
	msg := (*m)[4 : 4+n : 4+n]
	*m = (*m)[4+n:]
	return msg
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
