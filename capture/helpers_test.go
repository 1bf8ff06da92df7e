package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"supstream/catalog"
	"supstream/internal/pgtest"
)

// The tests share a server; each has a database of its own.
var testServer struct {
	sync.Once
	*pgtest.Server
	err       error
	databases atomic.Int32
}

func TestMain(m *testing.M) {
	code := m.Run()
	if testServer.Server != nil {
		testServer.Close()
	}
	os.Exit(code)
}

func sharedServer(t testing.TB) *pgtest.Server {
	t.Helper()
	testServer.Do(func() {
		testServer.Server, testServer.err = pgtest.Start(context.Background(), pgtest.Options{
			Settings: map[string]string{"max_prepared_transactions": "10", "max_replication_slots": "100", "max_wal_senders": "100"},
		})
	})
	if testServer.err != nil {
		t.Fatal(testServer.err)
	}
	return testServer.Server
}

// mirror is a database.
type mirror struct {
	t      testing.TB
	ctx    context.Context
	server *pgtest.Server
	name   string
	conn   *pgx.Conn
}

// newMirror makes a database with what sql makes.
func newMirror(t testing.TB, sql string) *mirror {
	t.Helper()
	return newMirrorOn(t, sharedServer(t), "", sql)
}

// newMirrorOn is newMirror with a server and options of CREATE DATABASE.
func newMirrorOn(t testing.TB, server *pgtest.Server, options, sql string) *mirror {
	t.Helper()
	return newMirrorFor(t, time.Minute, server, options, sql)
}

// newMirrorFor is newMirrorOn for a test that takes longer than a minute.
func newMirrorFor(t testing.TB, longest time.Duration, server *pgtest.Server, options, sql string) *mirror {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	t.Cleanup(cancel)
	m := &mirror{t: t, ctx: ctx, server: server, name: fmt.Sprintf("mirror%d", testServer.databases.Add(1))}
	if err := server.Exec(ctx, "postgres", "CREATE DATABASE "+m.name+" "+options); err != nil {
		t.Fatal(err)
	}
	m.conn = m.connect()
	m.exec(sql)
	t.Cleanup(m.dropSlot)
	return m
}

// dropSlot lets other tests have the log that the slot keeps.
func (m *mirror) dropSlot() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// The walsender of a connection that was just closed may take a moment to notice.
	for ctx.Err() == nil {
		err := m.server.Exec(ctx, "postgres", fmt.Sprintf(
			"SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '%[1]s' AND active; "+
				"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '%[1]s'", m.name))
		if err == nil {
			return
		}
	}
}

