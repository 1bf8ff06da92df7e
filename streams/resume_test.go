package streams_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/catalog"
	"supstream/streams"
)

// position is the position of an area's newest record.
func (r *rig) position(area string) capture.Position {
	r.t.Helper()
	m, err := streams.NewReader(r.js).Newest(r.ctx, area)
	if err != nil {
		r.t.Fatal(err)
	}
	return m.Position
}

// A batch that a large transaction has filled is closed with that transaction's position, also when the next one sends
// nothing to the stream.
func TestFullBatchIsClosedWhereItEnds(t *testing.T) {
	r := newRig(t, nil)
	r.cfg.BatchBytes = 200
	w := r.open()
	text := strings.Repeat("x", 300)
	w.tx(10, insert(r.table("samtale"), row("1", "751", "<null>", "1", "ny", text)))
	w.tx(20, insert(r.table("samtale"), row("2", "751", "<null>", "1", "kladde", "t")))
	w.ok(w.Flush(r.ctx))
	w.ok(w.Flush(r.ctx))
	for w.rigEvents() == 0 {
		<-w.Wake()
	}
	if p := r.position("samtaler"); p.LSN < 11 {
		t.Errorf("the event at 10 is stored and the position record says %s", p)
	}
}

func (w *writer) rigEvents() int { return len(w.events("samtaler")) }

// The publisher that comes next passes over what is stored and takes the rest.
func TestResumeSkipsWhatIsStored(t *testing.T) {
	r := newRig(t, nil)
	table := r.table("kode")
	change := func(k string) capture.Change { return insert(table, row("l", k, "t")) }
	w := r.open()
	w.tx(10, change("a"), change("b"))
	w.settle(10)
	w.Close()
	w = r.open()
	if got, want := w.Durable(), (capture.Position{}); got.LSN < 10 {
		t.Errorf("durable %s, want more than %s", got, want)
	}
	w.tx(10, change("a"), change("b"))
	w.tx(20, change("c"))
	w.settle(20)
	equal(t, r.events("koder"), []string{
		`alle kode.insert {"liste":"l","kode":"a"} {"liste":"l","kode":"a","tekst":"t"}`,
		`alle kode.insert {"liste":"l","kode":"b"} {"liste":"l","kode":"b","tekst":"t"}!`,
		`alle kode.insert {"liste":"l","kode":"c"} {"liste":"l","kode":"c","tekst":"t"}!`,
	})
}

// A stream that somebody has emptied is not taken for a new one: what it lost would never come again.
func TestEmptiedStreamIsRefused(t *testing.T) {
	for _, name := range []string{streams.StreamName("koder"), streams.HeldStream} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			w := r.open()
			w.tx(10, insert(r.table("kode"), row("l", "k", "t")), insert(r.table("samtale"), row("1", "<null>", "<null>", "7", "ny", "t")))
			w.settle(10)
			w.Close()
			s, err := r.js.Stream(r.ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Purge(r.ctx); err != nil {
				t.Fatal(err)
			}
			p, err := streams.OpenPublisher(r.ctx, r.nc, r.cfg)
			if err == nil {
				p.Close()
				t.Fatal("it was taken for a new stream")
			}
			if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "position record") {
				t.Errorf("message: %v", err)
			}
		})
	}
}

