package streams

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"supstream/capture"
	"supstream/catalog"
)

// Headers of an atomic batch (ADR-50) and of a record that replaces the one
// before it and never expires.
const (
	hdrBatchID      = "Nats-Batch-Id"
	hdrBatchSeq     = "Nats-Batch-Sequence"
	hdrBatchCommit  = "Nats-Batch-Commit"
	hdrExpectedLast = "Nats-Expected-Last-Sequence"
	hdrRollup       = "Nats-Rollup"
	hdrTTL          = "Nats-TTL"
	hdrContentType  = "Content-Type"
)

// lane writes one stream: whole transactions in atomic batches, each fenced by
// the sequence the stream must have reached and closed by a position record.
// The next batch is sent while the one before it is being stored; a batch
// that fails takes all after it with it, because their fences fail.
type lane struct {
	pub      *Publisher
	slug     string
	stream   string
	position string // subject of position records
	subjects map[catalog.Bruger]string
	index    int // in Publisher.lanes and in reply subjects
	metrics  *areaMetrics

	incarnation string
	resume      capture.Position // changes at or before it were stored before this writer opened
	next        uint64           // sequence of the next message if all batches in flight are stored
	sent        capture.Position // of the last position record sent
	sentAt      time.Time
	loads       map[string]*loadRecord // by table slug
	part        uint32                 // parts used up by read events

	// The open batch.
	id     string
	n      int // messages sent
	bytes  int
	oldest time.Time // commit time in Postgres of its oldest change

	tx transaction // what the running transaction has for this stream

	// Guarded by Publisher.mu.
	inflight []commit
	durable  capture.Position
}

// transaction collects the events of a running transaction, so that one no
// larger than a batch is never split and its last change can be told.
type transaction struct {
	data    []byte
	events  []txEvent
	last    int              // first event of the last change
	lastPos capture.Position // of the last change
	from    capture.Position // everything up to it is in the stream or the open batch
	split   bool             // a part has been sent
}

type txEvent struct {
	subject string
	end     int // in data
	kind    headerKind
}

// commit is a batch whose acknowledgement is awaited.
type commit struct {
	number   uint64
	last     uint64 // stream sequence of its last message
	position capture.Position
	events   int
	sent     time.Time
	oldest   time.Time // commit time in Postgres of its oldest change
}

// loading reports whether a table of the area has not been read to its end.
func (l *lane) loading() bool {
	for _, r := range l.loads {
		if !r.Done {
			return true
		}
	}
	return false
}

// add takes an event of the change at pos in the running transaction; data is
// copied.
func (l *lane) add(pos capture.Position, subject string, data []byte, kind headerKind) {
	t := &l.tx
	if len(t.events) == 0 && !t.split {
		t.from = capture.Position{LSN: pos.LSN}
	}
	if len(t.events) == 0 || t.lastPos != pos {
		t.last, t.lastPos = len(t.events), pos
	}
	t.data = append(t.data, data...)
	t.events = append(t.events, txEvent{subject, len(t.data), kind})
}

// full reports whether the transaction, with n further events and the position
// record, outgrows a batch.
func (l *lane) full(n int) bool {
	t := &l.tx
	return len(t.events) > 0 && (len(t.events)+n >= l.pub.cfg.BatchEvents || len(t.data) > l.pub.cfg.BatchBytes)
}

// spill stores a part of a transaction that is larger than a batch: all but
// its last change, which may turn out to be the last of all.
func (l *lane) spill(ctx context.Context) error {
	if l.n > 0 {
		if err := l.commit(ctx, l.tx.from); err != nil {
			return err
		}
	}
	if err := l.sendEvents(l.tx.last); err != nil {
		return err
	}
	l.tx.from, l.tx.split = before(l.tx.lastPos), true
	return l.commit(ctx, l.tx.from)
}

// spillAll stores a part that may come again after a crash: all there is.
func (l *lane) spillAll(ctx context.Context) error {
	if l.n > 0 {
		if err := l.commit(ctx, l.tx.from); err != nil {
			return err
		}
	}
	if err := l.sendEvents(len(l.tx.events)); err != nil {
		return err
	}
	return l.commit(ctx, l.tx.from)
}

// end sends the rest of the transaction into the open batch, after ending
// that one first if it has no room for it.
func (l *lane) end(ctx context.Context) error {
	t := &l.tx
	if len(t.events) == 0 {
		return nil
	}
	if l.n > 0 && (l.n+len(t.events) >= l.pub.cfg.BatchEvents || l.bytes+len(t.data) > l.pub.cfg.BatchBytes) {
		if err := l.commit(ctx, t.from); err != nil {
			return err
		}
	}
	last := t.last
	if err := l.sendEvents(last); err != nil {
		return err
	}
	start := 0
	for _, e := range t.events {
		data := append(l.pub.buf[:0], t.data[start:e.end]...)
		start = e.end
		l.pub.buf = markLast(data)
		if err := l.send(e.subject, l.pub.buf, e.kind); err != nil {
			return err
		}
	}
	*t = transaction{data: t.data[:0], events: t.events[:0]}
	return nil
}

