package streams

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"supstream/capture"
	"supstream/catalog"
)

// randomRow is a row of samtale: id, kommune, a-kasse, type, status, tekst.
func randomRow(rnd *rand.Rand) catalog.Row {
	text := func(s string) catalog.Value { return catalog.Value{Kind: catalog.Text, Text: []byte(s)} }
	any := func() catalog.Value {
		switch rnd.IntN(4) {
		case 0:
			return catalog.Value{Kind: catalog.Null}
		case 1:
			return text("")
		}
		runes := []rune("abcæøåÆØÅ \"\\/<>&'\n\r\t\x00\x01\u007f\u00a0\u2028😀{}[]:,")
		var b strings.Builder
		for range rnd.IntN(40) {
			b.WriteRune(runes[rnd.IntN(len(runes))])
		}
		return text(b.String())
	}
	return catalog.Row{
		text(fmt.Sprint(int32(rnd.Uint32()))), any(), any(), text(fmt.Sprint(int16(rnd.Uint32()))), any(), any(),
	}
}

// Every event is a CloudEvent: the SDK reads it and finds the same as we do, attribute by attribute.
func TestEventsAreCloudEvents(t *testing.T) {
	cat, err := catalog.LoadDir("testdata/catalog")
	if err != nil {
		t.Fatal(err)
	}
	table, _ := cat.Table("public", "samtale")
	rnd := rand.New(rand.NewPCG(5, 6))
	enc := newEncoder("mirror-1", []byte("key"))
	for n := range 3000 {
		c := capture.Change{
			Table: table, Position: capture.Position{LSN: rnd.Uint64() >> rnd.IntN(64), Ordinal: rnd.Uint32()}, XID: rnd.Uint32(),
			CommitTime: time.UnixMicro(1700000000000000 + rnd.Int64N(1e15)).UTC(), New: randomRow(rnd), Old: randomRow(rnd),
		}
		op := Op(1 + rnd.IntN(int(OpScopeOut)))
		part := rnd.Uint32() >> rnd.IntN(32)
		switch op {
		case OpTruncate:
			c.Op = capture.Truncate
		case OpDelete:
			c.Op, c.New = capture.Delete, nil
		default:
			c.Op, c.Old = capture.Update, nil
		}
		if err := enc.begin(&c); err != nil {
			t.Fatal(err)
		}
		data, err := enc.event(nil, op, part)
		if err != nil {
			t.Fatal(err)
		}
		last := n%2 == 0
		if last {
			data = markLast(data)
		}
		checkEvent(t, data, &c, op, part, last)
		if t.Failed() {
			t.Fatalf("event: %s", data)
		}
	}
}

func checkEvent(t *testing.T, data []byte, c *capture.Change, op Op, part uint32, last bool) {
	t.Helper()
	var sdk cloudevents.Event
	if err := json.Unmarshal(data, &sdk); err != nil {
		t.Fatalf("sdk-go: %v", err)
	}
	if err := sdk.Validate(); err != nil {
		t.Errorf("sdk-go: %v", err)
	}
	id := fmt.Sprintf("%016X-%08X-%08X", c.Position.LSN, c.Position.Ordinal, part)
	var e Event
	if err := e.Decode(data); err != nil {
		t.Fatalf("decode: %v", err)
	}
	for _, x := range []struct {
		name      string
		got, want any
	}{
		{"specversion", sdk.SpecVersion(), "1.0"},
		{"id", sdk.ID(), id},
		{"source", sdk.Source(), "/dfdg/mirror-1/samtaler"},
		{"type", sdk.Type(), "dk.dfdg.samtaler.samtale." + op.String()},
		{"time", sdk.Time(), c.CommitTime},
		{"dataschema", sdk.DataSchema(), "urn:dfdg:samtaler:v2"},
		{"datacontenttype", sdk.DataContentType(), "application/json"},
		{"sequence", sdk.Extensions()["sequence"], id},
		{"change", sdk.Extensions()["change"], id[:25]},
		{"xid", sdk.Extensions()["xid"], fmt.Sprint(c.XID)},
		{"txlast", sdk.Extensions()["txlast"] == true, last},
		{"decoded id", e.ID, id},
		{"decoded position", e.Position, c.Position},
		{"decoded area", e.Dataomraade, "samtaler"},
		{"decoded table", e.Table, "samtale"},
		{"decoded op", e.Op, op},
		{"decoded time", e.Time, c.CommitTime},
		{"decoded xid", e.XID, c.XID},
	} {
		if !reflect.DeepEqual(x.got, x.want) {
			t.Errorf("%s: %v, want %v", x.name, x.got, x.want)
		}
	}
	if n := len(sdk.Extensions()); n != 3 && !(last && n == 4) {
		t.Errorf("extensions: %v", sdk.Extensions())
	}
	var body struct {
		Table    string
		Key, Row json.RawMessage
	}
	if err := json.Unmarshal(sdk.Data(), &body); err != nil {
		t.Fatal(err)
	}
	if op == OpTruncate {
		if body.Table != "samtale" || body.Key != nil || body.Row != nil || e.Key != nil || e.Row != nil {
			t.Errorf("truncate with data %s", sdk.Data())
		}
		return
	}
	if !bytes.Equal(body.Key, e.Key) || !bytes.Equal(body.Row, e.Row) || (body.Row != nil) != op.HasRow() {
		t.Errorf("data %s, decoded key %s, row %s", sdk.Data(), e.Key, e.Row)
	}
	row := c.New
	if row == nil {
		row = c.Old
	}
	want := map[string]any{}
	for i, col := range c.Table.Columns {
		switch v := row[i]; {
		case v.Kind == catalog.Null:
			want[col.Name] = nil
		case col.Form == catalog.FormInt:
			want[col.Name] = json.Number(v.Text)
		default:
			want[col.Name] = string(v.Text)
		}
	}
	if op.HasRow() {
		if got := object(t, e.Row); !reflect.DeepEqual(got, want) {
			t.Errorf("row %v, want %v", got, want)
		}
	}
	if got := object(t, e.Key); !reflect.DeepEqual(got, map[string]any{"id": want["id"]}) {
		t.Errorf("key %v", got)
	}
}

