package streams_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/catalog"
	"supstream/internal/natstest"
	"supstream/streams"
)

const heldPosition = "dfdg._held._pos"

// disturb makes the next batch of the stream of held rows fail, and returns how to mend the stream: as if that batch
// had been lost with the server while others were stored.
func (r *rig) disturb() (mend func()) {
	r.t.Helper()
	s, err := r.js.Stream(r.ctx, streams.HeldStream)
	if err != nil {
		r.t.Fatal(err)
	}
	record, err := s.GetLastMsgForSubject(r.ctx, heldPosition)
	if err != nil {
		r.t.Fatal(err)
	}
	write := func() {
		r.t.Helper()
		msg := nats.NewMsg(heldPosition)
		msg.Data = record.Data
		msg.Header.Set("Nats-Rollup", "sub")
		msg.Header.Set("Nats-TTL", "never")
		if _, err := r.js.PublishMsg(r.ctx, msg); err != nil {
			r.t.Fatal(err)
		}
	}
	write()
	return write
}

// A row is noted as held even when its area's stream was stored and the note was lost.
func TestHeldRowIsNotedAfterCrash(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	w.tx(10, insert(r.table("kode"), row("l", "k", "t")))
	w.settle(10)
	mend := r.disturb()
	changes := []capture.Change{
		insert(r.table("samtale"), row("1", "<null>", "908", "7", "ny", "t")),
		insert(r.table("samtale"), row("2", "751", "908", "1", "ny", "t")),
	}
	w.tx(20, changes...)
	if err := w.failed(); !errors.Is(err, streams.ErrFenced) {
		t.Fatal(err)
	}
	mend()
	w = r.open()
	if d := w.Durable(); d.LSN > 20 {
		t.Fatalf("%s is said to be durable", d)
	}
	w.tx(20, changes...)
	w.settle(20)
	equal(t, r.held(), []string{
		`held {"id":1} {"id":1,"kommune_kode":null,"akasse_kode":"908","type":7,"status":"ny","tekst":"t"}`,
	})
	if n := len(r.events("samtaler")); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

// The progress of a back-fill is not stored before the rows that it held are.
func TestHeldRowOfChunkIsNotedAfterCrash(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	w.ok(w.Advance(r.ctx, capture.Position{LSN: 10}, clock(10)))
	w.settle(10)
	chunk := func() *capture.Chunk {
		return &capture.Chunk{
			Table: r.table("samtale"), Time: clock(10),
			Rows:  []catalog.Row{row("1", "<null>", "908", "7", "ny", "t"), row("2", "751", "<null>", "7", "ny", "t")},
			State: capture.LoadState{Rows: 2, Done: true},
		}
	}
	mend := r.disturb()
	if err := w.PublishChunk(r.ctx, chunk()); err == nil {
		err = w.failed()
		if !errors.Is(err, streams.ErrFenced) {
			t.Fatal(err)
		}
	}
	mend()
	w = r.open()
	w.ok(w.Advance(r.ctx, capture.Position{LSN: 10}, clock(10)))
	for _, a := range w.Areas() {
		if a.Dataomraade == "samtaler" && !a.Loads["samtale"].Done {
			w.ok(w.PublishChunk(r.ctx, chunk()))
		}
	}
	w.settle(10)
	equal(t, r.held(), []string{
		`held {"id":1} {"id":1,"kommune_kode":null,"akasse_kode":"908","type":7,"status":"ny","tekst":"t"}`,
	})
	equal(t, r.events("samtaler"), []string{
		`akasse.908 samtale.read {"id":1} {"id":1,"kommune_kode":null,"akasse_kode":"908","type":7,"status":"ny","tekst":"t"}`,
		`kommune.751 samtale.read {"id":2} {"id":2,"kommune_kode":"751","akasse_kode":null,"type":7,"status":"ny","tekst":"t"}`,
	})
}

// What is held is known again after a restart, over all tables of an area.
func TestHeldRowsAreKnownAfterRestart(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	aftale := func(nr, kommune string) catalog.Row { return row("1", nr, kommune, "<null>", "t") }
	samtale := func(id, kommune string) catalog.Row { return row(id, kommune, "<null>", "7", "ny", "t") }
	w.tx(10,
		insert(r.table("samtale"), samtale("1", "<null>")), insert(r.table("samtale"), samtale("2", "999")),
		insert(r.table("samtale"), samtale("3", "   ")), insert(r.table("aftale"), aftale("1", "<null>")))
	w.tx(20, remove(r.table("samtale"), samtale("3", "   ")))
	w.settle(20)
	for range 2 { // a publisher, then the next one
		if n := r.metric("supstream_held_rows", "samtaler"); n != 3 {
			t.Errorf("%v rows are held, want 3", n)
		}
		w = r.open()
	}
	w.tx(30, update(r.table("samtale"), samtale("1", "<null>"), samtale("1", "751")))
	w.settle(30)
	if n := r.metric("supstream_held_rows", "samtaler"); n != 2 {
		t.Errorf("%v rows are held, want 2", n)
	}
	w.tx(40, truncate(r.table("samtale")))
	w.settle(40)
	if n := r.metric("supstream_held_rows", "samtaler"); n != 1 {
		t.Errorf("%v rows are held, want 1", n)
	}
	r.open()
	if n := r.metric("supstream_held_rows", "samtaler"); n != 1 {
		t.Errorf("after a restart %v rows are held, want 1", n)
	}
}

// The note that a row is held no longer has no content, expires, and stands in the place of the row.
func TestHeldRowLeavesNoContent(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	w.tx(10, insert(r.table("samtale"), row("1", "<null>", "<null>", "7", "ny", "hemmelig")))
	w.tx(20, remove(r.table("samtale"), row("1", "<null>", "<null>", "7", "ny", "hemmelig")))
	w.settle(20)
	var notes int
	for _, m := range messages(r.ctx, t, r.js, streams.HeldStream) {
		if m.subject == heldPosition {
			continue
		}
		notes++
		if strings.Contains(string(m.data), "hemmelig") {
			t.Errorf("content is left: %s", m.data)
		}
		if ttl := m.header.Get("Nats-TTL"); ttl != "24h" {
			t.Errorf("Nats-TTL %q", ttl)
		}
		if !json.Valid(m.data) {
			t.Errorf("not JSON: %s", m.data)
		}
	}
	if notes != 1 {
		t.Errorf("%d notes", notes)
	}
}

// A transaction that holds more rows than a batch takes, and a truncate that releases as many.
func TestHeldRowsBeyondABatch(t *testing.T) {
	for _, open := range []int{0, 1, 50, 98} { // rows held in a transaction before it, in an open batch
		t.Run(fmt.Sprint(open), func(t *testing.T) {
			// A server that takes no larger batches than the publisher makes.
			r := newRig(t, natstest.Start(t, natstest.Options{BatchEvents: 100}).Connect(t))
			w := r.open()
			table := r.table("samtale")
			held := func(from, n int) (list []capture.Change) {
				for i := range n {
					list = append(list, insert(table, row(fmt.Sprint(from+i), "<null>", "<null>", "7", "ny", "t")))
				}
				return list
			}
			w.tx(10, held(0, 750)...)
			w.settle(10)
			w.tx(20, held(1000, open)...)
			w.tx(30, truncate(table))
			w.settle(30)
			if n := r.metric("supstream_held_rows", "samtaler"); n != 0 {
				t.Errorf("%v rows are held", n)
			}
			for _, note := range r.held() {
				if !strings.HasPrefix(note, "released ") {
					t.Errorf("not released: %s", note)
				}
			}
			if n := len(r.held()); n != 750+open {
				t.Errorf("%d notes, want %d", n, 750+open)
			}
		})
	}
}

// The stream of held rows is nobody's business outside: no subject of it is one of events.
func TestHeldSubjectsAreNotEvents(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	w.tx(10, insert(r.table("samtale"), row("1", "<null>", "<null>", "7", "ny", "t")))
	w.settle(10)
	for _, m := range messages(r.ctx, t, r.js, streams.HeldStream) {
		if _, _, err := streams.ParseSubject(m.subject); err == nil {
			t.Errorf("%s is taken for the subject of an event", m.subject)
		}
	}
	s, err := r.js.Stream(r.ctx, streams.HeldStream)
	if err != nil {
		t.Fatal(err)
	}
	if c := s.CachedInfo().Config; c.AllowDirect || c.Storage != jetstream.FileStorage {
		t.Errorf("configuration: %+v", c)
	}
}