func (m *mirror) connect() *pgx.Conn {
	m.t.Helper()
	conn, err := m.server.Connect(m.ctx, m.name)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func (m *mirror) config() *pgx.ConnConfig {
	m.t.Helper()
	cfg, err := pgx.ParseConfig(m.server.URL(m.name))
	if err != nil {
		m.t.Fatal(err)
	}
	return cfg
}

func (m *mirror) exec(sql string, args ...any) {
	m.t.Helper()
	execOn(m.t, m.ctx, m.conn, sql, args...)
}

func execOn(t testing.TB, ctx context.Context, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	var err error
	if len(args) == 0 {
		_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	} else {
		_, err = conn.Exec(ctx, sql, args...)
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (m *mirror) value(sql string, args ...any) (s string) {
	m.t.Helper()
	if err := m.conn.QueryRow(m.ctx, sql, args...).Scan(&s); err != nil {
		m.t.Fatalf("%s: %v", sql, err)
	}
	return s
}

// until waits until sql gives "true".
func (m *mirror) until(sql string, args ...any) {
	m.t.Helper()
	for m.value("SELECT ("+sql+")::text", args...) != "true" {
		select {
		case <-m.ctx.Done():
			m.t.Fatalf("it never came true: %s", sql)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

const brugereYAML = `kommune:
  - {code: "101", name: København}
  - {code: "751", name: Aarhus}
akasse:
  - {code: "908", name: Faglig Fælles A-kasse}
`

// areaYAML is a dataområde for everybody with the tables that follow; see testCatalog.
const areaYAML = `slug: %s
name: Prøve
description: Tabeller til prøver.
version: 1
state: production
audience: [%s]
sensitivity: fortrolig
reported_by: [star]
for_sharing: true
frequency: daily
history: all
legal_basis: {chapters: [6]}
link: https://example.org/
tables:
`

// tableYAML is a table: its key, and its columns as "name type, …". Columns kommune and akasse are its owners.
func tableYAML(name, identity, key, columns string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  - name: %s\n    description: En tabel.\n    identity: %s\n    key: [%s]\n", name, identity, key)
	if !strings.Contains(columns, "kommune ") {
		b.WriteString("    everybody: true\n")
	} else {
		b.WriteString("    owners:\n      kommune: {column: kommune}\n")
	}
	b.WriteString("    columns:\n")
	for _, c := range strings.Split(columns, "; ") {
		name, typ, _ := strings.Cut(c, " ")
		typ, nullable := strings.CutSuffix(typ, "?")
		fmt.Fprintf(&b, "      - {name: %q, type: %q, nullable: %t, description: En kolonne.}\n", name, typ, nullable)
	}
	return b.String()
}

// testCatalog has an area "proeve" with these tables.
func testCatalog(t testing.TB, tables ...string) *catalog.Catalog {
	t.Helper()
	return catalogOf(t, map[string][]string{"proeve": tables})
}

// catalogOf has areas with their tables.
func catalogOf(t testing.TB, areas map[string][]string) *catalog.Catalog {
	t.Helper()
	files := fstest.MapFS{"brugere.yaml": {Data: []byte(brugereYAML)}}
	for slug, tables := range areas {
		audience := "alle"
		if strings.Contains(strings.Join(tables, ""), "owners:") {
			audience = "kommune"
		}
		files[slug+".yaml"] = &fstest.MapFile{Data: []byte(fmt.Sprintf(areaYAML, slug, audience) + strings.Join(tables, ""))}
	}
	cat, err := catalog.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

func table(t testing.TB, cat *catalog.Catalog, name string) *catalog.Table {
	t.Helper()
	tab, ok := cat.Table("public", name)
	if !ok {
		t.Fatalf("no table %s", name)
	}
	return tab
}

// valueText and rowText show values; a test may.
func valueText(v catalog.Value) string {
	if v.Kind != catalog.Text {
		return "<" + v.Kind.String() + ">"
	}
	return string(v.Text)
}

func rowText(r catalog.Row) string {
	if r == nil {
		return "-"
	}
	var s []string
	for _, v := range r {
		s = append(s, valueText(v))
	}
	return strings.Join(s, "|")
}

// changeText is "insert samtale new", "update samtale old > new", "delete samtale old", "truncate samtale".
func changeText(c *Change) string {
	s := c.Op.String() + " " + c.Table.Slug
	switch c.Op {
	case Truncate:
		return s
	case Update:
		return s + " " + rowText(c.Old) + " > " + rowText(c.New)
	case Delete:
		return s + " " + rowText(c.Old)
	}
	return s + " " + rowText(c.New)
}

// memory is a Publisher that keeps everything as text, in order. Its areas outlive it: see again.
type memory struct {
	limit int // rows of a chunk

	mu       sync.Mutex
	changed  *sync.Cond
	log      []string
	changes  []Change // without rows
	areas    map[string]*AreaState
	orders   map[string]Order // by ID and area
	boundary Position
	stored   Position
	frozen   bool // nothing becomes durable and nothing more is taken
	fail     error
	before   func(c *Chunk) // called before a chunk is taken, without the lock
	refuse   func(c *Chunk) bool
	wake     chan struct{}
}

func newMemory(cat *catalog.Catalog) *memory {
	p := &memory{limit: 100, areas: map[string]*AreaState{}, orders: map[string]Order{}, wake: make(chan struct{}, 1)}
	p.changed = sync.NewCond(&p.mu)
	for _, a := range cat.Dataomraader() {
		s := &AreaState{Dataomraade: a.Slug, Loads: map[string]LoadState{}}
		for _, t := range a.Tables {
			s.Loads[t.Slug] = LoadState{}
		}
		p.areas[a.Slug] = s
	}
	return p
}

func (p *memory) note(s string) {
	p.log = append(p.log, s)
	p.changed.Broadcast()
}

// thaw waits until the publisher is not frozen. The lock is held.
func (p *memory) thaw() error {
	for p.frozen && p.fail == nil {
		p.changed.Wait()
	}
	return p.fail
}

func (p *memory) Publish(_ context.Context, c *Change) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.thaw(); err != nil {
		return err
	}
	p.changes = append(p.changes, Change{Table: c.Table, Op: c.Op, Position: c.Position, XID: c.XID, CommitTime: c.CommitTime})
	p.note(changeText(c))
	return nil
}

func (p *memory) Advance(_ context.Context, pos Position, _ time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.thaw(); err != nil {
		return err
	}
	if pos.Compare(p.boundary) > 0 {
		p.boundary = pos
	}
	p.changed.Broadcast()
	return nil
}

func (p *memory) PublishChunk(_ context.Context, c *Chunk) error {
	if p.before != nil {
		p.before(c)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.thaw(); err != nil {
		return err
	}
	if p.refuse != nil && p.refuse(c) {
		return &RefusedError{errors.New("refused")}
	}
	if c.Reset {
		p.note("reset " + c.Table.Slug)
	}
	only := ""
	if c.Only != (catalog.Bruger{}) {
		only = " for " + c.Only.String()
	}
	for _, r := range c.Rows {
		p.note("read " + c.Table.Slug + " " + rowText(r) + only)
	}
	if c.Order != nil {
		p.order(*c.Order)
		return nil
	}
	p.areas[c.Table.Area.Slug].Loads[c.Table.Slug] = c.State
	if c.State.Done {
		p.note("done " + c.Table.Slug)
	}
	return nil
}

func (p *memory) PublishOrder(_ context.Context, o *Order) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.thaw(); err != nil {
		return err
	}
	p.order(*o)
	return nil
}

// order keeps an order, and notes it when its state is another.
func (p *memory) order(o Order) {
	at := o.ID + " " + o.Dataomraade
	if p.orders[at].State != o.State {
		p.note("order " + o.String())
	}
	p.orders[at] = o
}

func (p *memory) Flush(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	if !p.frozen {
		p.store()
	}
	return nil
}

func (p *memory) store() {
	p.stored = p.boundary
	for _, a := range p.areas {
		if p.boundary.Compare(a.Position) > 0 {
			a.Position = p.boundary
		}
	}
	p.changed.Broadcast()
}

func (p *memory) Mark(ctx context.Context, _ time.Duration) error { return p.Flush(ctx) }

func (p *memory) Durable() Position {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stored
}

func (p *memory) ChunkRows() int { return p.limit }

func (p *memory) Wake() <-chan struct{} { return p.wake }

func (p *memory) Areas() (list []AreaState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, slug := range sortedKeys(p.areas) {
		a := *p.areas[slug]
		a.Loads = map[string]LoadState{}
		for k, v := range p.areas[slug].Loads {
			a.Loads[k] = v
		}
		for _, at := range sortedKeys(p.orders) {
			if o := p.orders[at]; o.Dataomraade == slug {
				a.Orders = append(a.Orders, o)
			}
		}
		list = append(list, a)
	}
	return list
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// freeze stops the publisher where it is, or lets it go on.
func (p *memory) freeze(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = on
	p.changed.Broadcast()
}

// end makes every call fail.
func (p *memory) end(err error) {
	p.mu.Lock()
	p.fail = err
	p.changed.Broadcast()
	p.mu.Unlock()
	signal(p.wake)
}

// until waits until ok says true of the log.
func (p *memory) until(t testing.TB, ok func(log []string) bool) []string {
	t.Helper()
	deadline := time.AfterFunc(30*time.Second, func() { p.changed.Broadcast() })
	defer deadline.Stop()
	begun := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !ok(p.log) {
		if time.Since(begun) > 29*time.Second {
			t.Fatalf("it did not come:\n%s", strings.Join(p.log, "\n"))
		}
		p.changed.Wait()
	}
	return slices.Clone(p.log)
}

// untilLine waits for a line.
func (p *memory) untilLine(t testing.TB, line string) []string {
	t.Helper()
	return p.until(t, func(log []string) bool { return slices.Contains(log, line) })
}

// captureConfig is what a capturer of this mirror is made with.
func (m *mirror) captureConfig(cat *catalog.Catalog, pub Publisher, change ...func(*Config)) Config {
	m.t.Helper()
	cfg := Config{
		Postgres: m.config(), Catalog: cat, Slot: m.name, Publication: m.name, MarkEvery: time.Second,
		Open:    func(context.Context) (Publisher, error) { return pub, nil },
		Log:     slog.New(slog.NewTextHandler(m.t.Output(), nil)),
		Metrics: NewMetrics(prometheus.NewRegistry()),
	}
	for _, f := range change {
		f(&cfg)
	}
	return cfg
}

func logTo(l *logText) func(*Config) {
	return func(c *Config) { c.Log = slog.New(slog.NewTextHandler(l, nil)) }
}

// run starts a capturer and returns how to end it.
func (m *mirror) run(cat *catalog.Catalog, pub Publisher, change ...func(*Config)) (stop func() error) {
	m.t.Helper()
	ctx, cancel := context.WithCancel(m.ctx)
	cfg := m.captureConfig(cat, pub, change...)
	done := make(chan error, 1)
	go func() { done <- New(cfg).Run(ctx) }()
	var once sync.Once
	stop = func() (err error) {
		once.Do(func() { cancel(); err = <-done })
		return err
	}
	m.t.Cleanup(func() { stop() })
	return stop
}

func lines(t testing.TB, got, want []string) {
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

// logText hands on the lines of a log, for as long as somebody reads them.
type logText struct {
	line chan string

	mu  sync.Mutex
	all strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.all.Write(b)
	l.mu.Unlock()
	select {
	case l.line <- string(b):
	default:
	}
	return len(b), nil
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
