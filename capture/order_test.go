package capture

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"supstream/catalog"
)

// orderCatalog has two areas. Rows of sag belong to a kommune and are about a person, rows of kode are everybody's.
func orderCatalog(t testing.TB) *catalog.Catalog {
	sag := strings.Replace(tableYAML("sag", "full", "id", "id integer; cpr char(10); kommune char(4)?; v bigint"),
		`{name: "cpr", `, `{name: "cpr", role: person_key, `, 1)
	return catalogOf(t, map[string][]string{
		"sager": {sag, tableYAML("bilag", "full", "sag, nr", "sag integer; nr integer; kommune char(4)?")},
		"koder": {tableYAML("kode", "full", "id", "id integer; v text?")},
	})
}

const orderTables = `
	CREATE TABLE sag (id int PRIMARY KEY, cpr char(10) NOT NULL, kommune char(4), v bigint NOT NULL); ALTER TABLE sag REPLICA IDENTITY FULL;
	CREATE TABLE bilag (sag int, nr int, kommune char(4), PRIMARY KEY (sag, nr)); ALTER TABLE bilag REPLICA IDENTITY FULL;
	CREATE TABLE kode (id int PRIMARY KEY, v text); ALTER TABLE kode REPLICA IDENTITY FULL;`

const orderRows = `
	INSERT INTO sag VALUES (1, '0101011111', '751', 1), (2, '0202022222', '0751', 2), (3, '0101011111', '101', 3), (4, '0303033333', NULL, 4);
	INSERT INTO bilag VALUES (1, 1, '751'), (1, 2, '101'), (2, 1, '751');
	INSERT INTO kode VALUES (1, 'a'), (2, 'b');`

