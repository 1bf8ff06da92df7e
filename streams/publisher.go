package streams

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/catalog"
)

// PublisherConfig is what a Publisher is made with.
type PublisherConfig struct {
	Catalog *catalog.Catalog
	Mirror  string // name of the mirror in the events' source
	Key     []byte // secret of the key hashes

	BatchEvents int           // most messages in a batch; not above the server's limit
	BatchBytes  int           // most payload bytes in a batch
	Linger      time.Duration // longest time a batch stays open while a long transaction goes on
	InFlight    int           // batches of a stream sent and not yet acknowledged

	Log     *slog.Logger
	Metrics *Metrics
}

func (c *PublisherConfig) defaults() {
	if c.BatchEvents == 0 {
		c.BatchEvents = DefaultBatchEvents
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = 4 << 20
	}
	if c.Linger == 0 {
		c.Linger = time.Second
	}
	if c.InFlight == 0 {
		c.InFlight = 2
	}
}

// DefaultBatchEvents is the batch limit of a NATS server that sets none.
const DefaultBatchEvents = 1000

// ackTimeout is how long a batch may wait for its acknowledgement.
const ackTimeout = 30 * time.Second

// Publisher routes changes and stores them in the streams of their areas. It
// implements capture.Publisher. One goroutine calls it; only Durable, Wake and
// Err may be called from others. After an error it is of no further use: open
// a new one, which goes on where the streams end.
type Publisher struct {
	nc  *nats.Conn
	sub *nats.Subscription
	cfg PublisherConfig
	log *slog.Logger
	m   *Metrics
	now func() time.Time

	enc     *encoder
	lanes   []*lane
	byArea  map[*catalog.Dataomraade]*lane
	touched []*lane // with events of the running transaction
	held    *heldRows

	boundary capture.Position // everything before it has been published
	clock    time.Time        // Postgres' time that belongs to it
	part     uint32           // of the next event of the change at hand
	only     catalog.Bruger   // of the chunk at hand, gets its rows alone; zero: all owners do
	buf      []byte
	record   []byte

	batchPrefix string
	batches     uint64
	commits     uint64
	inbox       string
	out         outgoing
	lost        chan nats.Status // the connection's troubles

	mu   sync.Mutex // guards what follows, and the lanes' inflight and durable
	err  error
	wake chan struct{} // capacity 1
}

// OpenPublisher reads where each stream ends. The streams must exist
// (Topology.Apply).
func OpenPublisher(ctx context.Context, nc *nats.Conn, cfg PublisherConfig) (*Publisher, error) {
	cfg.defaults()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	p := &Publisher{
		nc: nc, cfg: cfg, log: cfg.Log, m: cfg.Metrics, now: time.Now,
		enc:         newEncoder(cfg.Mirror, cfg.Key),
		byArea:      map[*catalog.Dataomraade]*lane{},
		batchPrefix: rand.Text()[:8],
		inbox:       nats.NewInbox() + ".",
		out:         newOutgoing(),
		wake:        make(chan struct{}, 1),
	}
	for _, area := range cfg.Catalog.Dataomraader() {
		if !area.Open() {
			continue
		}
		l, err := openLane(ctx, js, StreamName(area.Slug), positionSubject(area.Slug))
		if err != nil {
			return nil, err
		}
		l.slug = area.Slug
		if err := l.readLoads(ctx, js, area); err != nil {
			return nil, err
		}
		if l.orders, err = readOrders(ctx, js, area.Slug); err != nil {
			return nil, err
		}
		p.addLane(l)
		p.byArea[area] = l
		for _, t := range area.Tables {
			if n := max(maxEventsPerChange, len(audience(cfg.Catalog, t))); 2*n+1 > cfg.BatchEvents {
				return nil, fmt.Errorf("batches of %d events are too small: a truncate of %s leads to %d events, and %d are needed", cfg.BatchEvents, t, n, 2*n+1)
			}
		}
	}
	if p.held, err = openHeldRows(ctx, js, p); err != nil {
		return nil, err
	}
	p.lost = nc.StatusChanged(nats.DISCONNECTED, nats.RECONNECTING, nats.CLOSED)
	p.sub, err = nc.Subscribe(p.inbox+"*.*", p.acknowledged)
	if err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	flushCtx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	if err := nc.FlushWithContext(flushCtx); err != nil {
		return nil, fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	return p, nil
}

func (p *Publisher) addLane(l *lane) {
	l.pub, l.index, l.metrics = p, len(p.lanes), p.m.area(l.slug)
	p.lanes = append(p.lanes, l)
}

// Close lets go of the connection. Batches in flight are
// stored or not; the next publisher finds out.
func (p *Publisher) Close() {
	p.nc.RemoveStatusListener(p.lost)
	if err := p.sub.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		p.log.Warn("unsubscribe from acknowledgements", "error", err)
	}
}

