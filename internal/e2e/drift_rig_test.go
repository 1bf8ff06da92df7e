package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"supstream/capture"
	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/internal/natstest"
	"supstream/internal/pgtest"
	"supstream/streams"
)

// The mirror of the tests of drift: an area whose table changes, and one whose does not.
const (
	driftDDL = `CREATE TYPE farve AS ENUM ('blaa', 'roed');
CREATE TABLE sag (id bigint PRIMARY KEY, kommune text NOT NULL, note text, tal integer, farve farve DEFAULT 'blaa', art integer NOT NULL DEFAULT 1);
ALTER TABLE sag REPLICA IDENTITY FULL;
CREATE TABLE bilag (id bigint PRIMARY KEY, kommune text NOT NULL, tekst text);
ALTER TABLE bilag REPLICA IDENTITY FULL;
CREATE TABLE anden (id bigint PRIMARY KEY, kommune text NOT NULL, tekst text);
ALTER TABLE anden REPLICA IDENTITY FULL;
INSERT INTO sag SELECT g, '101', 'note ' || g, g FROM generate_series(1, 300) g;
INSERT INTO bilag SELECT g, '101', 'bilag ' || g FROM generate_series(1, 100) g;
INSERT INTO anden SELECT g, '751', 'tekst ' || g FROM generate_series(1, 100) g;`

	driftBrugere = `kommune:
  - {code: "101", name: København}
  - {code: "751", name: Aarhus}
akasse:
  - {code: "908", name: Faglig Fælles A-kasse}
`
	driftArea = `slug: %[1]s
name: Prøve
description: Tabeller til prøver.
version: %[2]d
state: production
audience: [kommune]
sensitivity: fortrolig
reported_by: [star]
frequency: daily
history: all
legal_basis: {chapters: [6]}
link: https://example.org/
tables:
`
	driftTable = `  - name: %s
    slug: %s
    description: En tabel.
    key: [id]
    owners: {kommune: {column: kommune}}
    columns:
`
	sagColumns = "id bigint; kommune text; note text?; tal integer?; farve farve?; art integer"
	txtColumns = "id bigint; kommune text; tekst text?"
)

// driftFiles is a catalogue of the tables with the columns "name type; …", a ? for nullable; name and slug of a table by a slash.
func driftFiles(version int, sager map[string]string) map[string]string {
	area := func(slug string, version int, tables map[string]string) string {
		var b strings.Builder
		fmt.Fprintf(&b, driftArea, slug, version)
		for _, name := range slices.Sorted(maps.Keys(tables)) {
			columns := tables[name]
			name, slug, ok := strings.Cut(name, "/")
			if !ok {
				slug = name
			}
			fmt.Fprintf(&b, driftTable, name, slug)
			for _, c := range strings.Split(columns, "; ") {
				column, typ, _ := strings.Cut(c, " ")
				typ, nullable := strings.CutSuffix(typ, "?")
				fmt.Fprintf(&b, "      - {name: %q, type: %q, nullable: %t, description: En kolonne.}\n", column, typ, nullable)
			}
		}
		return b.String()
	}
	return map[string]string{
		"brugere.yaml": driftBrugere, "sager.yaml": area("sager", version, sager),
		"andre.yaml": area("andre", 1, map[string]string{"anden": txtColumns}),
	}
}

