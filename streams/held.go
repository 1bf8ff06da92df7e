package streams

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/catalog"
)

// HeldStream keeps rows whose owner is not known: one subject per row, named
// by the key's pseudonym. A row that is held no longer leaves a note without
// content, which expires.
const HeldStream = "DFDG__HELD"

const (
	heldPosition = "dfdg._held._pos"
	heldSubjects = "dfdg._held.>"
	releasedTTL  = "24h"
)

// heldRows knows which rows are held. Rows are held when their owner on an
// axis is missing or unknown, and delivered, as scope-in, by the change that
// gives them one.
type heldRows struct {
	lane *lane
	keys map[string]map[keyHash]struct{} // by area and table slug
}

type keyHash [keyHashLen]byte

func openHeldRows(ctx context.Context, js jetstream.JetStream, p *Publisher) (*heldRows, error) {
	l, err := openLane(ctx, js, HeldStream, heldPosition)
	if err != nil {
		return nil, err
	}
	l.slug = "_held"
	p.addLane(l)
	h := &heldRows{lane: l, keys: map[string]map[keyHash]struct{}{}}
	for _, area := range p.cfg.Catalog.Dataomraader() {
		for _, t := range area.Tables {
			h.keys[heldTable(t)] = map[keyHash]struct{}{}
		}
	}
	if err := h.read(ctx, js, l.next-1); err != nil {
		return nil, err
	}
	for _, area := range p.cfg.Catalog.Dataomraader() {
		p.m.heldRows(area.Slug, h.count(area))
	}
	return h, nil
}

// read learns from the stream, up to sequence last, what is held.
func (h *heldRows) read(ctx context.Context, js jetstream.JetStream, last uint64) error {
	if last == 0 {
		return nil
	}
	cons, err := js.OrderedConsumer(ctx, HeldStream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverAllPolicy, HeadersOnly: true,
	})
	if err != nil {
		return fmt.Errorf("stream %s: %w", HeldStream, err)
	}
	it, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("stream %s: %w", HeldStream, err)
	}
	defer it.Stop()
	for {
		// The position record is the last message and never expires.
		msg, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("stream %s: %w", HeldStream, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("stream %s: %w", HeldStream, err)
		}
		if name, key, err := parseHeldSubject(msg.Subject()); err == nil && h.keys[name] != nil {
			if ttl := msg.Headers().Get(hdrTTL); ttl == "" {
				h.keys[name][key] = struct{}{}
			} else {
				delete(h.keys[name], key)
			}
		}
		if meta.Sequence.Stream >= last {
			return nil
		}
	}
}

func heldTable(t *catalog.Table) string { return t.Area.Slug + "." + t.Slug }

func parseHeldSubject(s string) (table string, key keyHash, err error) {
	rest, ok := strings.CutPrefix(s, strings.TrimSuffix(heldSubjects, ">"))
	i := strings.LastIndexByte(rest, '.')
	if !ok || i < 0 {
		return "", key, errors.New("not the subject of a held row")
	}
	raw, err := hex.DecodeString(rest[i+1:])
	if err != nil || len(raw) != keyHashLen {
		return "", key, errors.New("not the subject of a held row")
	}
	return rest[:i], keyHash(raw), nil
}

// route notes what the prepared change means for held rows.
func (h *heldRows) route(p *Publisher, c *capture.Change, before, after bool) error {
	if !before && !after {
		return nil
	}
	if c.Op != capture.Read && h.knows(p, c) {
		return nil
	}
	if after {
		return h.note(p, c.Table, keyHash(p.enc.hash[:keyHashLen]), opHeld)
	}
	return h.note(p, c.Table, keyHash(p.enc.hash[:keyHashLen]), opReleased)
}

// knows reports whether the stream of held rows has taken the change. What is
// replayed it may have taken in part: it takes all of it again, in order.
func (h *heldRows) knows(p *Publisher, c *capture.Change) bool {
	return !p.replaying && c.Position.Compare(h.lane.resume) <= 0
}

// again notes a change that its area's stream has already: the stream of held
// rows may be behind it.
func (h *heldRows) again(ctx context.Context, p *Publisher, c *capture.Change) error {
	if h.knows(p, c) {
		return nil
	}
	if h.lane.full(maxEventsPerChange) {
		if err := h.lane.spill(ctx); err != nil {
			return err
		}
	}
	if err := p.enc.begin(c); err != nil {
		return err
	}
	if c.Op == capture.Truncate {
		return h.truncated(ctx, p, c)
	}
	before, after := p.cfg.Catalog.Route(c.Table, c.Old, c.New)
	return h.route(p, c, before.Held(), after.Held())
}

// store makes the notes of a chunk durable: its progress, which says that they
// need not be made again, must not come first.
func (h *heldRows) store(ctx context.Context, p *Publisher) error {
	if len(h.lane.tx.events) == 0 {
		return nil
	}
	if err := h.lane.end(ctx); err != nil {
		return err
	}
	if err := h.lane.commit(ctx, h.lane.openPosition()); err != nil {
		return err
	}
	return p.await(ctx, h.lane, 0)
}

// truncated releases everything held of the change's table. That may be more
// than a batch takes; a part that comes again after a crash does no harm.
func (h *heldRows) truncated(ctx context.Context, p *Publisher, c *capture.Change) error {
	if h.knows(p, c) && !c.Position.Boundary() {
		return nil
	}
	for key := range h.keys[heldTable(c.Table)] {
		if h.lane.full(maxEventsPerChange) {
			if err := h.lane.spillAll(ctx); err != nil {
				return err
			}
		}
		if err := h.note(p, c.Table, key, opReleased); err != nil {
			return err
		}
	}
	return nil
}

func (h *heldRows) note(p *Publisher, t *catalog.Table, key keyHash, op Op) (err error) {
	keys := h.keys[heldTable(t)]
	subject := strings.TrimSuffix(heldSubjects, ">") + heldTable(t) + "." + hex.EncodeToString(key[:])
	if p.buf, err = p.enc.event(p.buf[:0], op, 0); err != nil {
		return err
	}
	kind := plainHeader
	if op == opHeld {
		keys[key] = struct{}{}
		p.m.held(t.Area.Slug)
	} else {
		kind = releasedHeader
		delete(keys, key)
	}
	h.lane.add(p.enc.change.Position, subject, p.buf, kind)
	p.touch(h.lane)
	p.m.heldRows(t.Area.Slug, h.count(t.Area))
	return nil
}

func (h *heldRows) count(area *catalog.Dataomraade) int {
	n := 0
	for _, t := range area.Tables {
		n += len(h.keys[heldTable(t)])
	}
	return n
}
