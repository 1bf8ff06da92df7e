package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// statusEvery is how often Postgres hears from us, and how long a request for
// its position may wait.
const statusEvery = time.Second

// Our own message in the queue, beside those of pgoutput: how far the server
// has read its log, and its clock.
const msgKeepalive = 'k'

// receiver owns the replication connection: it alone reads and writes it. It
// never waits for the publisher without answering the server meanwhile, so a
// slow destination does not cost the connection.
type receiver struct {
	conn    *pgconn.PgConn
	queue   *queue
	durable func() uint64 // position that may be confirmed

	confirmed uint64 // last confirmed; never goes back
	received  uint64 // end of what has arrived
	ask       atomic.Bool
}

// run reads until ctx ends or the connection does. Before it returns for ctx
// it confirms what is durable.
func (r *receiver) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, r.interrupt)
	defer stop()
	for {
		if err := r.status(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.conn.Conn().SetReadDeadline(time.Now().Add(statusEvery)); err != nil {
			return fmt.Errorf("replication connection: %w", err)
		}
		if ctx.Err() != nil || r.ask.Load() {
			continue // an interrupt may have come before the deadline was set
		}
		if err := r.read(ctx); err != nil {
			return err
		}
	}
}

// read takes messages until the read deadline, or until the server wants an
// answer.
func (r *receiver) read(ctx context.Context) error {
	for {
		msg, err := r.conn.ReceiveMessage(context.Background())
		if err != nil {
			if pgconn.Timeout(err) {
				return nil
			}
			return fmt.Errorf("replication connection: %w", err)
		}
		switch m := msg.(type) {
		case *pgproto3.CopyData:
			answer, err := r.data(ctx, m.Data)
			if err != nil || answer {
				return err
			}
		case *pgproto3.ErrorResponse:
			return fmt.Errorf("replication: %w", withoutValues(pgconn.ErrorResponseToPgError(m)))
		case *pgproto3.CopyDone:
			return errors.New("replication: the server ended the stream")
		}
	}
}

// data handles one message of the replication stream and reports whether the
// server wants a status at once.
func (r *receiver) data(ctx context.Context, b []byte) (answer bool, err error) {
	if len(b) == 0 {
		return false, errors.New("replication: empty message")
	}
	switch b[0] {
	case pglogrepl.XLogDataByteID:
		const header = 1 + 8 + 8 + 8
		if len(b) <= header {
			return false, errors.New("replication: short message")
		}
		r.received = max(r.received, binary.BigEndian.Uint64(b[1:]))
		return false, r.push(ctx, b[header:])
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		if len(b) != 1+8+8+1 {
			return false, errors.New("replication: malformed keepalive")
		}
		r.received = max(r.received, binary.BigEndian.Uint64(b[1:]))
		b[0] = msgKeepalive
		return b[17] != 0, r.push(ctx, b[:17])
	}
	return false, fmt.Errorf("replication: unknown message %q", b[0])
}

// push waits for room in the queue and keeps the server informed meanwhile.
func (r *receiver) push(ctx context.Context, msg []byte) error {
	for !r.queue.push(msg) {
		timer := time.NewTimer(statusEvery)
		select {
		case <-r.queue.room:
		case <-timer.C:
			if err := r.status(); err != nil {
				return err
			}
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
	return nil
}

// status tells the server what is durable. Flush and apply are the durable
// position; write, which confirms nothing, is what has arrived.
func (r *receiver) status() error {
	r.confirmed = max(r.confirmed, r.durable())
	pos := pglogrepl.LSN(r.confirmed)
	err := pglogrepl.SendStandbyStatusUpdate(context.Background(), r.conn, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: max(pos, pglogrepl.LSN(r.received)),
		WALFlushPosition: pos,
		WALApplyPosition: pos,
		ClientTime:       time.Now(),
		ReplyRequested:   r.ask.Swap(false),
	})
	if err != nil {
		return fmt.Errorf("replication status: %w", err)
	}
	return nil
}

// askPosition makes the server say how far it has read, soon. It may be called
// from any goroutine.
func (r *receiver) askPosition() {
	r.ask.Store(true)
	r.interrupt()
}

// interrupt ends a read that waits. An error here shows in the read itself.
func (r *receiver) interrupt() {
	_ = r.conn.Conn().SetReadDeadline(time.Now())
}
