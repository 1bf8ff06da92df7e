package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/catalog"
)

// metaIncarnation is the stream metadata that names the stream's life.
const metaIncarnation = "supstream-incarnation"

// openLane reads where a stream ends. The answers come from the stream's
// leader, never from a follower's copy.
func openLane(ctx context.Context, js jetstream.JetStream, stream, position string) (*lane, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", stream, err)
	}
	info := s.CachedInfo()
	l := &lane{
		stream: stream, position: position,
		incarnation: info.Config.Metadata[metaIncarnation],
		next:        info.State.LastSeq + 1,
		subjects:    map[catalog.Bruger]string{},
	}
	if l.incarnation == "" {
		return nil, &StreamError{stream, "has lost its metadata " + metaIncarnation + ": somebody else has changed its configuration"}
	}
	msg, err := s.GetLastMsgForSubject(ctx, position)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		if info.State.LastSeq > 0 {
			return nil, fmt.Errorf("stream %s: its position record is gone, so what else is missing cannot be known: delete the stream; it is made anew and filled from the mirror", stream)
		}
		return l, nil
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: read position record: %w", stream, err)
	}
	rec, err := parsePositionRecord(msg.Data)
	if err != nil {
		return nil, fmt.Errorf("stream %s sequence %d: %w", stream, msg.Sequence, err)
	}
	if msg.Sequence != info.State.LastSeq {
		return nil, fmt.Errorf("stream %s: sequence %d lies behind the position record at %d: somebody else writes to it",
			stream, info.State.LastSeq, msg.Sequence)
	}
	l.resume, l.durable, l.sent = rec.Position, rec.Position, rec.Position
	return l, nil
}

// readLoads reads how far the back-fill of each of the area's tables is.
func (l *lane) readLoads(ctx context.Context, js jetstream.JetStream, area *catalog.Dataomraade) error {
	s, err := js.Stream(ctx, l.stream)
	if err != nil {
		return fmt.Errorf("stream %s: %w", l.stream, err)
	}
	l.loads = map[string]*loadRecord{}
	for _, t := range area.Tables {
		r := &loadRecord{Table: t.Slug}
		msg, err := s.GetLastMsgForSubject(ctx, loadSubject(area.Slug, t.Slug))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return fmt.Errorf("stream %s: read back-fill record of %s: %w", l.stream, t.Slug, err)
		default:
			if err := json.Unmarshal(msg.Data, r); err != nil {
				return fmt.Errorf("stream %s sequence %d: back-fill record of %s is damaged", l.stream, msg.Sequence, t.Slug)
			}
		}
		l.loads[t.Slug] = r
		l.part = max(l.part, r.Part)
	}
	return nil
}

// PublishChunk stores rows that a back-fill read, together with the
// back-fill's progress, in one batch. Call it between transactions.
func (p *Publisher) PublishChunk(ctx context.Context, c *capture.Chunk) error {
	if err := p.Err(); err != nil {
		return err
	}
	l := p.byArea[c.Table.Area]
	if l == nil {
		return fmt.Errorf("table %s: dataområde %s is not open: nothing of it may leave", c.Table, c.Table.Area.Slug)
	}
	if l.n > 0 {
		if err := l.commit(ctx, l.openPosition()); err != nil {
			return err
		}
	}
	if c.Time.After(p.clock) {
		p.clock = c.Time
	}
	change := capture.Change{Table: c.Table, Position: p.boundary, CommitTime: c.Time}
	if c.Time.IsZero() {
		change.CommitTime = p.clock
	}
	if c.Reset {
		change.Op = capture.Truncate
		if err := p.chunkChange(ctx, l, &change); err != nil {
			return err
		}
	}
	if c.Mends != nil {
		if err := p.mends(l, &change, c.Mends); err != nil {
			return err
		}
	}
	change.Op = capture.Read
	for _, row := range c.Rows {
		change.New = row
		if err := p.chunkChange(ctx, l, &change); err != nil {
			return err
		}
	}
	r := l.loads[c.Table.Slug]
	r.Part = l.part
	if c.Mends == nil {
		r.After, r.Rows, r.Done, r.Reset = c.State.After, c.State.Rows, c.State.Done, c.State.Reset
	}
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("back-fill record: %w", err)
	}
	if err := l.send(loadSubject(l.slug, c.Table.Slug), data, recordHeader); err != nil {
		return err
	}
	if err := p.held.store(ctx, p); err != nil {
		return err
	}
	return l.commit(ctx, p.boundary)
}

// chunkChange sends the events of one change of a chunk. They share the
// chunk's position; their parts are counted over the life of the stream.
func (p *Publisher) chunkChange(ctx context.Context, l *lane, c *capture.Change) error {
	p.part = l.part
	if err := p.events(ctx, l, c); err != nil {
		return err
	}
	l.part = p.part
	return l.sendEvents(len(l.tx.events))
}

// ChunkRows is the most rows that fit into one chunk.
func (p *Publisher) ChunkRows() int { return max(1, (p.cfg.BatchEvents-2)/2) }
