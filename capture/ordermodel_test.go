package capture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// ledger is a publisher that outlives its sessions and checks every step: what a receiver has of table sag after all before it. Every write
// gives its row a version higher than any that its id had.
type ledger struct {
	*memory
	crash atomic.Bool // the next call fails, and what follows until the ledger is opened again

	mu      sync.Mutex // guards what follows; not held while memory works
	last    Position
	has     map[string]string // row by id
	version map[string]int64  // highest ever, by id
	loaded  bool
	reads   map[string]map[string]int64 // by order: version by id
	changed map[string]int              // place of the last change, by id
	begun   map[string]int              // place where an order began
	place   int
	chunks  int
	wrong   []string
	ended   bool // the change that the test makes last has come
}

var errCrash = errors.New("crash")

func (l *ledger) open(context.Context) (Publisher, error) {
	l.crash.Store(false)
	return l, nil
}

func (l *ledger) fails() error {
	if l.crash.Load() {
		return errCrash
	}
	return nil
}

func (l *ledger) Publish(_ context.Context, c *Change) error {
	if err := l.fails(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.Position.Compare(l.last) <= 0 {
		return nil // stored before the crash
	}
	l.last = c.Position
	if c.Table.Slug == "kode" {
		l.ended = true
		return nil
	}
	l.place++
	if c.Op == Truncate {
		clear(l.has)
		for id := range l.version {
			l.changed[id] = l.place
		}
		return nil
	}
	row := c.New
	if c.Op == Delete {
		row = c.Old
	}
	id, v, text := modelRow(row)
	l.changed[id] = l.place
	if c.Op == Delete {
		if l.loaded && l.has[id] != text {
			l.wrong = append(l.wrong, fmt.Sprintf("%s deletes %s, the receiver has %s", c.Position, text, l.has[id]))
		}
		delete(l.has, id)
	} else {
		if v <= l.version[id] {
			l.wrong = append(l.wrong, fmt.Sprintf("%s of %s is older than version %d", c.Op, text, l.version[id]))
		}
		l.has[id] = text
	}
	l.version[id] = max(v, l.version[id])
	return nil
}

// PublishChunk is where the order against live changes shows: to a receiver that has everything, a read is what it has.
func (l *ledger) PublishChunk(ctx context.Context, c *Chunk) error {
	if err := l.fails(); err != nil {
		return err
	}
	l.mu.Lock()
	for _, r := range c.Rows {
		id, v, text := modelRow(r)
		if c.Order == nil {
			l.has[id], l.version[id] = text, max(v, l.version[id])
			continue
		}
		if l.has[id] != text {
			l.wrong = append(l.wrong, fmt.Sprintf("order %s reads %s, the receiver has %q", c.Order.ID, text, l.has[id]))
		}
		l.reads[c.Order.ID][id] = v
	}
	l.chunks++
	l.loaded = l.loaded || c.Order != nil || c.State.Done
	l.mu.Unlock()
	return l.memory.PublishChunk(ctx, c)
}

func (l *ledger) PublishOrder(ctx context.Context, o *Order) error {
	if err := l.fails(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.reads[o.ID] == nil {
		l.reads[o.ID], l.begun[o.ID] = map[string]int64{}, l.place
	}
	l.mu.Unlock()
	return l.memory.PublishOrder(ctx, o)
}

func modelRow(r catalog.Row) (id string, version int64, text string) {
	fmt.Sscan(string(r[3].Text), &version)
	return string(r[0].Text), version, rowText(r)
}

// TestOrdersUnderWriters gives random orders of every kind, pauses, resumes, throttles and cancels them, and crashes the session, while eight
// writers insert, update, delete, move rows to other keys and owners, and empty the table. At every step what a receiver has must be explained:
// no older value comes over a newer one, nothing that was deleted comes back, and a read changes nothing for who has everything. An order that
// is done has read every row of its scope that did not change meanwhile. SUPSTREAM_TORTURE=1h goes on for that long.
func TestOrdersUnderWriters(t *testing.T) {
	long := 10 * time.Second
	if text := os.Getenv("SUPSTREAM_TORTURE"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	m := newMirrorFor(t, long+time.Minute, sharedServer(t), "", orderTables+`CREATE SEQUENCE version;
		INSERT INTO sag SELECT g, lpad((g % 50)::text, 10, '0'), (ARRAY['751','0751','101',NULL])[1 + g % 4], nextval('version') FROM generate_series(1, 3000) g`)
	cat := orderCatalog(t)
	l := &ledger{memory: newMemory(cat), has: map[string]string{}, version: map[string]int64{}, reads: map[string]map[string]int64{}, changed: map[string]int{}, begun: map[string]int{}}
	l.limit = 60
	c := m.start(cat, l, func(cfg *Config) { cfg.Open = l.open })
	for _, table := range []string{"sag", "bilag", "kode"} {
		l.untilLine(t, "done "+table)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for i := range 8 {
		conn, rnd := m.connect(), rand.New(rand.NewPCG(seed, uint64(i)))
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := modelWrite(m.ctx, conn, rnd); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	crashes := l.orderAtRandom(m.ctx, t, c, rand.New(rand.NewPCG(seed, 99)), time.Now().Add(long))
	close(stop)
	writers.Wait()
	m.exec("INSERT INTO kode VALUES (1, 'end')")
	for done := false; !done; time.Sleep(5 * time.Millisecond) {
		if m.ctx.Err() != nil {
			t.Fatal("the end never came")
		}
		l.mu.Lock()
		done = l.ended
		l.mu.Unlock()
	}
	for id, scope := range map[string]Scope{"quiet001": {Kind: ScopeAll}, "quiet002": {Kind: ScopeBruger, Bruger: "kommune.751"}} {
		for {
			_, err := c.StartOrder(m.ctx, OrderRequest{ID: id, Dataomraade: "sager", Scope: scope})
			if err == nil {
				break
			}
			if !errors.Is(err, ErrNotCapturing) {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond) // a crash; asked again
		}
	}
	l.finish(m.ctx, t, c)
	l.verify(t, m)
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d changes, %d chunks, %d orders, %d crashes", l.place, l.chunks, len(l.reads), crashes)
	if len(l.reads) < 10 || l.place < 1000 {
		t.Error("the test shows nothing")
	}
}

// modelWrite is one transaction of a writer. It locks the ids it touches, so that versions of an id grow in the order of commits.
func modelWrite(ctx context.Context, conn *pgx.Conn, rnd *rand.Rand) error {
	a, b := rnd.IntN(4000), rnd.IntN(4000)
	low, high := min(a, b), max(a, b)
	kommune := []any{"751", "0751", "101", nil}[rnd.IntN(4)]
	cpr := fmt.Sprintf("%010d", rnd.IntN(50))
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	exec := func(sql string, args ...any) {
		if err == nil {
			_, err = tx.Exec(ctx, sql, args...)
		}
	}
	if rnd.IntN(3000) == 0 {
		exec("SELECT pg_advisory_xact_lock(-1)")
		exec("TRUNCATE sag")
		exec("INSERT INTO sag SELECT g, lpad((g % 50)::text, 10, '0'), '751', nextval('version') FROM generate_series(1, 500) g")
	} else {
		exec("SELECT pg_advisory_xact_lock_shared(-1)")
		exec("SELECT pg_advisory_xact_lock($1), pg_advisory_xact_lock($2)", low, high)
		switch rnd.IntN(6) {
		case 0, 1:
			exec("INSERT INTO sag VALUES ($1, $2, $3, nextval('version')) ON CONFLICT DO NOTHING", a, cpr, kommune)
		case 2:
			exec("DELETE FROM sag WHERE id = $1", a)
		case 3:
			exec("UPDATE sag SET id = $2, v = nextval('version') WHERE id = $1 AND NOT EXISTS (SELECT FROM sag WHERE id = $2)", a, b)
		case 4:
			exec("UPDATE sag SET kommune = $2, cpr = $3, v = nextval('version') WHERE id = $1", a, kommune, cpr)
		default:
			exec("UPDATE sag SET v = nextval('version') WHERE id IN ($1, $2)", a, b)
		}
	}
	if err != nil {
		return err
	}
	if rnd.IntN(20) == 0 {
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}

// orderAtRandom gives orders and changes them until the time is over.
func (l *ledger) orderAtRandom(ctx context.Context, t *testing.T, c *Capturer, rnd *rand.Rand, end time.Time) (crashes int) {
	t.Helper()
	n := 0
	for time.Now().Before(end) {
		n++
		id := fmt.Sprintf("model%05d", n)
		scope := []Scope{
			{Kind: ScopeAll},
			{Kind: ScopeAll, Table: "sag"},
			{Kind: ScopeBruger, Bruger: "kommune.751"},
			{Kind: ScopePerson, Values: []string{fmt.Sprintf("%010d", rnd.IntN(50))}},
			{Kind: ScopeKey, Table: "sag", Values: []string{fmt.Sprint(rnd.IntN(4000))}},
		}[rnd.IntN(5)]
		r := OrderRequest{ID: id, Dataomraade: "sager", Scope: scope, RowsPerSecond: []int{0, 0, 2000}[rnd.IntN(3)]}
		if _, err := c.StartOrder(ctx, r); err != nil && !errors.Is(err, ErrNotCapturing) {
			t.Fatal(err)
		}
		for range rnd.IntN(4) {
			select {
			case <-time.After(time.Duration(rnd.IntN(60)) * time.Millisecond):
			case <-ctx.Done():
				t.Fatal("out of time")
			}
			other := fmt.Sprintf("model%05d", 1+rnd.IntN(n))
			change := []OrderChange{PauseOrder, ResumeOrder, ResumeOrder, ThrottleOrder, CancelOrder, PauseOrder, ResumeOrder}[rnd.IntN(7)]
			var refused *OrderError
			if _, err := c.ChangeOrder(ctx, other, change, 5000*rnd.IntN(2)); err != nil && !errors.As(err, &refused) &&
				!errors.Is(err, ErrNotCapturing) && !errors.Is(err, ErrNoOrder) {
				t.Fatal(err)
			}
		}
		if rnd.IntN(40) == 0 {
			crashes++
			l.crash.Store(true)
		}
	}
	return crashes
}

// finish resumes what is paused and waits until every order has ended or failed.
func (l *ledger) finish(ctx context.Context, t *testing.T, c *Capturer) {
	t.Helper()
	for {
		open := 0
		for _, o := range l.stored() {
			switch {
			case o.State == OrderPaused:
				open++
				c.ChangeOrder(ctx, o.ID, ResumeOrder, 0)
			case o.State.Active():
				open++
			}
		}
		if open == 0 {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%d orders do not end", open)
		}
	}
}

// stored is every order as it is stored.
func (l *ledger) stored() (list []Order) {
	l.memory.mu.Lock()
	defer l.memory.mu.Unlock()
	for _, at := range sortedKeys(l.orders) {
		list = append(list, l.orders[at])
	}
	return list
}

// verify compares what a receiver has with the table, and what orders have read with their scopes.
func (l *ledger) verify(t *testing.T, m *mirror) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.wrong[:min(10, len(l.wrong))] {
		t.Error(w)
	}
	rows, err := m.conn.Query(m.ctx, "SELECT id::text, cpr, coalesce(kommune, '<null>'), v FROM sag")
	if err != nil {
		t.Fatal(err)
	}
	type sag struct {
		ID, CPR, Kommune string
		V                int64
	}
	have, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sag])
	if err != nil {
		t.Fatal(err)
	}
	if len(have) != len(l.has) {
		t.Errorf("%d rows, the receiver has %d", len(have), len(l.has))
	}
	done, checked := 0, 0
	for _, s := range have {
		if text := fmt.Sprintf("%s|%s|%s|%d", s.ID, s.CPR, s.Kommune, s.V); l.has[s.ID] != text {
			t.Errorf("row %s, the receiver has %s", text, l.has[s.ID])
		}
	}
	kinds := map[ScopeKind]int{}
	for id := range l.reads {
		o := l.orderList(id)[0]
		if o.State != OrderDone {
			continue
		}
		done++
		kinds[o.Scope.Kind]++
		for _, s := range have {
			in := o.Scope.Kind == ScopeAll || o.Scope.Kind == ScopeBruger && strings.TrimSpace(strings.TrimLeft(s.Kommune, "0")) == "751"
			if !in || l.changed[s.ID] > l.begun[id] {
				continue
			}
			checked++
			if l.reads[id][s.ID] != s.V {
				t.Errorf("order %s (%s) is done and has not read row %s, which did not change since", id, o.Scope, s.ID)
			}
		}
	}
	t.Logf("%d orders done, by kind %v; %d unchanged rows looked for in them", done, kinds, checked)
	if len(kinds) < 4 || checked < 100 {
		t.Error("the test shows nothing about orders that are done")
	}
}