// A stream with a message behind the position record has another writer.
func TestForeignMessageIsRefused(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	w.tx(10, insert(r.table("kode"), row("l", "k", "t")))
	w.settle(10)
	w.Close()
	if _, err := r.js.Publish(r.ctx, "dfdg.koder.alle", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if p, err := streams.OpenPublisher(r.ctx, r.nc, r.cfg); err == nil {
		p.Close()
		t.Error("opened")
	}
}

// The position record of a stream outlives the events, however old it is.
func TestPositionRecordDoesNotExpire(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	w.tx(10, insert(r.table("kode"), row("l", "k", "t")))
	w.settle(10)
	msgs := messages(r.ctx, t, r.js, streams.StreamName("koder"))
	last := msgs[len(msgs)-1]
	if last.subject != "dfdg.koder._pos" || last.header.Get("Nats-TTL") != "never" || last.header.Get("Nats-Rollup") != "sub" {
		t.Errorf("last message: %s %v", last.subject, last.header)
	}
	records := 0
	for _, m := range msgs {
		if m.subject == last.subject {
			records++
		}
	}
	if records != 1 {
		t.Errorf("%d position records", records)
	}
}

// A repair takes everything away and brings it again; its events have a time, and ids that sort in the stream's order.
func TestResetThenReads(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	table := r.table("kode")
	w.tx(10, insert(table, row("l", "a", "old")))
	w.ok(w.PublishChunk(r.ctx, &capture.Chunk{Table: table, Reset: true}))
	w.ok(w.PublishChunk(r.ctx, &capture.Chunk{Table: table, Time: clock(10), Rows: []catalog.Row{row("l", "a", "new"), row("l", "b", "new")}, State: capture.LoadState{Rows: 2, Done: true}}))
	w.tx(20, insert(table, row("l", "c", "t")))
	w.settle(20)
	equal(t, r.events("koder"), []string{
		`alle kode.insert {"liste":"l","kode":"a"} {"liste":"l","kode":"a","tekst":"old"}!`,
		`alle kode.truncate  `,
		`alle kode.read {"liste":"l","kode":"a"} {"liste":"l","kode":"a","tekst":"new"}`,
		`alle kode.read {"liste":"l","kode":"b"} {"liste":"l","kode":"b","tekst":"new"}`,
		`alle kode.insert {"liste":"l","kode":"c"} {"liste":"l","kode":"c","tekst":"t"}!`,
	})
	last := ""
	for _, m := range messages(r.ctx, t, r.js, streams.StreamName("koder")) {
		var e streams.Event
		if e.Decode(m.data) != nil {
			continue
		}
		if e.ID <= last {
			t.Errorf("id %s after %s", e.ID, last)
		}
		last = e.ID
		if e.Time.Year() != 2026 {
			t.Errorf("%s has time %s", e.Op, e.Time)
		}
	}
}

// An area is loading from its first record until all its tables are read.
func TestLoading(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	reader := streams.NewReader(r.js)
	loading := func() bool {
		t.Helper()
		m, err := reader.Newest(r.ctx, "samtaler")
		if err != nil {
			t.Fatal(err)
		}
		return m.Loading
	}
	w.ok(w.Advance(r.ctx, capture.Position{LSN: 10}, clock(10)))
	w.settle(10)
	if !loading() {
		t.Error("not loading before the first chunk")
	}
	for i, name := range []string{"samtale", "aftale"} {
		w.ok(w.PublishChunk(r.ctx, &capture.Chunk{Table: r.table(name), Time: clock(10), State: capture.LoadState{Done: true}}))
		lsn := uint64(20 + i)
		w.ok(w.Advance(r.ctx, capture.Position{LSN: lsn}, clock(lsn)))
		w.settle(lsn)
		if got, want := loading(), i == 0; got != want {
			t.Errorf("after %s: loading %t", name, got)
		}
	}
}

// A stream that was made by somebody else is neither changed nor written to.
func TestForeignStreamIsRefused(t *testing.T) {
	r := newRig(t, nil)
	if err := r.js.DeleteStream(r.ctx, streams.StreamName("koder")); err != nil {
		t.Fatal(err)
	}
	config := jetstream.StreamConfig{Name: streams.StreamName("koder"), Subjects: []string{"dfdg.koder.>"}}
	if _, err := r.js.CreateStream(r.ctx, config); err != nil {
		t.Fatal(err)
	}
	err := streams.Topology{Catalog: r.catalog, Mirror: "test"}.Apply(r.ctx, r.js)
	if err == nil || !strings.Contains(err.Error(), "not made by supstream") {
		t.Errorf("apply: %v", err)
	}
	if p, err := streams.OpenPublisher(r.ctx, r.nc, r.cfg); err == nil {
		p.Close()
		t.Error("opened")
	}
}
