package streams

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Reader reads ranges of the streams. It leaves no state on the server and may
// be used by several goroutines.
type Reader struct {
	js jetstream.JetStream
}

// NewReader returns a reader.
func NewReader(js jetstream.JetStream) *Reader { return &Reader{js: js} }

// Newest is the last place in the area's stream where a window may end. Before
// the first, and before the stream is made, it is ErrNoMark.
func (r *Reader) Newest(ctx context.Context, area string) (Mark, error) {
	name := StreamName(area)
	s, err := r.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return Mark{}, fmt.Errorf("stream %s: %w", name, ErrNoMark)
	}
	if err != nil {
		return Mark{}, fmt.Errorf("stream %s: %w", name, err)
	}
	msg, err := s.GetLastMsgForSubject(ctx, positionSubject(area))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return Mark{}, fmt.Errorf("stream %s: %w", name, ErrNoMark)
	}
	if err != nil {
		return Mark{}, fmt.Errorf("stream %s: read position record: %w", name, err)
	}
	rec, err := parsePositionRecord(msg.Data)
	if err != nil {
		return Mark{}, fmt.Errorf("stream %s sequence %d: %w", name, msg.Sequence, err)
	}
	return Mark{Position: rec.Position, Seq: msg.Sequence, Time: rec.Time, Incarnation: rec.Incarnation, Loading: rec.Loading}, nil
}

// First is the sequence of the oldest message that the area's stream has not
// lost to its retention, and the stream's incarnation. It is 1 while the stream
// is younger than its retention: what is missing then are position records,
// which replace each other.
func (r *Reader) First(ctx context.Context, area string) (seq uint64, incarnation string, err error) {
	name := StreamName(area)
	s, err := r.js.Stream(ctx, name)
	if err != nil {
		return 0, "", fmt.Errorf("stream %s: %w", name, err)
	}
	info := s.CachedInfo()
	first := info.State.FirstSeq
	if keep := info.Config.MaxAge; keep == 0 || info.TimeStamp.Sub(info.Created) < keep {
		first = 1
	}
	return first, info.Config.Metadata[metaIncarnation], nil
}

// readTimeout is how long the next message of a range may take to arrive.
const readTimeout = 30 * time.Second

// Read calls yield for every event with from < sequence <= to, in order. The
// event is valid during the call.
func (r *Reader) Read(ctx context.Context, area string, from, to uint64, yield func(*Event) error) error {
	if from >= to {
		return nil
	}
	name := StreamName(area)
	// The position record at the end of every batch is part of the filter, so
	// that a message at or behind `to` always comes.
	cons, err := r.js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from + 1,
	})
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(4096))
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	defer it.Stop()
	defer context.AfterFunc(ctx, it.Stop)() // a cancelled read must not wait for the next message
	var e Event
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		msg, err := it.Next(jetstream.NextMaxWait(readTimeout))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("stream %s: read behind sequence %d: %w", name, from, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		e.Seq = meta.Sequence.Stream
		if e.Seq > to {
			return nil
		}
		if _, e.Bruger, err = ParseSubject(msg.Subject()); err == nil {
			if err := e.Decode(msg.Data()); err != nil {
				return fmt.Errorf("stream %s sequence %d: %w", name, e.Seq, err)
			}
			if err := yield(&e); err != nil {
				return err
			}
		}
		if e.Seq == to {
			return nil
		}
	}
}