// driftCatalog is the catalogue of driftFiles.
func driftCatalog(t testing.TB, version int, sager map[string]string) *catalog.Catalog {
	t.Helper()
	files := fstest.MapFS{}
	for name, text := range driftFiles(version, sager) {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	cat, err := catalog.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

func firstCatalog(t testing.TB) *catalog.Catalog {
	return driftCatalog(t, 1, map[string]string{"sag": sagColumns, "bilag": txtColumns})
}

// driftRig is capture in this process, with a mirror and an embedded NATS server of its own.
type driftRig struct {
	*world
	ctx  context.Context
	nc   *nats.Conn
	js   jetstream.JetStream
	reg  *prometheus.Registry
	log  *logFile
	rows int // read per second by back-fills; 0: no limit

	end func()
}

func newDriftRig(t *testing.T) *driftRig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	r := &driftRig{world: &world{t: t, pg: pgtest.NewWith(t, pgtest.Options{Settings: map[string]string{"fsync": "off"}})}, ctx: ctx, log: &logFile{}}
	if err := errors.Join(r.pg.CreateDatabase(ctx, database), r.pg.Exec(ctx, database, driftDDL)); err != nil {
		t.Fatal(err)
	}
	_, r.nc = natstest.Embedded(t, streams.EmbeddedConfig{})
	js, err := jetstream.New(r.nc)
	if err != nil {
		t.Fatal(err)
	}
	r.js = js
	t.Cleanup(func() {
		if r.end != nil {
			r.end()
		}
		if t.Failed() {
			t.Logf("end of the log:\n%s", r.log.tail())
		}
	})
	return r
}

// run starts capture with a catalogue.
func (r *driftRig) run(cat *catalog.Catalog) {
	r.t.Helper()
	m, err := mirror.New(cat)
	if err != nil {
		r.t.Fatal(err)
	}
	r.catalog, r.mirror, r.reg = cat, m, prometheus.NewRegistry()
	pg, err := pgxConfig(r.pg.URL(database))
	if err != nil {
		r.t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	topology, metrics := streams.Topology{Catalog: cat, Mirror: "test"}, streams.NewMetrics(r.reg)
	c := capture.New(capture.Config{
		Postgres: pg, Catalog: cat, Slot: "supstream", Publication: "supstream", MarkEvery: 100 * time.Millisecond,
		SurveyEvery: 200 * time.Millisecond, RowsPerSecond: r.rows, Log: log, Metrics: capture.NewMetrics(r.reg),
		Open: func(ctx context.Context) (capture.Publisher, error) {
			if err := topology.Apply(ctx, r.js); err != nil {
				return nil, err
			}
			return streams.OpenPublisher(ctx, r.nc, streams.PublisherConfig{
				Catalog: cat, Mirror: "test", Key: []byte("secret"), BatchEvents: 400, Log: log, Metrics: metrics,
			})
		},
	})
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("capture ended: %v", err)
		}
	})
}

func (r *driftRig) exec(sql string) {
	r.t.Helper()
	if err := r.pg.Exec(r.ctx, database, sql); err != nil {
		r.t.Fatalf("%s: %v", sql, err)
	}
}

// until waits until a metric of an area has a value; kind may be empty.
func (r *driftRig) until(metric, area, kind string, ok func(float64) bool) {
	r.t.Helper()
	r.eventually(r.ctx, fmt.Sprintf("wait for %s of %s %s", metric, area, kind), func() error {
		if v := r.metric(metric, area, kind); !ok(v) {
			return fmt.Errorf("it is %v", v)
		}
		return nil
	})
}