// sendEvents sends and forgets the first n collected events.
func (l *lane) sendEvents(n int) error {
	if n == 0 {
		return nil
	}
	t := &l.tx
	start := 0
	for _, e := range t.events[:n] {
		if err := l.send(e.subject, t.data[start:e.end], e.kind); err != nil {
			return err
		}
		start = e.end
	}
	t.data = append(t.data[:0], t.data[start:]...)
	t.events = append(t.events[:0], t.events[n:]...)
	for i := range t.events {
		t.events[i].end -= start
	}
	t.last = 0
	return nil
}

type headerKind uint8

const (
	plainHeader    headerKind = iota // an event
	releasedHeader                   // a note that expires
	recordHeader                     // a record that replaces the one before it
	commitHeader                     // a record that ends the batch
)

// send adds a message to the open batch, opening one if needed. The message
// and the headers of events are made once and used again: the connection
// copies what it is given.
func (l *lane) send(subject string, data []byte, kind headerKind) error {
	p := l.pub
	if l.n == 0 {
		p.batches++
		l.id = p.batchPrefix + strconv.FormatUint(p.batches, 36)
	}
	l.n++
	o := &p.out
	o.batchID[0], o.batchSeq[0] = l.id, o.number(l.n)
	o.msg.Subject, o.msg.Reply, o.msg.Data, o.msg.Header = subject, "", data, o.event
	if kind != plainHeader || l.n == 1 {
		o.msg.Header = l.header(kind)
	}
	if kind == commitHeader {
		o.msg.Reply = p.inbox + strconv.Itoa(l.index) + "." + strconv.FormatUint(p.commits, 10)
	}
	if err := p.nc.PublishMsg(&o.msg); err != nil {
		return fmt.Errorf("stream %s: send: %w", l.stream, err)
	}
	l.next++
	l.bytes += len(data)
	return nil
}

// header makes the headers of a message that is not like most: the first of a
// batch, which states the fence, and records.
func (l *lane) header(kind headerKind) nats.Header {
	o := &l.pub.out
	h := nats.Header{hdrBatchID: o.batchID, hdrBatchSeq: o.batchSeq}
	if l.n == 1 {
		h[hdrExpectedLast] = []string{strconv.FormatUint(l.next-1, 10)}
	}
	switch kind {
	case plainHeader:
		h[hdrContentType] = []string{ContentType}
	case releasedHeader:
		h[hdrContentType] = []string{ContentType}
		h[hdrTTL] = []string{releasedTTL}
	case commitHeader:
		h[hdrBatchCommit] = []string{"1"}
		fallthrough
	case recordHeader:
		h[hdrRollup] = []string{nats.MsgRollupSubject}
		h[hdrTTL] = []string{"never"}
	}
	return h
}

// outgoing is the message being sent.
type outgoing struct {
	msg               nats.Msg
	event             nats.Header // of events; holds batchID and batchSeq
	batchID, batchSeq []string    // one element each
	numbers           []string    // texts of 0, 1, 2, …
}

func newOutgoing() outgoing {
	o := outgoing{batchID: make([]string, 1), batchSeq: make([]string, 1)}
	o.event = nats.Header{hdrBatchID: o.batchID, hdrBatchSeq: o.batchSeq, hdrContentType: {ContentType}}
	return o
}

// number is the text of n, made once.
func (o *outgoing) number(n int) string {
	for i := len(o.numbers); i <= n; i++ {
		o.numbers = append(o.numbers, strconv.Itoa(i))
	}
	return o.numbers[n]
}

// commit ends the open batch with a position record saying that everything up
// to pos is here; without an open batch the record is one by itself. It waits
// while too many batches are in flight.
func (l *lane) commit(ctx context.Context, pos capture.Position) error {
	p := l.pub
	if err := p.await(ctx, l, p.cfg.InFlight-1); err != nil {
		return err
	}
	if pos.Compare(l.sent) < 0 {
		pos = l.sent // a stream that was ahead when the publisher opened
	}
	rec := positionRecord{Position: pos, Time: p.clock, Incarnation: l.incarnation, Events: l.n, Loading: l.loading()}
	p.record = rec.appendTo(p.record[:0])
	p.commits++
	c := commit{number: p.commits, last: l.next, position: pos, events: l.n, sent: p.now(), oldest: l.oldest}
	p.mu.Lock()
	l.inflight = append(l.inflight, c)
	p.mu.Unlock()
	if err := l.send(l.position, p.record, commitHeader); err != nil {
		return err
	}
	l.n, l.bytes, l.oldest = 0, 0, time.Time{}
	l.sent, l.sentAt = pos, c.sent
	return nil
}

// openPosition is how far the stream is, not counting the running transaction.
func (l *lane) openPosition() capture.Position {
	if len(l.tx.events) > 0 {
		return l.tx.from
	}
	return l.pub.boundary
}