// What is read, and what is refused, for each kind of scope.
func TestOrderScopes(t *testing.T) {
	m := newMirror(t, orderTables+orderRows)
	cat := orderCatalog(t)
	pub := newMemory(cat)
	pub.limit = 2
	c := m.start(cat, pub)
	for _, table := range []string{"sag", "bilag", "kode"} {
		pub.untilLine(t, "done "+table)
	}
	cases := []struct {
		area  string
		scope Scope
		want  []string // what is read, or the problem
	}{
		{"koder", Scope{Kind: ScopeAll}, []string{"read kode 1|a", "read kode 2|b"}},
		{"sager", Scope{Kind: ScopeAll, Table: "bilag"}, []string{"read bilag 1|1|751 ", "read bilag 1|2|101 ", "read bilag 2|1|751 "}},
		{"", Scope{Kind: ScopeBruger, Bruger: "kommune.751"}, []string{
			"read sag 1|0101011111|751 |1 for kommune.751", "read sag 2|0202022222|0751|2 for kommune.751",
			"read bilag 1|1|751  for kommune.751", "read bilag 2|1|751  for kommune.751"}},
		{"", Scope{Kind: ScopeBruger, Bruger: "alle"}, []string{"read kode 1|a for alle", "read kode 2|b for alle"}},
		{"", Scope{Kind: ScopePerson, Values: []string{"0101011111"}}, []string{"read sag 1|0101011111|751 |1", "read sag 3|0101011111|101 |3"}},
		{"sager", Scope{Kind: ScopePerson, Table: "sag", Values: []string{"9999999999"}}, nil},
		{"sager", Scope{Kind: ScopeKey, Table: "bilag", Values: []string{"1", "2"}}, []string{"read bilag 1|2|101 "}},
		{"sager", Scope{Kind: ScopeKey, Table: "bilag", Values: []string{"1", "9"}}, []string{
			"table public.bilag: no row of the mirror has this key; an order gives rows and takes none away"}},
		{"sager", Scope{Kind: ScopeKey, Table: "sag", Values: []string{"0101011111x"}}, []string{
			"table public.sag: back-fill: ERROR: a value was refused; the message may quote it and is left out (SQLSTATE 22P02)"}},

		{"", Scope{Kind: ScopeAll}, []string{"name the dataomraade: only the rows of a bruger or a person are read in all of them"}},
		{"borte", Scope{Kind: ScopeAll}, []string{`there is no dataomraade "borte"`}},
		{"koder", Scope{Kind: ScopeAll, Table: "sag"}, []string{`dataomraade koder has no table "sag"`}},
		{"", Scope{Kind: ScopeBruger, Bruger: "kommune.999"}, []string{`bruger "kommune.999" is not in the catalogue: want kommune.<kode>, akasse.<kode> or alle`}},
		{"sager", Scope{Kind: ScopeBruger, Bruger: "akasse.908"}, []string{"no table has rows of this kind: look at the audience and the columns with `supstream catalog show`"}},
		{"koder", Scope{Kind: ScopePerson, Values: []string{"0101011111"}}, []string{"no table has rows of this kind: look at the audience and the columns with `supstream catalog show`"}},
		{"", Scope{Kind: ScopePerson}, []string{"want one person"}},
		{"sager", Scope{Kind: ScopeKey, Values: []string{"1"}}, []string{"a key needs its table"}},
		{"sager", Scope{Kind: ScopeKey, Table: "bilag", Values: []string{"1"}}, []string{"the key of public.bilag has 2 columns (sag, nr), 1 values were given"}},
		{"sager", Scope{Kind: "rest"}, []string{`unknown kind of scope "rest"`}},
	}
	for i, tc := range cases {
		id := fmt.Sprintf("order%03d", i)
		t.Run(tc.area+" "+tc.scope.String(), func(t *testing.T) {
			list, err := c.StartOrder(m.ctx, OrderRequest{ID: id, Dataomraade: tc.area, Scope: tc.scope})
			var refused *OrderError
			if errors.As(err, &refused) {
				lines(t, []string{err.Error()}, tc.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range list {
				log := pub.until(t, func(log []string) bool { return over(log, o) })
				begun := slices.Index(log, "order "+id+" "+o.Dataomraade+" queued")
				for _, line := range log[begun:] {
					if strings.HasPrefix(line, "read ") {
						got = append(got, line)
					}
				}
			}
			for _, o := range pub.orderList(id) {
				if o.Problem != "" {
					got = append(got, o.Problem)
				}
				if o.State == OrderDone && len(o.Scope.Values) > 0 {
					t.Error("the order is done and still knows whom it was about")
				}
			}
			lines(t, got, tc.want)
		})
	}
}

// over reports whether an order has ended or failed.
func over(log []string, o Order) bool {
	return slices.ContainsFunc(log, func(line string) bool {
		rest, ok := strings.CutPrefix(line, "order "+o.ID+" "+o.Dataomraade+" ")
		return ok && slices.Contains([]string{"done", "failed", "cancelled"}, rest)
	})
}

// What an order may go from and to.
func TestOrderChanges(t *testing.T) {
	for _, tc := range []struct {
		from   OrderState
		change OrderChange
		to     OrderState // empty: refused
	}{
		{OrderQueued, PauseOrder, OrderPaused}, {OrderRunning, PauseOrder, OrderPaused}, {OrderPaused, PauseOrder, ""}, {OrderDone, PauseOrder, ""},
		{OrderPaused, ResumeOrder, OrderQueued}, {OrderFailed, ResumeOrder, OrderQueued}, {OrderRunning, ResumeOrder, ""}, {OrderCancelled, ResumeOrder, ""},
		{OrderQueued, CancelOrder, OrderCancelled}, {OrderRunning, CancelOrder, OrderCancelled}, {OrderPaused, CancelOrder, OrderCancelled},
		{OrderFailed, CancelOrder, OrderCancelled}, {OrderDone, CancelOrder, ""}, {OrderCancelled, CancelOrder, ""},
		{OrderRunning, ThrottleOrder, OrderRunning}, {OrderPaused, ThrottleOrder, OrderPaused}, {OrderDone, ThrottleOrder, ""},
	} {
		o := Order{State: tc.from, Tables: []string{"t"}, After: []string{"1"}, Problem: "p", Scope: Scope{Kind: ScopePerson, Values: []string{"x"}}}
		got, ok := o.after(tc.change, 7)
		if ok != (tc.to != "") || ok && got.State != tc.to {
			t.Errorf("%s after %s: %s %t, want %q", tc.from, tc.change, got.State, ok, tc.to)
		}
		if ok && tc.change == ThrottleOrder && got.RowsPerSecond != 7 {
			t.Errorf("throttled to %d", got.RowsPerSecond)
		}
		if ok && got.State == OrderCancelled && (got.Tables != nil || got.After != nil || got.Scope.Values != nil) {
			t.Error("a cancelled order knows whom it was about")
		}
	}
}

// Orders take turns; one that is throttled or waits lets others go first.
func TestOrderTurns(t *testing.T) {
	cat := orderCatalog(t)
	pub := newMemory(cat)
	now := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	for i, id := range []string{"aaaaaaaa", "bbbbbbbb", "cccccccc"} {
		pub.orders[id] = Order{ID: id, Dataomraade: "koder", Scope: Scope{Kind: ScopeAll}, Tables: []string{"kode"}, State: OrderQueued,
			Created: now.Add(time.Duration(i)), RowsPerSecond: 100}
	}
	o := newOrders(cat, pub, newTestMetrics(), discard())
	turn := func() string {
		t.Helper()
		next, wait, err := o.next(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		if next == nil {
			return wait.String()
		}
		o.paces[next.order.ID] = pace{now, 50}
		return next.order.ID[:1]
	}
	got := []string{turn(), turn(), turn(), turn()}
	now = now.Add(200 * time.Millisecond)
	got = append(got, turn())
	now = now.Add(300 * time.Millisecond)
	got = append(got, turn())
	if _, err := o.change(t.Context(), "bbbbbbbb", PauseOrder, 0, now); err != nil {
		t.Fatal(err)
	}
	got = append(got, turn(), turn())
	if _, err := o.change(t.Context(), "aaaaaaaa", ThrottleOrder, 0, now); err != nil {
		t.Fatal(err)
	}
	got = append(got, turn(), turn())
	lines(t, got, []string{"a", "b", "c", "500ms", "300ms", "a", "c", "500ms", "a", "a"})
}

// What goes wrong with a table fails the order. The stream goes on, and the order can be resumed.
func TestOrderFails(t *testing.T) {
	cases := []struct{ name, harm, heal, problem string }{
		{"table gone", "ALTER TABLE kode RENAME TO gone", "ALTER TABLE gone RENAME TO kode", "42P01"},
		{"no privilege", "REVOKE SELECT ON kode FROM reader", "GRANT SELECT ON kode TO reader", "42501"},
		{"row-level security", "ALTER TABLE kode ENABLE ROW LEVEL SECURITY", "ALTER TABLE kode DISABLE ROW LEVEL SECURITY", "row-level security"},
	}
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			m := newMirror(t, orderTables+orderRows)
			cat := orderCatalog(t)
			pub := newMemory(cat)
			m.reader()
			c := m.start(cat, pub, func(cfg *Config) { cfg.Postgres.User = "reader" })
			pub.untilLine(t, "done kode")
			pub.untilLine(t, "done sag")
			pub.untilLine(t, "done bilag")
			m.exec(tc.harm)
			id := fmt.Sprintf("harmed%02d", i)
			if _, err := c.StartOrder(m.ctx, OrderRequest{ID: id, Dataomraade: "koder", Scope: Scope{Kind: ScopeAll}}); err != nil {
				t.Fatal(err)
			}
			pub.untilLine(t, "order "+id+" koder failed")
			if p := pub.orderList(id)[0].Problem; !strings.Contains(p, tc.problem) {
				t.Errorf("problem %q, want %s", p, tc.problem)
			}
			m.exec("INSERT INTO sag VALUES (9, '0', '751', 9)")
			pub.untilLine(t, "insert sag 9|0         |751 |9")
			m.exec(tc.heal)
			if _, err := c.ChangeOrder(m.ctx, id, ResumeOrder, 0); err != nil {
				t.Fatal(err)
			}
			pub.untilLine(t, "order "+id+" koder done")
		})
	}
}

