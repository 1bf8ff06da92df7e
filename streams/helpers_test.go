package streams_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"supstream/capture"
	"supstream/catalog"
	"supstream/internal/natstest"
	"supstream/streams"
)

func TestMain(m *testing.M) {
	natstest.Main()
	os.Exit(m.Run())
}

// rig is a server with the streams of testdata/catalog.
type rig struct {
	t       *testing.T
	ctx     context.Context
	catalog *catalog.Catalog
	nc      *nats.Conn
	js      jetstream.JetStream
	cfg     streams.PublisherConfig
	reg     *prometheus.Registry
	log     *logText
}

func testCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	cat, err := catalog.LoadDir("testdata/catalog")
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// newRig makes the streams on the server that nc is connected to; nil: an embedded one.
func newRig(t *testing.T, nc *nats.Conn) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	r := &rig{t: t, ctx: ctx, catalog: testCatalog(t), log: &logText{}, reg: prometheus.NewRegistry()}
	if nc == nil {
		_, nc = natstest.Embedded(t, streams.EmbeddedConfig{})
	}
	r.connect(nc)
	r.cfg = streams.PublisherConfig{
		Catalog: r.catalog, Mirror: "test", Key: []byte("secret"), BatchEvents: 100,
		Log: slog.New(slog.NewTextHandler(r.log, nil)), Metrics: streams.NewMetrics(r.reg),
	}
	r.apply()
	return r
}

func (r *rig) connect(nc *nats.Conn) {
	js, err := jetstream.New(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	r.nc, r.js = nc, js
}

func (r *rig) apply() {
	r.t.Helper()
	if err := (streams.Topology{Catalog: r.catalog, Mirror: "test"}).Apply(r.ctx, r.js); err != nil {
		r.t.Fatal(err)
	}
}

// open opens a publisher with the rig's configuration.
func (r *rig) open() *writer {
	r.t.Helper()
	p, err := streams.OpenPublisher(r.ctx, r.nc, r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.Close)
	return &writer{rig: r, Publisher: p}
}

func (r *rig) table(name string) *catalog.Table {
	r.t.Helper()
	t, ok := r.catalog.Table("public", name)
	if !ok {
		r.t.Fatalf("no table %s", name)
	}
	return t
}

// writer is a publisher whose errors end the test.
type writer struct {
	*rig
	*streams.Publisher
	end uint64 // of the last transaction
}

func (w *writer) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// tx publishes a transaction that commits at lsn and ends at lsn+1.
func (w *writer) tx(lsn uint64, changes ...capture.Change) {
	w.t.Helper()
	for i := range changes {
		c := place(changes[i], lsn, i)
		w.ok(w.Publish(w.ctx, &c))
	}
	w.end = lsn + 1
	w.ok(w.Advance(w.ctx, capture.Position{LSN: w.end}, clock(lsn)))
}

// place gives change number i of the transaction at lsn its place.
func place(c capture.Change, lsn uint64, i int) capture.Change {
	c.Position = capture.Position{LSN: lsn, Ordinal: uint32(2*i + 1)}
	c.XID, c.CommitTime = uint32(lsn), clock(lsn)
	return c
}

func clock(lsn uint64) time.Time {
	return time.Date(2026, 1, 1, 8, 0, 0, 123456000, time.UTC).Add(time.Duration(lsn) * time.Second)
}

// settle waits until everything that was published is durable.
func (w *writer) settle(lsn uint64) {
	w.t.Helper()
	w.ok(w.Mark(w.ctx, 0))
	lsn = max(lsn, w.end)
	for w.Durable().LSN < lsn {
		select {
		case <-w.Wake():
			w.ok(w.Flush(w.ctx))
		case <-w.ctx.Done():
			w.t.Fatalf("only %s is durable, want %d", w.Durable(), lsn)
		}
	}
}

// failed waits for the error that ends the publisher.
func (w *writer) failed() error {
	w.t.Helper()
	for {
		if err := w.Flush(w.ctx); err != nil {
			return err
		}
		select {
		case <-w.Wake():
		case <-time.After(100 * time.Millisecond): // a lost connection is not signalled
		case <-w.ctx.Done():
			w.t.Fatal("the publisher did not fail")
		}
	}
}

// row makes a row of texts; see value.
func row(texts ...string) catalog.Row {
	r := make(catalog.Row, len(texts))
	for i, s := range texts {
		r[i] = value(s)
	}
	return r
}

// value makes a value of its text; <null>, <absent> and <unchanged> are those kinds.
func value(s string) catalog.Value {
	switch s {
	case "<null>":
		return catalog.Value{Kind: catalog.Null}
	case "<absent>":
		return catalog.Value{}
	case "<unchanged>":
		return catalog.Value{Kind: catalog.Unchanged}
	}
	return catalog.Value{Kind: catalog.Text, Text: []byte(s)}
}

func insert(t *catalog.Table, new catalog.Row) capture.Change {
	return capture.Change{Table: t, Op: capture.Insert, New: new}
}

func update(t *catalog.Table, old, new catalog.Row) capture.Change {
	return capture.Change{Table: t, Op: capture.Update, Old: old, New: new}
}

func remove(t *catalog.Table, old catalog.Row) capture.Change {
	return capture.Change{Table: t, Op: capture.Delete, Old: old}
}

func truncate(t *catalog.Table) capture.Change { return capture.Change{Table: t, Op: capture.Truncate} }

// stored is a message of a stream.
type stored struct {
	seq     uint64
	subject string
	header  nats.Header
	data    []byte
}

// messages lists all messages of a stream.
func messages(ctx context.Context, t testing.TB, js jetstream.JetStream, stream string) []stored {
	t.Helper()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	info := s.CachedInfo()
	if info.State.Msgs == 0 {
		return nil
	}
	cons, err := js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	it, err := cons.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer it.Stop()
	var list []stored
	for {
		msg, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, stored{meta.Sequence.Stream, msg.Subject(), msg.Headers(), slices.Clone(msg.Data())})
		if meta.Sequence.Stream >= info.State.LastSeq {
			return list
		}
	}
}