// Publish routes a change and sends its events. It may return before they are
// durable. A change that a stream already holds is passed over.
func (p *Publisher) Publish(ctx context.Context, c *capture.Change) error {
	if err := p.Err(); err != nil {
		return err
	}
	l := p.byArea[c.Table.Area]
	if l == nil {
		return fmt.Errorf("table %s: dataområde %s is not open: nothing of it may leave", c.Table, c.Table.Area.Slug)
	}
	if c.Position.Compare(l.resume) <= 0 {
		return p.held.again(ctx, p, c)
	}
	for _, l := range []*lane{l, p.held.lane} {
		if l.full(p.most(c)) {
			if err := l.spill(ctx); err != nil {
				return err
			}
		}
	}
	if len(l.tx.events) == 0 && !l.tx.split {
		p.touch(l)
	}
	if l.oldest.IsZero() {
		l.oldest = c.CommitTime
	}
	p.part = 0
	return p.events(ctx, l, c)
}

// maxEventsPerChange is the most events a row change leads to: out of two
// scopes and into two.
const maxEventsPerChange = 4

// most is the most events that c leads to in a stream.
func (p *Publisher) most(c *capture.Change) int {
	if c.Op == capture.Truncate {
		return len(audience(p.cfg.Catalog, c.Table))
	}
	return maxEventsPerChange
}

// before is the last position in front of p, a position within a transaction.
func before(p capture.Position) capture.Position {
	p.Ordinal--
	return p
}

// events encodes the events of c into the lane: what its owners before and
// after the change each get to see.
func (p *Publisher) events(ctx context.Context, l *lane, c *capture.Change) error {
	if err := p.enc.begin(c); err != nil {
		return err
	}
	if c.Op == capture.Truncate {
		return p.truncate(ctx, l, c)
	}
	before, after := p.cfg.Catalog.Route(c.Table, c.Old, c.New)
	for i := range before.Len() {
		b := before.At(i)
		if after.Has(b) {
			continue
		}
		op := OpScopeOut
		if c.Op == capture.Delete {
			op = OpDelete
		}
		if err := p.event(l, b, op); err != nil {
			return err
		}
	}
	for i := range after.Len() {
		b := after.At(i)
		if p.elsewhere(b) {
			continue
		}
		var op Op
		switch {
		case c.Op == capture.Read:
			op = OpRead
		case c.Op == capture.Insert:
			op = OpInsert
		case before.Has(b):
			op = OpUpdate
		default:
			op = OpScopeIn
		}
		if err := p.event(l, b, op); err != nil {
			return err
		}
	}
	if p.only != (catalog.Bruger{}) {
		return nil
	}
	return p.held.route(p, c, before.Held(), after.Held())
}

// truncate tells everybody who may have rows of the table.
func (p *Publisher) truncate(ctx context.Context, l *lane, c *capture.Change) error {
	for _, b := range audience(p.cfg.Catalog, c.Table) {
		if err := p.event(l, b, OpTruncate); err != nil {
			return err
		}
	}
	return p.held.truncated(ctx, p, c)
}

func (p *Publisher) touch(l *lane) {
	if !slices.Contains(p.touched, l) {
		p.touched = append(p.touched, l)
	}
}

