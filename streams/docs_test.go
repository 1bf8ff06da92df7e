package streams_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"supstream/capture"
	"supstream/catalog"
	"supstream/streams"
)

const eventsDoc = "../docs/EVENTS.md"

var updateDoc = flag.Bool("update", false, "write the events that the encoder makes into docs/EVENTS.md")

var fence = regexp.MustCompile("(?ms)^```(\\S+)(?: (\\S+))?\n(.*?)^```$")

// block is a fenced block of the document.
type block struct {
	language, name, text string
	start, end           int // of the text in the document
}

func blocks(t *testing.T) (doc string, list []block) {
	t.Helper()
	b, err := os.ReadFile(eventsDoc)
	if err != nil {
		t.Fatal(err)
	}
	doc = string(b)
	for _, m := range fence.FindAllStringSubmatchIndex(doc, -1) {
		x := block{language: doc[m[2]:m[3]], text: doc[m[6]:m[7]], start: m[6], end: m[7]}
		if m[4] >= 0 {
			x.name = doc[m[4]:m[5]]
		}
		list = append(list, x)
	}
	return doc, list
}

// Each input of the document, published on a real server, gives the events that stand below it.
func TestDocumentedEvents(t *testing.T) {
	doc, list := blocks(t)
	var edits []block // with the new text
	examples := 0
	for i, b := range list {
		if b.language != "input" {
			continue
		}
		var want []block
		for _, x := range list[i+1:] {
			if x.language != "json" || x.name == "record" {
				break
			}
			want = append(want, x)
		}
		t.Run(fmt.Sprintf("input %d", i), func(t *testing.T) {
			got := publishExample(t, b.text)
			if len(got) != len(want) {
				t.Fatalf("%d events, the document has %d", len(got), len(want))
			}
			for n, m := range got {
				examples++
				if subject := "dfdg." + area(t, m.data) + "." + want[n].name; m.subject != subject {
					t.Errorf("subject %s, the document says %s", m.subject, subject)
				}
				edits = append(edits, block{text: layOut(string(m.data)), start: want[n].start, end: want[n].end})
				if got, want := compact(t, string(m.data)), compact(t, want[n].text); got != want && !*updateDoc {
					t.Errorf("\n    the encoder makes %s\nthe document says %s", got, want)
				}
				readBack(t, m)
			}
		})
	}
	if examples < 8 {
		t.Errorf("only %d examples were found", examples)
	}
	if *updateDoc {
		slices.SortFunc(edits, func(a, b block) int { return b.start - a.start })
		for _, e := range edits {
			doc = doc[:e.start] + e.text + doc[e.end:]
		}
		if err := os.WriteFile(eventsDoc, []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func area(t *testing.T, data []byte) string {
	var e streams.Event
	if err := e.Decode(data); err != nil {
		t.Fatal(err)
	}
	return e.Dataomraade
}

// layOut breaks an event into lines as the document has them.
func layOut(s string) string {
	return strings.NewReplacer(
		`"type":`, "\n \"type\":", `"dataschema":`, "\n \"dataschema\":", `"sequence":`, "\n \"sequence\":",
		`"data":`, "\n \"data\":", `"row":`, "\n  \"row\":", `"txlast":`, "\n \"txlast\":").Replace(s) + "\n"
}

func compact(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(s)); err != nil {
		t.Fatalf("%v: %s", err, s)
	}
	return b.String()
}

// readBack reads an event with the CloudEvents SDK.
func readBack(t *testing.T, m stored) {
	t.Helper()
	var sdk cloudevents.Event
	if err := json.Unmarshal(m.data, &sdk); err != nil {
		t.Errorf("sdk-go: %v", err)
		return
	}
	if err := sdk.Validate(); err != nil {
		t.Errorf("sdk-go: %v", err)
	}
	var e streams.Event
	if err := e.Decode(m.data); err != nil || e.ID != sdk.ID() || !e.Time.Equal(sdk.Time()) {
		t.Errorf("decoded %+v, %v; sdk-go has %s", e, err, sdk.ID())
	}
}

// publishExample publishes the change that an input describes and returns its events.
func publishExample(t *testing.T, text string) (list []stored) {
	t.Helper()
	r := newRig(t, nil)
	r.cfg.Mirror, r.cfg.Key = "prod", []byte("the secret of the examples")
	in := map[string]string{}
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			t.Fatalf("line %q", line)
		}
		in[k] = v
	}
	table := r.table(in["table"])
	pos, err := capture.ParsePosition(in["position"])
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339Nano, in["time"])
	if err != nil {
		t.Fatal(err)
	}
	c := capture.Change{Table: table, Position: pos, CommitTime: at, Old: exampleRow(t, table, in["old"]), New: exampleRow(t, table, in["new"])}
	fmt.Sscan(in["xid"], &c.XID)
	w := r.open()
	if in["op"] == "read" {
		var before uint32
		fmt.Sscan(in["part"], &before)
		w.ok(w.Advance(r.ctx, pos, at))
		rows := make([]catalog.Row, before+1)
		for i := range rows {
			rows[i] = c.New
		}
		w.ok(w.PublishChunk(r.ctx, &capture.Chunk{Table: table, Time: at, Rows: rows}))
		w.end = pos.LSN
	} else {
		for op := capture.Insert; op <= capture.Truncate; op++ {
			if op.String() == in["op"] {
				c.Op = op
			}
		}
		w.ok(w.Publish(r.ctx, &c))
		if in["last"] == "" { // another change of the transaction follows
			other := insert(table, c.New)
			if c.New == nil {
				other.New = c.Old
			}
			other.Position = capture.Position{LSN: pos.LSN, Ordinal: pos.Ordinal + 2}
			w.ok(w.Publish(r.ctx, &other))
		}
		w.end = pos.LSN + 1
		w.ok(w.Advance(r.ctx, capture.Position{LSN: w.end}, at))
	}
	w.settle(0)
	for _, m := range messages(r.ctx, t, r.js, streams.StreamName(table.Area.Slug)) {
		var e streams.Event
		if e.Decode(m.data) == nil && e.Position == pos {
			list = append(list, m)
		}
	}
	if in["op"] == "read" {
		list = list[len(list)-1:]
	}
	return list
}

