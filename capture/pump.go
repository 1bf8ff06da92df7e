package capture

import (
	"context"
	"errors"
	"slices"
	"time"
)

var errPumpEnded = errors.New("capture ended")

// pump is the goroutine between the connection and the publisher: it decodes
// what was received, lets back-fills see it, and publishes. It implements
// handler.
type pump struct {
	queue   *queue
	decoder *decoder
	pub     Publisher
	ask     func() // makes the server report its position soon
	asked   time.Time
	metrics *Metrics
	mark    time.Duration

	boundary Position
	durable  Position // at the last tick
	streamed xidSet
	watches  []*watch // in the order their chunks are to be published
	commands chan func()
	ended    chan struct{}
}

const (
	tickEvery    = 100 * time.Millisecond
	confirmEvery = time.Second // while there is something to confirm
)

// run works until ctx ends or something fails. When ctx ends, it stores what
// it has before it returns.
func (p *pump) run(ctx context.Context) error {
	defer close(p.ended)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	if err := p.pub.Mark(ctx, 0); err != nil {
		return err
	}
	for {
		if err := p.drain(ctx, tick.C); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return p.finish(ctx)
		}
		if err := p.pub.Flush(ctx); err != nil {
			return err
		}
		select {
		case <-p.queue.ready:
		case <-p.pub.Wake():
		case f := <-p.between():
			f()
			if err := p.chunks(ctx); err != nil {
				return err
			}
		case <-tick.C:
			if err := p.tick(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
		}
	}
}

// between gives commands only between transactions.
func (p *pump) between() <-chan func() {
	if p.decoder.open {
		return nil
	}
	return p.commands
}

// drain handles all messages that have been received.
func (p *pump) drain(ctx context.Context, tick <-chan time.Time) error {
	for ctx.Err() == nil {
		batch := p.queue.take()
		if batch == nil {
			return nil
		}
		for len(batch) > 0 {
			if err := p.decoder.decode(ctx, batch.next(), p); err != nil {
				return err
			}
		}
		select {
		case <-tick:
			if err := p.pub.Flush(ctx); err != nil {
				return err
			}
			if err := p.tick(ctx); err != nil {
				return err
			}
		case f := <-p.between():
			f()
			if err := p.chunks(ctx); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}

// change implements handler.
func (p *pump) change(ctx context.Context, c *Change) error {
	for _, w := range p.watches {
		if w.table == c.Table {
			w.note(c)
		}
	}
	p.metrics.change(c)
	return p.pub.Publish(ctx, c)
}

// advance implements handler.
func (p *pump) advance(ctx context.Context, b boundary) error {
	if b.commit {
		p.committed(p.decoder.xid)
	}
	if b.position.Compare(p.boundary) > 0 {
		p.boundary = b.position
	}
	if err := p.pub.Advance(ctx, b.position, b.time); err != nil {
		return err
	}
	return p.chunks(ctx)
}

// committed notes that a transaction was streamed to its end.
func (p *pump) committed(xid uint32) {
	p.streamed.add(xid)
	for _, w := range p.watches {
		w.streamed[xid] = struct{}{}
	}
}

// chunks publishes the chunks that the stream has passed, between transactions.
func (p *pump) chunks(ctx context.Context) error {
	for len(p.watches) > 0 {
		w := p.watches[0]
		if w.read == nil {
			return nil
		}
		if p.boundary.LSN < w.read.end {
			if now := time.Now(); now.Sub(p.asked) > tickEvery/4 {
				p.ask()
				p.asked = now
			}
			return nil
		}
		p.watches = slices.Delete(p.watches, 0, 1)
		if w.stale(&p.streamed) {
			w.done <- false
			continue
		}
		c := &w.read.chunk
		if c.Mends != nil {
			c.Mends = w.restMends()
		} else {
			c.Rows = w.rest()
		}
		if c.Mends == nil || len(c.Mends) > 0 {
			if err := p.pub.PublishChunk(ctx, c); err != nil {
				return err
			}
		}
		w.done <- true
	}
	return nil
}

// tick does what time asks for: marks, and the server's position for chunks
// that wait for it.
func (p *pump) tick(ctx context.Context) error {
	if !p.decoder.open {
		if err := p.chunks(ctx); err != nil { // asks again, in case the answer came too early
			return err
		}
	}
	durable := p.pub.Durable()
	pending := durable.LSN < p.boundary.LSN || p.decoder.open
	p.metrics.pendingSince(pending, durable != p.durable, time.Now())
	p.durable = durable
	every := p.mark
	if pending {
		every = min(every, confirmEvery)
	}
	return p.pub.Mark(ctx, every)
}

// finish stores what was taken, so that the next start has little to repeat.
func (p *pump) finish(ctx context.Context) error {
	cause := ctx.Err()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if !p.decoder.open {
		if err := p.pub.Mark(ctx, 0); err != nil {
			return err
		}
	}
	for p.pub.Durable().LSN < p.boundary.LSN && ctx.Err() == nil {
		select {
		case <-p.pub.Wake():
			if err := p.pub.Flush(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
		}
	}
	return cause
}

// do runs f on the pump's goroutine, between two transactions.
func (p *pump) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case p.commands <- func() { f(); close(done) }:
	case <-p.ended:
		return errPumpEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done
	return nil
}