// audience lists every Bruger that can own rows of t.
func audience(cat *catalog.Catalog, t *catalog.Table) []catalog.Bruger {
	if t.Everybody {
		return []catalog.Bruger{{Axis: catalog.Alle}}
	}
	var list []catalog.Bruger
	for _, o := range t.Owners {
		list = append(list, cat.Brugere(o.Axis)...)
	}
	return list
}

func (p *Publisher) event(l *lane, b catalog.Bruger, op Op) error {
	subject, ok := l.subjects[b]
	if !ok {
		subject = Subject(l.slug, b)
		l.subjects[b] = subject
	}
	var err error
	if p.buf, err = p.enc.event(p.buf[:0], op, p.part); err != nil {
		return err
	}
	p.part++
	if len(p.buf) > int(p.nc.MaxPayload())-maxHeader {
		return fmt.Errorf("table %s at %s: an event of %d bytes is larger than the NATS server allows: raise max_payload above it",
			p.enc.change.Table, p.enc.change.Position, len(p.buf))
	}
	l.add(p.enc.change.Position, subject, p.buf, plainHeader)
	l.metrics.events[op].Inc()
	l.metrics.bytes.Add(float64(len(p.buf)))
	return nil
}

// maxHeader is more than the headers of any of our messages take.
const maxHeader = 512

// Advance says that every change before pos, a boundary, has been published.
func (p *Publisher) Advance(ctx context.Context, pos capture.Position, at time.Time) error {
	if err := p.Err(); err != nil {
		return err
	}
	for _, l := range p.touched {
		if err := l.end(ctx); err != nil {
			return err
		}
	}
	p.touched = p.touched[:0]
	if pos.Compare(p.boundary) > 0 {
		p.boundary = pos
	}
	if at.After(p.clock) {
		p.clock = at
	}
	return nil
}

// Flush ends the open batches for which there is room in flight. Call it when
// there is nothing to publish for the moment, after Wake, and now and then
// during a long transaction.
func (p *Publisher) Flush(ctx context.Context) error {
	if err := p.Err(); err != nil {
		return err
	}
	for _, l := range p.lanes {
		if l.n > 0 && p.flying(l) < p.cfg.InFlight {
			if err := l.commit(ctx, l.openPosition()); err != nil {
				return err
			}
		}
	}
	return p.stalled()
}

// Mark makes every stream whose last record is older than every say how far it
// is.
func (p *Publisher) Mark(ctx context.Context, every time.Duration) error {
	if err := p.Err(); err != nil {
		return err
	}
	for _, l := range p.lanes {
		if p.now().Sub(l.sentAt) < every {
			continue
		}
		if err := l.commit(ctx, l.openPosition()); err != nil {
			return err
		}
	}
	return nil
}

// Durable is the position up to which every stream is known to hold everything.
func (p *Publisher) Durable() capture.Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.durable()
}

func (p *Publisher) durable() capture.Position {
	var least capture.Position
	for i, l := range p.lanes {
		if i == 0 || l.durable.Compare(least) < 0 {
			least = l.durable
		}
	}
	return least
}

// Wake is signalled when batches were acknowledged and when an error came up.
func (p *Publisher) Wake() <-chan struct{} { return p.wake }

// Err is the error that ended the publisher, nil while it works.
func (p *Publisher) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Areas says for each open area where its stream ended when the publisher was
// opened, and how far its tables have been read.
func (p *Publisher) Areas() []capture.AreaState {
	states := make([]capture.AreaState, 0, len(p.lanes))
	for _, l := range p.lanes {
		if l.loads == nil {
			continue // of held rows
		}
		s := capture.AreaState{Dataomraade: l.slug, Position: l.resume, Loads: map[string]capture.LoadState{}, Orders: l.orders}
		for slug, r := range l.loads {
			s.Loads[slug] = capture.LoadState{After: r.After, Rows: r.Rows, Done: r.Done, Reset: r.Reset}
		}
		states = append(states, s)
	}
	return states
}
