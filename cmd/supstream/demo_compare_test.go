package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/internal/pgtest"
	"supstream/projections"
	"supstream/sinks"
	"supstream/streams"
)

// TestCompare loads a vendor's tables with the truth, spoils them, and expects exactly that to be found.
func TestCompare(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	m, err := mirror.New(cat)
	if err != nil {
		t.Fatal(err)
	}
	pg := pgtest.New(t)
	connect := func() *pgx.Conn {
		conn, err := pg.Connect(ctx, "postgres")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.WithoutCancel(ctx)) })
		return conn
	}
	c := comparer{mirror: m, catalog: cat, truth: connect(), vendor: connect(), schema: "leverance"}
	if err := m.Schema(ctx, c.truth); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Fill(ctx, c.truth, mirror.FillOptions{Seed: 3, Citizens: 200}); err != nil {
		t.Fatal(err)
	}
	do := func(sql string, args ...any) {
		t.Helper()
		if _, err := c.vendor.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE SCHEMA leverance")
	var chains []projections.Chain
	for _, slug := range []string{"kodelister", "samtaler"} {
		area, _ := cat.Dataomraade(slug)
		b := catalog.Bruger{Axis: catalog.Kommune, Kode: "101"}
		chains = append(chains, projections.Chain{Opgaveloeser: "nordlys", Bruger: b, Dataomraade: slug, Version: area.Version})
		for _, table := range area.Tables {
			owner := b
			if table.Everybody {
				owner = catalog.Bruger{Axis: catalog.Alle}
			}
			do(fmt.Sprintf("CREATE TABLE leverance.%s AS SELECT '%s'::text AS _bruger, x.* FROM (%s) x", sinks.TableName(slug, table.Slug), b, m.TruthSQL(table, owner)))
		}
	}
	check := func(what string, strangers []string, want ...string) {
		t.Helper()
		tables, got, err := c.compare(ctx, chains)
		if err != nil {
			t.Fatal(err)
		}
		var differences []string
		for _, c := range tables {
			if c.rows == 0 {
				t.Errorf("%s has no rows in the mirror: the comparison shows nothing", c.table)
			}
			if c.differences() > 0 {
				differences = append(differences, fmt.Sprintf("%s missing %d, surplus %d, different %d", c.table.Slug, c.missing, c.surplus, c.different))
			}
		}
		if !slices.Equal(differences, want) || !slices.Equal(got, strangers) {
			t.Errorf("%s\ngot  %q %q\nwant %q %q", what, differences, got, want, strangers)
		}
	}
	check("the truth", nil)
	do("UPDATE leverance.samtaler_samtale SET cpr = '3200000000' WHERE ctid = (SELECT min(ctid) FROM leverance.samtaler_samtale)")
	check("a value", nil, "samtale missing 0, surplus 0, different 1")
	do("DELETE FROM leverance.samtaler_samtale WHERE ctid = (SELECT min(ctid) FROM leverance.samtaler_samtale)")
	check("and a row", nil, "samtale missing 1, surplus 0, different 1")
	do("INSERT INTO leverance.samtaler_samtale SELECT 'kommune.101', x.* FROM (" + m.TruthSQL(demoTable(t, cat, "samtale"), catalog.Bruger{Axis: catalog.Kommune, Kode: "751"}) + ") x LIMIT 2")
	check("and two of a neighbour", nil, "samtale missing 1, surplus 2, different 1")
	do("INSERT INTO leverance.kodelister_kodeliste_vaerdi SELECT 'kommune.751', x.* FROM (" + m.TruthSQL(demoTable(t, cat, "kodeliste_vaerdi"), catalog.Bruger{Axis: catalog.Alle}) + ") x LIMIT 5")
	do("CREATE TABLE leverance.visitation_visitation AS SELECT 'kommune.101'::text AS _bruger")
	check("and rows without a grant", []string{
		"table kodelister_kodeliste_vaerdi has 5 rows of a Bruger that there is no grant for",
		"table visitation_visitation has 1 rows of a Bruger that there is no grant for",
	}, "samtale missing 1, surplus 2, different 1")
	do("DROP TABLE leverance.samtaler_samtale")
	n := len(demoTruth(ctx, t, c, "samtale"))
	check("and a table", []string{
		"table kodelister_kodeliste_vaerdi has 5 rows of a Bruger that there is no grant for",
		"table visitation_visitation has 1 rows of a Bruger that there is no grant for",
	}, fmt.Sprintf("samtale missing %d, surplus 0, different 0", n))
}

func demoTable(t *testing.T, cat *catalog.Catalog, name string) *catalog.Table {
	t.Helper()
	table, ok := cat.Table("public", name)
	if !ok {
		t.Fatalf("no table %s", name)
	}
	return table
}