func object(t *testing.T, b []byte) (m map[string]any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The attributes come in a fixed order, whatever the event.
func TestEventText(t *testing.T) {
	cat, err := catalog.LoadDir("testdata/catalog")
	if err != nil {
		t.Fatal(err)
	}
	table, _ := cat.Table("public", "aftale")
	text := func(s string) catalog.Value { return catalog.Value{Kind: catalog.Text, Text: []byte(s)} }
	enc := newEncoder("prod", []byte("key"))
	c := capture.Change{
		Table: table, Op: capture.Insert, Position: capture.Position{LSN: 0x1A2B3C4, Ordinal: 3}, XID: 1234,
		CommitTime: time.Date(2026, 1, 1, 9, 0, 0, 123456789, time.FixedZone("", 3600)),
		New:        catalog.Row{text("7"), text("2"), text("751"), {Kind: catalog.Null}, {Kind: catalog.Unchanged}},
	}
	if err := enc.begin(&c); err != nil {
		t.Fatal(err)
	}
	got, err := enc.event(nil, OpInsert, 0)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"specversion":"1.0","id":"0000000001A2B3C4-00000003-00000000","source":"/dfdg/prod/samtaler","type":"dk.dfdg.samtaler.aftale.insert",` +
		`"subject":"§","time":"2026-01-01T08:00:00.123456Z","dataschema":"urn:dfdg:samtaler:v2","datacontenttype":"application/json",` +
		`"sequence":"0000000001A2B3C4-00000003-00000000","change":"0000000001A2B3C4-00000003","xid":"1234",` +
		`"data":{"key":{"samtale_id":7,"nr":2},"row":{"samtale_id":7,"nr":2,"kommune_kode":"751","akasse_kode":null}},"txlast":true}`
	var e struct{ Subject string }
	if err := json.Unmarshal(got, &e); err != nil || len(e.Subject) != 32 {
		t.Fatalf("subject %q, %v", e.Subject, err)
	}
	if s := strings.Replace(string(markLast(got)), e.Subject, "§", 1); s != want {
		t.Errorf("\n got %s\nwant %s", s, want)
	}
}

// The key's pseudonym is the same for the same key, and differs by table and by secret.
func TestKeyHash(t *testing.T) {
	cat, err := catalog.LoadDir("testdata/catalog")
	if err != nil {
		t.Fatal(err)
	}
	samtale, _ := cat.Table("public", "samtale")
	aftale, _ := cat.Table("public", "aftale")
	text := func(s string) catalog.Value { return catalog.Value{Kind: catalog.Text, Text: []byte(s)} }
	hash := func(secret string, t2 *catalog.Table, op capture.Op, values ...catalog.Value) string {
		t.Helper()
		enc := newEncoder("m", []byte(secret))
		row := make(catalog.Row, len(t2.Columns))
		copy(row, values)
		c := capture.Change{Table: t2, Op: op}
		if op == capture.Delete {
			c.Old = row
		} else {
			c.New = row
		}
		if err := enc.begin(&c); err != nil {
			t.Fatal(err)
		}
		return string(enc.hashHex[:])
	}
	a := hash("s", samtale, capture.Insert, text("1"))
	if b := hash("s", samtale, capture.Delete, text("1")); a != b {
		t.Error("insert and delete of a row have different subjects")
	}
	seen := map[string]bool{a: true}
	for _, b := range []string{
		hash("s", samtale, capture.Insert, text("2")), hash("other", samtale, capture.Insert, text("1")),
		hash("s", aftale, capture.Insert, text("1"), text("1")), hash("s", aftale, capture.Insert, text("11"), text("1")), hash("s", aftale, capture.Insert, text("1"), text("11")),
		hash("s", samtale, capture.Truncate),
	} {
		if seen[b] {
			t.Errorf("two keys have the subject %s", b)
		}
		seen[b] = true
	}
}

// Decode takes attributes in any order, with white space, and passes over those that it does not know.
func TestDecodeOtherOrder(t *testing.T) {
	const text = ` {"newattribute" : {"a":["}"]} , "data":{"more":[1,{}],"row":{"a":"\"}"},"key":{"a":1}}, "sequence":"0000000000000001-00000002-00000000",
		"id":"x", "xid": "4294967295", "type":"dk.dfdg.a.b.update", "time":"2026-01-01T00:00:00Z"} `
	e := Event{Seq: 9, Bruger: catalog.Bruger{Axis: catalog.Alle}}
	if err := e.Decode([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if e.ID != "x" || e.Position != (capture.Position{LSN: 1, Ordinal: 2}) || e.XID != math.MaxUint32 || e.Dataomraade != "a" || e.Table != "b" ||
		e.Op != OpUpdate || string(e.Key) != `{"a":1}` || string(e.Row) != `{"a":"\"}"}` || e.Seq != 9 || e.Bruger.Axis != catalog.Alle {
		t.Errorf("%+v", e)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := func(change func(m map[string]any)) []byte {
		m := map[string]any{"id": "x", "sequence": "0000000000000001-00000002-00000000", "type": "dk.dfdg.a.b.update", "time": "2026-01-01T00:00:00Z",
			"xid": "1", "data": map[string]any{"key": map[string]any{"a": 1}, "row": map[string]any{"a": 1}}}
		change(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	cases := map[string][]byte{
		"nothing":         nil,
		"not an object":   []byte(`[]`),
		"cut short":       []byte(`{"id":"x"`),
		"no sequence":     good(func(m map[string]any) { delete(m, "sequence") }),
		"short sequence":  good(func(m map[string]any) { m["sequence"] = "1" }),
		"odd sequence":    good(func(m map[string]any) { m["sequence"] = "zzzzzzzzzzzzzzzz-00000002-00000000" }),
		"no type":         good(func(m map[string]any) { delete(m, "type") }),
		"foreign type":    good(func(m map[string]any) { m["type"] = "com.example.update" }),
		"unknown op":      good(func(m map[string]any) { m["type"] = "dk.dfdg.a.b.upsert" }),
		"internal op":     good(func(m map[string]any) { m["type"] = "dk.dfdg.a.b.held" }),
		"odd time":        good(func(m map[string]any) { m["time"] = "yesterday" }),
		"odd xid":         good(func(m map[string]any) { m["xid"] = "-1" }),
		"large xid":       good(func(m map[string]any) { m["xid"] = "8589934592" }),
		"no data":         good(func(m map[string]any) { delete(m, "data") }),
		"data is text":    good(func(m map[string]any) { m["data"] = "x" }),
		"no key":          good(func(m map[string]any) { delete(m["data"].(map[string]any), "key") }),
		"no row":          good(func(m map[string]any) { delete(m["data"].(map[string]any), "row") }),
		"row of a delete": good(func(m map[string]any) { m["type"] = "dk.dfdg.a.b.delete" }),
	}
	for name, data := range cases {
		var e Event
		if err := e.Decode(data); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func FuzzEventDecode(f *testing.F) {
	for _, s := range []string{
		`{"specversion":"1.0","id":"0000000001A2B3C4-00000003-00000000","source":"/dfdg/prod/samtaler","type":"dk.dfdg.samtaler.aftale.insert","subject":"00","time":"2026-01-01T08:00:00.123456Z","dataschema":"urn:dfdg:samtaler:v2","datacontenttype":"application/json","sequence":"0000000001A2B3C4-00000003-00000000","change":"0000000001A2B3C4-00000003","xid":"1234","data":{"key":{"samtale_id":7,"nr":2},"row":{"samtale_id":7,"tekst":"\"}\\"}},"txlast":true}`,
		`{"id":"x","sequence":"0000000000000001-00000002-00000000","type":"dk.dfdg.a.b.truncate","time":"2026-01-01T00:00:00Z","data":{"table":"b"}}`,
		`{"data":{"key":[{"a":"}"},[]],"row":-1.5e3}}`, `{`, `{"":"`, `{"a":{]}}`, "{\"a\":\x00}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var e Event
		if e.Decode(data) != nil || !json.Valid(data) {
			return
		}
		// What we take from a well-formed event is what encoding/json finds in it.
		var want struct {
			ID       string
			Sequence string
			Data     struct{ Key, Row json.RawMessage }
		}
		if json.Unmarshal(data, &want) != nil {
			return
		}
		names := map[string]int{}
		if err := eachField(data, func(name, _ []byte) error { names[strings.ToLower(string(name))]++; return nil }); err != nil {
			t.Fatal(err)
		}
		for name, n := range names {
			if n > 1 || strings.ContainsAny(name, `\`) || name != strings.ToLower(name) {
				return // encoding/json folds cases and takes the last of two
			}
		}
		if e.ID != want.ID && want.ID != "" && names["id"] == 1 && bytes.Contains(data, []byte(`"id"`)) {
			t.Errorf("id %q, want %q", e.ID, want.ID)
		}
	})
}
