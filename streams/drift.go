package streams

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/catalog"
)

// DriftStream keeps the changes of areas whose tables differ from the
// catalogue, as Postgres sent them, one subject per area. Its position record
// says up to where that is complete, and for which areas: an area is listed for
// as long as its own stream ends before changes that are kept here.
const DriftStream = "DFDG__DRIFT"

const (
	driftPosition = "dfdg._drift._pos"
	driftSubjects = "dfdg._drift.>"
)

func driftSubject(slug string) string { return strings.TrimSuffix(driftSubjects, ">") + slug }

// keptArea is an area with kept changes, as the position record lists it.
type keptArea struct {
	Dataomraade string    `json:"dataomraade"`
	Since       time.Time `json:"since"`
	Changes     int64     `json:"changes"`
	Bytes       int64     `json:"bytes"`

	last capture.Position // of the newest change that was kept when the publisher opened
	seq  uint64           // of its message
}

// drift is the keeping of changes.
type drift struct {
	lane  *lane
	areas []*keptArea
}

func (d *drift) area(slug string) *keptArea {
	for _, k := range d.areas {
		if k.Dataomraade == slug {
			return k
		}
	}
	return nil
}

func openDrift(ctx context.Context, js jetstream.JetStream, p *Publisher) (*drift, error) {
	l, err := openLane(ctx, js, DriftStream, driftPosition)
	if err != nil {
		return nil, err
	}
	l.slug, l.away = "_drift", true
	p.addLane(l)
	s, err := js.Stream(ctx, DriftStream)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", DriftStream, err)
	}
	d := &drift{lane: l}
	if held := l.record.Held; held != nil {
		if err := json.Unmarshal(held, &d.areas); err != nil {
			return nil, fmt.Errorf("stream %s: position record: %w", DriftStream, err)
		}
	}
	for _, k := range d.areas {
		msg, err := s.GetLastMsgForSubject(ctx, driftSubject(k.Dataomraade))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return nil, fmt.Errorf("stream %s: read the newest change of %s: %w", DriftStream, k.Dataomraade, err)
		default:
			h, err := parseKept(msg.Data)
			if err != nil {
				return nil, fmt.Errorf("stream %s sequence %d: %w", DriftStream, msg.Sequence, err)
			}
			k.last, k.seq = h.Position, msg.Sequence
		}
	}
	return d, nil
}

// Hold implements capture.Publisher. What is kept of an area that is no longer
// carried is thrown away; should it come back, it is behind and is read again.
func (p *Publisher) Hold(ctx context.Context, areas []*catalog.Dataomraade) error {
	for _, k := range p.drift.areas {
		if area, ok := p.cfg.Catalog.Dataomraade(k.Dataomraade); !ok || !area.Open() {
			p.log.Warn("changes that were kept of a dataområde are thrown away: it is not carried any more", "dataomraade", k.Dataomraade)
			if err := p.discard(ctx, k); err != nil {
				return err
			}
		}
	}
	for area, l := range p.byArea {
		l.behind, l.caught = p.drift.area(area.Slug) != nil, l.resume
	}
	for _, area := range areas {
		l := p.byArea[area]
		l.behind, l.away = true, true
		if p.drift.area(area.Slug) == nil {
			p.drift.areas = append(p.drift.areas, &keptArea{Dataomraade: area.Slug, Since: p.now().UTC()})
		}
	}
	for area := range p.byArea {
		p.m.kept(area.Slug, p.drift.area(area.Slug))
	}
	if len(p.drift.areas) > 0 {
		// Where the stream ended is complete for the areas of then only.
		p.setAway(p.drift.lane, false)
	}
	return nil
}

// setAway takes a lane from those that have to be durable, or adds it.
func (p *Publisher) setAway(l *lane, away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.away && !away && l == p.drift.lane {
		l.sent, l.durable = capture.Position{}, capture.Position{}
	}
	l.away = away
}

// PublishHeld implements capture.Publisher.
func (p *Publisher) PublishHeld(ctx context.Context, h *capture.Held) error {
	if err := p.Err(); err != nil {
		return err
	}
	k, l := p.drift.area(h.Area.Slug), p.drift.lane
	if k == nil {
		return fmt.Errorf("dataområde %s is not held", h.Area.Slug)
	}
	if l.full(1) {
		if err := l.spill(ctx); err != nil {
			return err
		}
	}
	p.touch(l)
	p.buf = appendKept(p.buf[:0], h)
	if len(p.buf) > int(p.nc.MaxPayload())-maxHeader {
		return fmt.Errorf("dataområde %s at %s: a change of %d bytes is larger than the NATS server allows: raise max_payload above it",
			h.Area.Slug, h.Position, len(p.buf))
	}
	l.add(h.Position, driftSubject(h.Area.Slug), p.buf, keptHeader)
	k.Bytes += int64(len(p.buf))
	if h.Message[0] != 'R' {
		k.Changes++
	}
	p.m.kept(h.Area.Slug, k)
	return nil
}

// A kept change is its position, transaction and time in fixed width, then the
// message.
const keptHead = 8 + 4 + 4 + 8

