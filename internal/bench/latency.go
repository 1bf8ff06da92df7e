package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/streams"
)

// latency inserts rows one by one at a steady rate and measures, for each, the
// time from the commit, as Postgres noted it, until a subscriber has the event.
func (b *bench) latency(ctx context.Context) error {
	w, err := b.load(ctx, "latency", 0)
	if err != nil {
		return err
	}
	for _, server := range b.s.servers {
		for _, conn := range b.s.conns {
			times, err := b.latencies(ctx, w, conn, server)
			if err != nil {
				return err
			}
			slices.Sort(times)
			at := func(q float64) time.Duration { return times[int(float64(len(times)-1)*q)].Round(10 * time.Microsecond) }
			b.report.line("latency, commit to readable by a subscriber, %d rows/s for %d s, %s server, Postgres over %s: p50 %v, p99 %v, max %v",
				b.s.rate, b.s.seconds, server, conn, at(.5), at(.99), at(1))
			b.report.json(map[string]any{"workload": "latency", "what": server, "connection": conn, "rows_per_second": b.s.rate,
				"p50_seconds": at(.5).Seconds(), "p99_seconds": at(.99).Seconds(), "max_seconds": at(1).Seconds()})
		}
	}
	return b.unload(ctx, w)
}

func (b *bench) latencies(ctx context.Context, w workload, conn, server string) ([]time.Duration, error) {
	slot, drop, err := b.freshSlot(ctx, w)
	if err != nil {
		return nil, err
	}
	p, err := b.start(w, slot, conn, server)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(p.store)
	if _, err := p.capture.line(); err != nil { // the backlog is empty now
		return nil, err
	}
	nc, err := nats.Connect(p.nats)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	n := b.s.rate * b.s.seconds
	inserted := make(chan error, 1)
	times, err := b.subscribe(ctx, nc, n, func() { go func() { inserted <- b.insert(ctx, w, n) }() })
	if err != nil {
		return nil, err
	}
	if err := <-inserted; err != nil {
		return nil, err
	}
	if err := p.stop(); err != nil {
		return nil, err
	}
	return times, errors.Join(drop(), b.pg.Exec(ctx, w.db, "TRUNCATE aktivitet"))
}

// subscribe receives n events and returns how old each was. It calls begin
// once it is subscribed.
func (b *bench) subscribe(ctx context.Context, nc *nats.Conn, n int, begin func()) ([]time.Duration, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	area := b.cat.Dataomraader()[0].Slug
	cons, err := js.OrderedConsumer(ctx, streams.StreamName(area), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverNewPolicy, FilterSubjects: []string{"dfdg." + area + ".kommune.>"}})
	if err != nil {
		return nil, err
	}
	it, err := cons.Messages()
	if err != nil {
		return nil, err
	}
	defer it.Stop()
	begin()
	times := make([]time.Duration, 0, n)
	var e streams.Event
	for len(times) < n {
		msg, err := it.Next(jetstream.NextMaxWait(10 * time.Second))
		if err != nil {
			return nil, fmt.Errorf("event %d of %d: %w", len(times)+1, n, err)
		}
		now := time.Now()
		if err := e.Decode(msg.Data()); err != nil {
			return nil, err
		}
		times = append(times, now.Sub(e.Time))
	}
	return times, nil
}

// insert inserts n rows, each in a transaction of its own, at the rate.
func (b *bench) insert(ctx context.Context, w workload, n int) error {
	conn, err := b.pg.Connect(ctx, w.db)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	begun := time.Now()
	for i := range n {
		due := begun.Add(time.Duration(i) * time.Second / time.Duration(b.s.rate))
		time.Sleep(time.Until(due))
		if _, err := conn.Exec(ctx, "INSERT INTO aktivitet SELECT r.* FROM raekke($1) r", i+10); err != nil {
			return err
		}
	}
	return nil
}