func demoTruth(ctx context.Context, t *testing.T, c comparer, name string) map[string]string {
	t.Helper()
	rows, err := c.mirror.Truth(ctx, c.truth, demoTable(t, c.catalog, name), catalog.Bruger{Axis: catalog.Kommune, Kode: "101"})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestSearch(t *testing.T) {
	pack := func(text string) string {
		enc, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(enc.EncodeAll([]byte(text), nil))
	}
	packS2 := func(text string) string {
		var b strings.Builder
		w := s2.NewWriter(&b)
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	harmless, secret := strings.Repeat("seen ", 10000), strings.Repeat("nothing ", 10000)+"SECRET"
	dir := folder(t, map[string]string{
		"plain.txt":        "a SECRET b",
		"harmless.txt":     "seen",
		"SECRET-name.txt":  "",
		"file.ndjson.zst":  pack(secret),
		"good.ndjson.zst":  pack(harmless),
		"cut.ndjson.zst":   pack(secret)[:20],
		"header.blk":       "cmp\x01\x80\x80" + packS2(secret) + "checksum",
		"sections.run":     packS2(harmless) + packS2(harmless) + packS2(secret) + `{"index":1}` + "SUPRUN01",
		"good.run":         packS2(harmless) + packS2(harmless) + `{"index":1}` + "SUPRUN01",
		"postgres/x":       "SECRET",
		"far/away/file.md": "SECRET",
	})
	s, err := newSearcher("SECRET", "seen")
	if err != nil {
		t.Fatal(err)
	}
	defer s.zstd.Close()
	got, err := s.walk(dir, filepath.Join(dir, "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range [][]string{got.hits, got.broken} {
		for i := range list {
			list[i], _ = filepath.Rel(dir, list[i])
		}
	}
	want := []string{"SECRET-name.txt", "far/away/file.md", "file.ndjson.zst", "header.blk", "plain.txt", "sections.run"}
	if !slices.Equal(got.hits, want) || !slices.Equal(got.broken, []string{"cut.ndjson.zst"}) || got.files != 10 || got.control != 4 {
		t.Errorf("got %+v, want hits %q in 10 files, one of them broken, and the control in 4", got, want)
	}
}

// TestSearchJetStream: a text in a message is found in the files of a real server, whether its block is packed or not, and also after the
// message was deleted.
func TestSearchJetStream(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	server, err := streams.StartEmbedded(streams.EmbeddedConfig{StoreDir: dir, MaxStore: 1 << 30, Log: newLogger(os.Stderr, Log{Level: "error"})})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	conn, err := nats.Connect("", server.Option())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"PACKED", "PLAIN", "NONE"} {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Storage: jetstream.FileStorage, Compression: jetstream.S2Compression}); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(stream, text string) {
		t.Helper()
		if _, err := js.Publish(ctx, stream, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	filler := strings.Repeat("words that are often said ", 40_000) // 1 MB: a few fill a block, which is then packed
	publish("PACKED", filler+"SECRET")
	for range 20 {
		publish("PACKED", filler)
	}
	publish("PLAIN", "SECRET")
	publish("NONE", "words")
	conn.Close()
	server.Stop()
	s, err := newSearcher("SECRET", "words")
	if err != nil {
		t.Fatal(err)
	}
	defer s.zstd.Close()
	got, err := s.walk(dir)
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]bool{}
	for _, hit := range got.hits {
		for _, name := range []string{"PACKED", "PLAIN", "NONE"} {
			in[name] = in[name] || strings.Contains(hit, string(filepath.Separator)+name+string(filepath.Separator))
		}
	}
	if !in["PACKED"] || !in["PLAIN"] || in["NONE"] || got.control < 2 {
		t.Errorf("found in %v of %+v", in, got)
	}
	if packed, err := filepath.Glob(filepath.Join(dir, "jetstream/*/streams/PACKED/msgs/*.blk")); err != nil || len(packed) < 2 {
		t.Errorf("the blocks of the packed stream are %q, %v: the test does not show what it should", packed, err)
	}
}

func TestMeter(t *testing.T) {
	const text = `# HELP supstream_held_rows Rows held now because their owner is not known.
# TYPE supstream_held_rows gauge
supstream_held_rows{dataomraade="samtaler"} 3
supstream_held_rows{dataomraade="bookinger"} 4
supstream_stream_events_total{dataomraade="samtaler",op="insert"} 1.5e+06
supstream_stream_events_total{dataomraade="samtaler",op="delete"} 2
supstream_stream_event_bytes_total{dataomraade="samtaler"} 99
supstream_stream_commit_to_durable_seconds_bucket{dataomraade="samtaler",le="+Inf"} 7
supstream_stream_commit_to_durable_seconds_sum{dataomraade="samtaler"} 0.75
supstream_stream_commit_to_durable_seconds_count{dataomraade="samtaler"} 7
supstream_projection_files_total{kind="full"} 5
supstream_projection_files_total{kind="delta"} 6
supstream_projection_file_bytes_total{kind="full"} 1024
supstream_backfill_rows_total{dataomraade="samtaler"} 10
supstream_backfill_tables_pending{dataomraade="samtaler"} 1
supstream_capture_state{state="loading"} 0
supstream_capture_state{state="streaming"} 1
go_goroutines 12
`
	got, err := parseReadings(strings.NewReader(text))
	want := readings{events: 1500002, files: 11, fileBytes: 1024, lagSum: 0.75, lagCount: 7, loaded: 10, held: 7, pendingTables: 1, streaming: true}
	if err != nil || got != want {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if _, err := parseReadings(strings.NewReader("supstream_held_rows many\n")); err == nil {
		t.Error("a word was taken for a number")
	}
	// Counters go on over a restart, gauges do not.
	m := &meter{last: want}
	m.restarted()
	m.restarted()
	if got := (readings{events: 1, held: 2}).plus(m.before); got.events != 1500003 || got.files != 11 || got.held != 2 || got.streaming {
		t.Errorf("after a restart: %+v", got)
	}
}

func TestViewLine(t *testing.T) {
	at := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	before := sample{at: at, rows: 100, readings: readings{events: 1000, lagSum: 1, lagCount: 10}}
	now := sample{at: at.Add(2 * time.Second), rows: 2300, readings: readings{events: 4000, lagSum: 2, lagCount: 14, files: 1340, fileBytes: 3 << 20, held: 12}}
	if got, want := viewLine(83*time.Second, before, now, 1), " 01:23          1,100      1,500   0.25 s    1,340    3.0 MiB         12      1"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(viewHeader) > 79 {
		t.Errorf("the header has %d columns", len(viewHeader))
	}
	now.lagCount = 10
	if got, want := viewLine(5*time.Second, before, now, 0), " 00:05          1,100      1,500        -    1,340    3.0 MiB         12      0"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
