package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/catalog"
)

// An order's record holds the order and how far it is, and replaces the one
// before it. Its key values and its person are row content: the subject is
// internal and no vendor can read it. The last record of an order has none of
// them and expires.
const endedTTL = "720h"

// PublishOrder stores an order as it is now. Call it between transactions. The
// order is durable when this returns.
func (p *Publisher) PublishOrder(ctx context.Context, o *capture.Order) error {
	if err := p.Err(); err != nil {
		return err
	}
	i := slices.IndexFunc(p.lanes, func(l *lane) bool { return l.slug == o.Dataomraade && l.loads != nil })
	if i < 0 {
		return fmt.Errorf("order %s: dataområde %s is not open", o.ID, o.Dataomraade)
	}
	l := p.lanes[i]
	if l.n > 0 {
		if err := l.commit(ctx, l.openPosition()); err != nil {
			return err
		}
	}
	if err := l.sendOrder(o); err != nil {
		return err
	}
	if err := l.commit(ctx, p.boundary); err != nil {
		return err
	}
	return p.await(ctx, l, 0)
}

func (l *lane) sendOrder(o *capture.Order) error {
	data, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("order record: %w", err)
	}
	kind := recordHeader
	if o.State.Ended() {
		kind = endedHeader
	}
	return l.send(orderSubject(l.slug, o.ID), data, kind)
}

// readOrders reads the orders of an area.
func readOrders(ctx context.Context, js jetstream.JetStream, slug string) ([]capture.Order, error) {
	name := StreamName(slug)
	s, err := js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(orderSubject(slug, "*")))
	if err != nil {
		return nil, fmt.Errorf("stream %s: list orders: %w", name, err)
	}
	var list []capture.Order
	for subject := range info.State.Subjects {
		msg, err := s.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue // expired meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("stream %s: read order: %w", name, err)
		}
		var o capture.Order
		if err := json.Unmarshal(msg.Data, &o); err != nil || o.Dataomraade != slug {
			return nil, fmt.Errorf("stream %s sequence %d: order record is damaged", name, msg.Sequence)
		}
		list = append(list, o)
	}
	return list, nil
}

// elsewhere reports whether the chunk at hand is for another Bruger alone.
func (p *Publisher) elsewhere(b catalog.Bruger) bool {
	return p.only != catalog.Bruger{} && p.only != b
}
