package streams

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"supstream/capture"
	"supstream/catalog"
)

// benchChange is an update of the table of the bench, its rows as Postgres
// sends them.
func benchChange(tb testing.TB) (*catalog.Catalog, *capture.Change) {
	tb.Helper()
	cat, err := catalog.Load(os.DirFS("../testdata/bench/catalog"))
	if err != nil {
		tb.Fatal(err)
	}
	table, ok := cat.Table("public", "aktivitet")
	if !ok {
		tb.Fatal("the catalogue has no table aktivitet")
	}
	row := func(status string) catalog.Row {
		var r catalog.Row
		for _, s := range []string{
			"c4ca4238-a0b9-2382-0dcc-509a6f75849b", "eccbc87e-4b5c-e2fe-2830-8fd9f2a7baf3", "751", "", "løntilskud", status, "2024-01-02",
			"2024-02-02", "1.25", "Forløbet er aftalt med borgeren og virksomheden. Jobcentret følger op hver fjerde uge, og målet er " +
				"ansættelse på særlige eller ordinære vilkår. Nr. 000000001", "2026-01-01 07:00:00.001+00",
		} {
			v := catalog.Value{Kind: catalog.Null}
			if s != "" {
				v = catalog.Value{Kind: catalog.Text, Text: []byte(s)}
			}
			r = append(r, v)
		}
		return r
	}
	return cat, &capture.Change{Table: table, Op: capture.Update, Position: capture.Position{LSN: 0x1A2B3C4, Ordinal: 1}, XID: 7,
		CommitTime: time.Date(2026, 1, 1, 8, 0, 0, 123456000, time.UTC), Old: row("planlagt"), New: row("i gang")}
}

func BenchmarkRouteAndEncode(b *testing.B) {
	cat, c := benchChange(b)
	enc := newEncoder("bench", []byte("secret"))
	var buf []byte
	for b.Loop() {
		before, after := cat.Route(c.Table, c.Old, c.New)
		if before != after || after.Len() != 1 {
			b.Fatal("the change has another routing than expected")
		}
		if err := enc.begin(c); err != nil {
			b.Fatal(err)
		}
		var err error
		if buf, err = enc.event(buf[:0], OpUpdate, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeEvent(b *testing.B) {
	_, c := benchChange(b)
	enc := newEncoder("bench", []byte("secret"))
	if err := enc.begin(c); err != nil {
		b.Fatal(err)
	}
	data, err := enc.event(nil, OpUpdate, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	var e Event
	for b.Loop() {
		if err := e.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseSubject(b *testing.B) {
	for b.Loop() {
		if _, _, err := ParseSubject("dfdg.aktiviteter.kommune.751"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSend is what sending costs this side; nobody takes the messages.
func BenchmarkSend(b *testing.B) {
	server, err := StartEmbedded(EmbeddedConfig{StoreDir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Stop()
	nc, err := nats.Connect("", server.Option())
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	p := &Publisher{nc: nc, out: newOutgoing(), now: time.Now}
	l := &lane{pub: p, n: 1, id: "0123456789"}
	data := make([]byte, 800)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		l.n = l.n%5000 + 1
		if err := l.send("nobody.listens", data, plainHeader); err != nil {
			b.Fatal(err)
		}
	}
}