// events lists the events of an area, as "<bruger> <op> <key> <row>", "!" behind the last of a transaction.
func (r *rig) events(area string) []string {
	r.t.Helper()
	var list []string
	for _, m := range messages(r.ctx, r.t, r.js, streams.StreamName(area)) {
		_, bruger, err := streams.ParseSubject(m.subject)
		if err != nil {
			continue
		}
		var e streams.Event
		if err := e.Decode(m.data); err != nil {
			r.t.Fatalf("%s: %v", m.data, err)
		}
		text := fmt.Sprintf("%s %s.%s %s %s", bruger, e.Table, e.Op, e.Key, e.Row)
		if bytes.Contains(m.data, []byte(`"txlast":true`)) {
			text += "!"
		}
		list = append(list, text)
	}
	return list
}

// held lists the notes of held rows: "<table> <op> <key> <row>".
func (r *rig) held() []string {
	r.t.Helper()
	var list []string
	for _, m := range messages(r.ctx, r.t, r.js, streams.HeldStream) {
		if strings.HasSuffix(m.subject, "._pos") {
			continue
		}
		var e struct {
			Type string
			Data struct{ Key, Row json.RawMessage }
		}
		if err := json.Unmarshal(m.data, &e); err != nil {
			r.t.Fatalf("%s: %v", m.data, err)
		}
		op := e.Type[strings.LastIndexByte(e.Type, '.')+1:]
		list = append(list, fmt.Sprintf("%s %s %s", op, e.Data.Key, e.Data.Row))
	}
	return list
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	for i := 0; i < len(got) || i < len(want); i++ {
		switch {
		case i >= len(got):
			t.Errorf("missing: %s", want[i])
		case i >= len(want):
			t.Errorf("too many: %s", got[i])
		case got[i] != want[i]:
			t.Errorf("%d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
}

// logText is a log that can be read.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// metric is the value of a metric with one label, or without.
func (r *rig) metric(name, label string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) == 0 || m.GetLabel()[0].GetValue() == label {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
