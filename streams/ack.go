package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// acknowledged handles the server's answer to a batch. It runs on the
// connection's goroutine.
func (p *Publisher) acknowledged(msg *nats.Msg) {
	index, number, ok := p.parseReply(msg.Subject)
	if !ok {
		return
	}
	l := p.lanes[index]
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.signal()
	if p.err != nil {
		return
	}
	if len(l.inflight) == 0 || l.inflight[0].number != number {
		p.err = fmt.Errorf("stream %s: acknowledgement %d is out of order", l.stream, number)
		return
	}
	c := l.inflight[0]
	if p.err = checkAck(msg, l.stream, c); p.err != nil {
		return
	}
	l.inflight = l.inflight[:copy(l.inflight, l.inflight[1:])]
	l.durable = c.position
	now := p.now()
	p.m.ackSeconds.Observe(now.Sub(c.sent).Seconds())
	l.metrics.acknowledged(c, now)
}

func (p *Publisher) parseReply(subject string) (index int, number uint64, ok bool) {
	lane, num, ok := strings.Cut(strings.TrimPrefix(subject, p.inbox), ".")
	if !ok {
		return 0, 0, false
	}
	index, err1 := strconv.Atoi(lane)
	number, err2 := strconv.ParseUint(num, 10, 64)
	return index, number, err1 == nil && err2 == nil && index >= 0 && index < len(p.lanes)
}

// checkAck tells whether the batch is stored exactly where it was expected.
func checkAck(msg *nats.Msg, stream string, c commit) error {
	if msg.Header.Get("Status") == "503" {
		return fmt.Errorf("stream %s: nobody took the batch: the stream is gone or JetStream is off", stream)
	}
	var ack struct {
		Error *struct {
			ErrCode     int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Sequence uint64 `json:"seq"`
	}
	if err := json.Unmarshal(msg.Data, &ack); err != nil {
		return fmt.Errorf("stream %s: acknowledgement is not JSON", stream)
	}
	if ack.Error != nil {
		return &AckError{Stream: stream, Code: ack.Error.ErrCode, Description: ack.Error.Description}
	}
	if ack.Sequence != c.last {
		return fmt.Errorf("stream %s: batch stored at sequence %d, expected %d: %w", stream, ack.Sequence, c.last, ErrFenced)
	}
	return nil
}

func (p *Publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// flying is the number of the lane's batches in flight.
func (p *Publisher) flying(l *lane) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(l.inflight)
}

// await waits until no more than most of the lane's batches are in flight.
func (p *Publisher) await(ctx context.Context, l *lane, most int) error {
	for first := true; ; first = false {
		p.mu.Lock()
		n, err := len(l.inflight), p.err
		p.mu.Unlock()
		if err != nil {
			return err
		}
		if n <= most {
			if !first {
				p.signal() // it may have been meant for Flush
			}
			return nil
		}
		if err := p.stalled(); err != nil {
			return err
		}
		timer := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-p.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// stalled is an error when a batch has waited too long for its answer, or the
// connection it was sent on is gone.
func (p *Publisher) stalled() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.lost:
		if p.err == nil {
			p.err = errors.New("the connection to NATS was lost")
		}
	default:
	}
	for _, l := range p.lanes {
		if len(l.inflight) > 0 && p.now().Sub(l.inflight[0].sent) > ackTimeout {
			p.err = fmt.Errorf("stream %s: no acknowledgement within %s", l.stream, ackTimeout)
		}
	}
	return p.err
}