func (r *driftRig) metric(name, area, kind string) (sum float64) {
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["dataomraade"] == area && (kind == "" || labels["kind"] == kind) {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func positive(v float64) bool { return v > 0 }
func zero(v float64) bool     { return v == 0 }

// traffic writes to all tables until it is stopped. What a table in the middle of a change refuses is left out.
func (r *driftRig) traffic() (stop func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	var wg sync.WaitGroup
	for n, table := range []string{"sag", "bilag", "anden"} {
		conn := r.connect(ctx)
		rnd := rand.New(rand.NewPCG(uint64(n), 1))
		wg.Go(func() {
			defer conn.Close(context.WithoutCancel(ctx))
			for next := 1000; ctx.Err() == nil; next++ {
				kommune := []string{"101", "751", "999"}[rnd.IntN(3)] // 999 is nobody
				sql := fmt.Sprintf("INSERT INTO %s (id, kommune) VALUES (%d, '%s')", table, next, kommune)
				switch rnd.IntN(6) {
				case 0:
					sql = fmt.Sprintf("DELETE FROM %s WHERE id = %d", table, 1+rnd.IntN(next))
				case 1, 2:
					sql = fmt.Sprintf("UPDATE %s SET kommune = '%s' WHERE id = %d", table, kommune, 1+rnd.IntN(next))
				}
				_, err := conn.Exec(ctx, sql)
				var pg *pgconn.PgError
				if err != nil && ctx.Err() == nil && !errors.As(err, &pg) {
					r.t.Errorf("%s: %v", sql, err)
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(3 * time.Millisecond):
				}
			}
		})
	}
	return sync.OnceFunc(func() { cancel(); wg.Wait() })
}

// position is where an area's stream is.
func (r *driftRig) position(area string) capture.Position {
	m, err := streams.NewReader(r.js).Newest(r.ctx, area)
	if err != nil && !errors.Is(err, streams.ErrNoMark) {
		r.t.Fatal(err)
	}
	return m.Position
}

// now is the end of the mirror's log.
func (r *driftRig) now() capture.Position {
	r.t.Helper()
	conn := r.connect(r.ctx)
	defer conn.Close(r.ctx)
	var lsn uint64
	if err := conn.QueryRow(r.ctx, "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&lsn); err != nil {
		r.t.Fatal(err)
	}
	return capture.Position{LSN: lsn}
}

// flows checks that the other area goes on and that the slot does.
func (r *driftRig) flows(within time.Duration) {
	r.t.Helper()
	begun, end := time.Now(), r.now()
	r.eventually(r.ctx, "wait for the other area", func() error {
		if p := r.position("andre"); p.Compare(end) < 0 {
			return fmt.Errorf("at %s, want %s", p, end)
		}
		return nil
	})
	lag := time.Since(begun)
	conn := r.connect(r.ctx)
	defer conn.Close(r.ctx)
	r.eventually(r.ctx, "wait for the slot", func() error {
		s, err := capture.ReadSlot(r.ctx, conn, "supstream")
		if err == nil && s.Confirmed < end.LSN {
			err = fmt.Errorf("at %X, want %X", s.Confirmed, end.LSN)
		}
		return err
	})
	r.t.Logf("the other area had everything %s later, the slot %s later", lag.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
	if lag > within {
		r.t.Errorf("the other area lags %s behind", lag)
	}
}

// same checks that what subscribers have of both areas is what the mirror has, and gives the events.
func (r *driftRig) same() (all []*streams.Event) {
	r.t.Helper()
	r.settle(r.ctx, r.js)
	conn := r.connect(r.ctx)
	defer conn.Close(r.ctx)
	for _, area := range r.open() {
		f, events := r.foldShapes(area)
		r.compare(r.ctx, r.t.(*testing.T), conn, area, f)
		all = append(all, events...)
	}
	return all
}

// foldShapes applies all events of an area, of whatever shape, and reads what is left with the catalogue as it is now.
func (r *driftRig) foldShapes(area *catalog.Dataomraade) (*folded, []*streams.Event) {
	r.t.Helper()
	reader := streams.NewReader(r.js)
	mark, err := reader.Newest(r.ctx, area.Slug)
	if err != nil {
		r.t.Fatal(err)
	}
	type place struct {
		bruger catalog.Bruger
		table  string
	}
	raw := map[place]map[string][]byte{}
	var events []*streams.Event
	last := ""
	err = reader.Read(r.ctx, area.Slug, 0, mark.Seq, func(e *streams.Event) error {
		if e.ID <= last {
			return fmt.Errorf("event %s does not lie behind %s", e.ID, last)
		}
		last = e.ID
		kept := *e
		kept.Key, kept.Row = bytes.Clone(e.Key), bytes.Clone(e.Row)
		events = append(events, &kept)
		at := place{e.Bruger, e.Table}
		if raw[at] == nil {
			raw[at] = map[string][]byte{}
		}
		switch {
		case e.Op == streams.OpTruncate:
			clear(raw[at])
		case e.Op.HasRow():
			raw[at][string(kept.Key)] = kept.Row
		default:
			delete(raw[at], string(kept.Key))
		}
		return nil
	})
	if err != nil {
		r.t.Errorf("%s: %v", area.Slug, err)
	}
	state := &folded{}
	for at, rows := range raw {
		i := slices.IndexFunc(area.Tables, func(t *catalog.Table) bool { return t.Slug == at.table })
		if i < 0 {
			continue // the catalogue has the table no more
		}
		for _, row := range rows {
			key, text, err := mirror.Canonical(area.Tables[i], row)
			if err != nil {
				r.t.Errorf("%s %s: %v", at.table, at.bruger, err)
				break
			}
			state.table(at.bruger, at.table)[key] = text
		}
	}
	return state, events
}