func exampleRow(t *testing.T, table *catalog.Table, text string) catalog.Row {
	t.Helper()
	if text == "" {
		return nil
	}
	values := map[string]*string{}
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		t.Fatalf("row %s: %v", text, err)
	}
	row := make(catalog.Row, len(table.Columns))
	for i, c := range table.Columns {
		row[i] = value("<null>")
		if v := values[c.Name]; v != nil {
			row[i] = value(*v)
		}
	}
	return row
}

// The position record of the document has the members of a real one.
func TestDocumentedRecord(t *testing.T) {
	_, list := blocks(t)
	for _, b := range list {
		if b.name != "record" {
			continue
		}
		r := newRig(t, nil)
		w := r.open()
		at := time.Date(2026, 1, 1, 9, 0, 0, 250000000, time.UTC)
		table := r.table("kode")
		w.ok(w.Advance(r.ctx, capture.Position{LSN: 0x1A2B3D0}, at))
		w.ok(w.PublishChunk(r.ctx, &capture.Chunk{Table: table, Time: at, State: capture.LoadState{Done: true}}))
		w.settle(0x1A2B3D0)
		msgs := messages(r.ctx, t, r.js, streams.StreamName("koder"))
		var got, want map[string]any
		if err := json.Unmarshal(msgs[len(msgs)-1].data, &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(b.text), &want); err != nil {
			t.Fatal(err)
		}
		for name, v := range want {
			if _, ok := got[name]; !ok || name != "incarnation" && name != "events" && got[name] != v {
				t.Errorf("%s: %v, the document says %v", name, got[name], v)
			}
		}
		if len(got) != len(want) {
			t.Errorf("a record is %s", msgs[len(msgs)-1].data)
		}
		return
	}
	t.Error("no example of a position record")
}
