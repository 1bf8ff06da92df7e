package streams_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"supstream/capture"
	"supstream/catalog"
	"supstream/internal/pgtest"
	"supstream/streams"
)

// documentedValue is a row of the table of values.
type documentedValue struct{ typ, sql, json string }

var cell = regexp.MustCompile("`([^`]*)`")

func documentedValues(t *testing.T) (list []documentedValue, types string) {
	t.Helper()
	doc, blocks := blocks(t)
	for _, b := range blocks {
		if b.name == "types" {
			types = b.text
		}
	}
	_, section, _ := strings.Cut(doc, "\n## Values\n")
	section, _, _ = strings.Cut(section, "\n## ")
	typ := ""
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) != 4 || strings.Contains(cells[2], "SQL") || strings.Contains(cells[2], "---") {
			continue
		}
		code := func(i int) string {
			m := cell.FindStringSubmatch(cells[i])
			if m == nil {
				return ""
			}
			return m[1]
		}
		if t := code(0); t != "" {
			typ = t
		}
		list = append(list, documentedValue{typ, code(2), code(3)})
	}
	if len(list) < 60 || types == "" {
		t.Fatalf("only %d values were found", len(list))
	}
	return list, types
}

// Each value of the document, put into a real mirror, comes out as the document says: read by a back-fill, and streamed
// as an insert and as an update. The database has settings that would make other texts.
func TestDocumentedValues(t *testing.T) {
	values, types := documentedValues(t)
	m := newMirror(t, types+"CREATE EXTENSION hstore;")
	var tables []string
	for i, v := range values {
		name := fmt.Sprintf("v%d", i)
		m.exec(fmt.Sprintf("CREATE TABLE %s (id integer PRIMARY KEY, v %s); ALTER TABLE %[1]s REPLICA IDENTITY FULL", name, v.typ))
		m.exec(fmt.Sprintf("INSERT INTO %s SELECT 1, CAST(%s AS %s)", name, v.sql, v.typ))
		tables = append(tables, fmt.Sprintf("  - name: %s\n    description: En tabel.\n    key: [id]\n    everybody: true\n    columns:\n"+
			"      - {name: id, type: integer, description: Nøgle.}\n      - {name: v, type: %q, nullable: true, description: Værdi.}\n", name, v.typ))
	}
	cat := valueCatalog(t, tables)
	r := m.run(t, cat)
	r.untilLoaded("vaerdier")
	for i, v := range values {
		m.exec(fmt.Sprintf("BEGIN; INSERT INTO v%d SELECT 2, CAST(%s AS %s); UPDATE v%[1]d SET id = id WHERE id = 2; COMMIT", i, v.sql, v.typ))
	}
	got := r.rows("vaerdier", 3*len(values))
	for i, v := range values {
		name := fmt.Sprintf("v%d", i)
		want := []string{
			`read {"id":1,"v":` + v.json + `}`, `insert {"id":2,"v":` + v.json + `}`, `update {"id":2,"v":` + v.json + `}`,
		}
		t.Run(v.typ+" "+v.sql, func(t *testing.T) {
			rows := got[name]
			if strings.Contains(v.sql, `\u007f`) { // DEL cannot be seen in the document
				for i := range rows {
					rows[i] = strings.ReplaceAll(rows[i], "\x7f", "")
				}
			}
			equal(t, rows, want)
		})
	}
}