// A table that somebody has locked keeps its order waiting, not the others; the order can be cancelled meanwhile.
func TestOrderOfALockedTable(t *testing.T) {
	m := newMirror(t, orderTables+orderRows)
	cat := orderCatalog(t)
	pub := newMemory(cat)
	c := m.start(cat, pub)
	for _, table := range []string{"sag", "bilag", "kode"} {
		pub.untilLine(t, "done "+table)
	}
	lock := m.connect()
	execOn(t, m.ctx, lock, "BEGIN; LOCK TABLE kode")
	for _, r := range []OrderRequest{
		{ID: "locked00", Dataomraade: "koder", Scope: Scope{Kind: ScopeAll}},
		{ID: "free0000", Dataomraade: "sager", Scope: Scope{Kind: ScopeAll}},
	} {
		if _, err := c.StartOrder(m.ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	pub.untilLine(t, "order free0000 sager done")
	if _, err := c.ChangeOrder(m.ctx, "locked00", CancelOrder, 0); err != nil {
		t.Fatal(err)
	}
	pub.untilLine(t, "order locked00 koder cancelled")
	if _, err := c.ChangeOrder(m.ctx, "nothing0", CancelOrder, 0); !errors.Is(err, ErrNoOrder) {
		t.Errorf("error %v", err)
	}
}

// Rows that cannot be events fail the order and not the session.
func TestOrderRefusedByThePublisher(t *testing.T) {
	m := newMirror(t, orderTables+orderRows)
	cat := orderCatalog(t)
	pub := newMemory(cat)
	pub.refuse = func(c *Chunk) bool { return c.Order != nil && c.Table.Slug == "kode" }
	c := m.start(cat, pub)
	pub.untilLine(t, "done kode")
	if _, err := c.StartOrder(m.ctx, OrderRequest{ID: "refused0", Dataomraade: "koder", Scope: Scope{Kind: ScopeAll}}); err != nil {
		t.Fatal(err)
	}
	pub.untilLine(t, "order refused0 koder failed")
	if got := pub.orderList("refused0")[0]; got.Problem != "refused" || got.Rows != 0 {
		t.Errorf("problem %q, %d rows", got.Problem, got.Rows)
	}
	m.exec("INSERT INTO kode VALUES (9, 'z')")
	pub.untilLine(t, "insert kode 9|z")
}

// No text of an order shows a value.
func TestOrderTextsHideValues(t *testing.T) {
	o := Order{ID: "aaaaaaaa", Dataomraade: "sager", State: OrderRunning, After: []string{"0101011111"}, Scope: Scope{Kind: ScopePerson, Values: []string{"0101011111"}}}
	for _, text := range []string{fmt.Sprint(o), fmt.Sprintf("%v %s", o.Scope, o), fmt.Sprint(o.LogValue()), fmt.Sprint(o.Scope.LogValue())} {
		if strings.Contains(text, "0101011111") {
			t.Errorf("shown: %s", text)
		}
	}
}