func appendKept(b []byte, h *capture.Held) []byte {
	b = binary.BigEndian.AppendUint64(b, h.Position.LSN)
	b = binary.BigEndian.AppendUint32(b, h.Position.Ordinal)
	b = binary.BigEndian.AppendUint32(b, h.XID)
	b = binary.BigEndian.AppendUint64(b, uint64(h.CommitTime.UnixMicro()))
	return append(b, h.Message...)
}

func parseKept(b []byte) (h capture.Held, err error) {
	if len(b) <= keptHead {
		return h, errors.New("a kept change is damaged")
	}
	h.Position = capture.Position{LSN: binary.BigEndian.Uint64(b), Ordinal: binary.BigEndian.Uint32(b[8:])}
	h.XID = binary.BigEndian.Uint32(b[12:])
	h.CommitTime = time.UnixMicro(int64(binary.BigEndian.Uint64(b[16:]))).UTC()
	h.Message = b[keptHead:]
	return h, nil
}

// Replay implements capture.Publisher.
func (p *Publisher) Replay(ctx context.Context, area *catalog.Dataomraade, before uint64, yield func(*capture.Held) error) error {
	k, l := p.drift.area(area.Slug), p.byArea[area]
	if k == nil {
		return nil
	}
	p.log.Info("the dataområde is as the catalogue says; what was kept of it is published", "dataomraade", area.Slug, "changes", k.Changes)
	p.replaying = true
	defer func() { p.replaying = false }()
	var at capture.Held // the last one
	err := p.readKept(ctx, k, func(h *capture.Held) error {
		if h.Position.LSN >= before {
			return nil // Postgres sends it again
		}
		if h.Position.LSN != at.Position.LSN {
			if err := p.endReplayed(ctx, l, at.Position); err != nil {
				return err
			}
			if at.CommitTime.After(l.clock) {
				l.clock = at.CommitTime
			}
		}
		at = capture.Held{Position: h.Position, CommitTime: h.CommitTime}
		h.Area = area
		return yield(h)
	})
	if err == nil {
		err = p.endReplayed(ctx, l, at.Position)
	}
	if err != nil {
		return fmt.Errorf("publish what was kept of %s: %w", area.Slug, err)
	}
	// Only now does the area's stream have everything up to the boundary.
	l.behind = false
	for _, l := range []*lane{l, p.held.lane} {
		if err := l.commit(ctx, l.openPosition()); err != nil {
			return err
		}
	}
	for _, l := range []*lane{l, p.held.lane} {
		if err := p.await(ctx, l, 0); err != nil {
			return err
		}
	}
	return p.discard(ctx, k)
}

// endReplayed ends a transaction of a replay; the server gives up a batch that
// stays open for long.
func (p *Publisher) endReplayed(ctx context.Context, area *lane, at capture.Position) error {
	for _, l := range p.touched {
		if err := l.end(ctx); err != nil {
			return err
		}
	}
	p.touched = p.touched[:0]
	if at.Compare(area.caught) > 0 {
		area.caught = at
	}
	for _, l := range []*lane{area, p.held.lane} {
		if l.n > 0 && p.now().Sub(l.sentAt) > time.Second {
			if err := l.commit(ctx, l.openPosition()); err != nil {
				return err
			}
		}
	}
	return nil
}

// discard removes what is kept of an area, and the area from the record.
func (p *Publisher) discard(ctx context.Context, k *keptArea) error {
	s, err := p.js.Stream(ctx, DriftStream)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(driftSubject(k.Dataomraade)))
	}
	if err != nil {
		return fmt.Errorf("stream %s: remove what was kept of %s: %w", DriftStream, k.Dataomraade, err)
	}
	d := p.drift
	var rest []*keptArea
	for _, other := range d.areas {
		if other != k {
			rest = append(rest, other)
		}
	}
	d.areas = rest
	p.m.kept(k.Dataomraade, nil)
	if err := d.lane.commit(ctx, d.lane.openPosition()); err != nil {
		return err
	}
	if err := p.await(ctx, d.lane, 0); err != nil {
		return err
	}
	if len(d.areas) == 0 {
		p.setAway(d.lane, true)
	}
	return nil
}

// readKept yields what is kept of an area, oldest first.
func (p *Publisher) readKept(ctx context.Context, k *keptArea, yield func(*capture.Held) error) error {
	if k.seq == 0 {
		return nil
	}
	cons, err := p.js.OrderedConsumer(ctx, DriftStream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{driftSubject(k.Dataomraade)}})
	if err != nil {
		return fmt.Errorf("stream %s: %w", DriftStream, err)
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(256))
	if err != nil {
		return fmt.Errorf("stream %s: %w", DriftStream, err)
	}
	defer it.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		msg, err := it.Next(jetstream.NextMaxWait(readTimeout))
		if err != nil {
			return fmt.Errorf("stream %s: %w", DriftStream, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("stream %s: %w", DriftStream, err)
		}
		h, err := parseKept(msg.Data())
		if err != nil {
			return fmt.Errorf("stream %s sequence %d: %w", DriftStream, meta.Sequence.Stream, err)
		}
		if err := yield(&h); err != nil {
			return err
		}
		if meta.Sequence.Stream >= k.seq {
			return nil
		}
	}
}