func valueCatalog(t testing.TB, tables []string) *catalog.Catalog {
	t.Helper()
	files := fstest.MapFS{
		"brugere.yaml": {Data: []byte("kommune:\n  - {code: \"751\", name: Aarhus}\nakasse:\n  - {code: \"908\", name: 3F}\n")},
		"vaerdier.yaml": {Data: []byte("slug: vaerdier\nname: Værdier\ndescription: Værdier af alle typer.\nversion: 1\nstate: production\naudience: [alle]\n" +
			"sensitivity: fortrolig\nreported_by: [star]\nfor_sharing: true\nfrequency: daily\nhistory: all\nlegal_basis: {chapters: [6]}\nlink: https://example.org/\ntables:\n" +
			strings.Join(tables, ""))},
	}
	cat, err := catalog.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// mirror is a database whose settings are not ours.
type mirror struct {
	t      *testing.T
	ctx    context.Context
	server *pgtest.Server
	conn   *pgx.Conn
}

func newMirror(t *testing.T, sql string) *mirror {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	m := &mirror{t: t, ctx: ctx, server: pgtest.NewWith(t, pgtest.Options{NoSync: true})}
	if err := m.server.CreateDatabase(ctx, "mirror"); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{
		"DateStyle = 'SQL, DMY'", "TimeZone = 'America/New_York'", "IntervalStyle = 'postgres_verbose'", "extra_float_digits = -5",
		"bytea_output = 'escape'", "lc_monetary = 'C.UTF-8'", "xmlbinary = 'hex'",
	} {
		if err := m.server.Exec(ctx, "postgres", "ALTER DATABASE mirror SET "+set); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if m.conn, err = m.server.Connect(ctx, "mirror"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close(context.Background()) })
	// Values are written in the ISO way; how they are read is what is tested.
	m.exec("SET DateStyle = 'ISO, YMD'; " + sql)
	return m
}

func (m *mirror) exec(sql string) {
	m.t.Helper()
	if _, err := m.conn.PgConn().Exec(m.ctx, sql).ReadAll(); err != nil {
		m.t.Fatalf("%s: %v", sql, err)
	}
}

// running is a capturer at work on a mirror and an embedded server.
type running struct {
	*rig
	reader *streams.Reader
}

func (m *mirror) run(t *testing.T, cat *catalog.Catalog) *running {
	t.Helper()
	r := newRig(t, nil)
	r.catalog, r.cfg.Catalog, r.cfg.BatchEvents = cat, cat, 500
	r.apply()
	pg, err := pgx.ParseConfig(m.server.URL("mirror"))
	if err != nil {
		t.Fatal(err)
	}
	c := capture.New(capture.Config{
		Postgres: pg, Catalog: cat, Slot: "supstream", Publication: "supstream", MarkEvery: 100 * time.Millisecond,
		Open: func(ctx context.Context) (capture.Publisher, error) { return streams.OpenPublisher(ctx, r.nc, r.cfg) },
		Log:  slog.New(slog.NewTextHandler(r.log, nil)), Metrics: capture.NewMetrics(prometheus.NewRegistry()),
	})
	ctx, cancel := context.WithCancel(r.ctx)
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(r.log)
		}
	})
	return &running{r, streams.NewReader(r.js)}
}

// untilLoaded waits until the area has been read.
func (r *running) untilLoaded(area string) {
	r.t.Helper()
	for {
		m, err := r.reader.Newest(r.ctx, area)
		if err == nil && !m.Loading {
			return
		}
		select {
		case <-r.ctx.Done():
			r.t.Fatalf("the area was not loaded: %v\n%s", err, r.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// rows reads the first n events of an area: by table, "<op> <row>".
func (r *running) rows(area string, n int) map[string][]string {
	r.t.Helper()
	rows := map[string][]string{}
	seq := uint64(0)
	for {
		m, err := r.reader.Newest(r.ctx, area)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := r.reader.Read(r.ctx, area, seq, m.Seq, func(e *streams.Event) error {
			n--
			rows[e.Table] = append(rows[e.Table], e.Op.String()+" "+string(e.Row))
			return nil
		}); err != nil {
			r.t.Fatal(err)
		}
		if seq = m.Seq; n <= 0 {
			break
		}
		select {
		case <-r.ctx.Done():
			r.t.Fatalf("%d events are missing\n%s", n, r.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
	for _, m := range messages(r.ctx, r.t, r.js, streams.StreamName(area)) {
		if _, _, err := streams.ParseSubject(m.subject); err != nil {
			continue
		}
		var sdk cloudevents.Event
		if err := json.Unmarshal(m.data, &sdk); err != nil {
			r.t.Errorf("sdk-go: %v: %s", err, m.data)
		} else if err := sdk.Validate(); err != nil {
			r.t.Errorf("sdk-go: %v: %s", err, m.data)
		}
	}
	return rows
}
