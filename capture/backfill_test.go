package capture

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

const rowTable = `CREATE TABLE t (id int PRIMARY KEY, v text); ALTER TABLE t REPLICA IDENTITY FULL;`

func rowCatalog(t testing.TB) *catalog.Catalog {
	return testCatalog(t, tableYAML("t", "full", "id", "id integer; v text?"))
}

// The snapshot is 100:110:103,105; the transactions below it are over, those from 110 on had not begun.
func TestWatch(t *testing.T) {
	cat := rowCatalog(t)
	tab := table(t, cat, "t")
	r := func(id, v string) catalog.Row {
		return catalog.Row{{Kind: catalog.Text, Text: []byte(id)}, {Kind: catalog.Text, Text: []byte(v)}}
	}
	cases := []struct {
		name     string
		streamed []uint32 // before the watch
		others   []uint32 // since, in other tables
		changes  []Change
		stale    bool
		rest     string // ids of the rows that are left of 1, 2, 3
	}{
		{"nothing happened", nil, nil, nil, false, "1 2 3"},
		{"a change the chunk saw", nil, nil, []Change{{Op: Update, XID: 99, Old: r("1", "a"), New: r("1", "b")}}, false, "1 2 3"},
		{"a change that was running", nil, nil, []Change{{Op: Update, XID: 103, Old: r("1", "a"), New: r("1", "b")}}, false, "2 3"},
		{"a change that was over between running ones", nil, nil, []Change{{Op: Update, XID: 104, Old: r("1", "a"), New: r("1", "b")}}, false, "1 2 3"},
		{"a change that had not begun", nil, nil, []Change{{Op: Delete, XID: 110, Old: r("2", "a")}}, false, "1 3"},
		{"an unseen change, then a seen one", nil, nil, []Change{{Op: Update, XID: 103, New: r("1", "a")}, {Op: Update, XID: 99, New: r("1", "b")}}, false, "2 3"},
		{"an insert", nil, nil, []Change{{Op: Insert, XID: 200, New: r("3", "a")}}, false, "1 2"},
		{"an unseen truncate", nil, nil, []Change{{Op: Truncate, XID: 105}}, false, ""},
		{"a seen truncate", nil, nil, []Change{{Op: Truncate, XID: 98}}, false, "1 2 3"},
		{"streamed before the watch, not yet visible", []uint32{103}, nil, nil, true, "1 2 3"},
		{"streamed before the watch and visible", []uint32{99}, nil, nil, false, "1 2 3"},
		{"streamed before the watch, over for others only later", []uint32{112}, nil, nil, true, "1 2 3"},
		{"streamed since, and behind the snapshot", nil, []uint32{112}, nil, false, "1 2 3"},
		{"streamed since, in this table", nil, nil, []Change{{Op: Update, XID: 103, New: r("9", "b")}}, false, "1 2 3"},
		{"streamed since, in other tables", nil, []uint32{103, 105}, nil, false, "1 2 3"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := &pump{}
			for _, xid := range c.streamed {
				p.committed(xid)
			}
			w := newWatch(tab)
			p.watches = append(p.watches, w)
			for i := range c.changes {
				ch := c.changes[i]
				ch.Table = tab
				w.note(&ch)
				p.committed(ch.XID)
			}
			for _, xid := range c.others {
				p.committed(xid)
			}
			w.read = &chunkRead{snapshot: snapshot{xmin: 100, xmax: 110, running: []uint64{103, 105}}}
			w.read.chunk.Rows = []catalog.Row{r("1", "x"), r("2", "x"), r("3", "x")}
			if got := w.stale(&p.streamed); got != c.stale {
				t.Errorf("stale: %t", got)
			}
			var ids []string
			for _, row := range w.rest() {
				ids = append(ids, string(row[0].Text))
			}
			if got := strings.Join(ids, " "); got != c.rest {
				t.Errorf("rows left: %q, want %q", got, c.rest)
			}
		})
	}
}

// Keys with the same texts in different columns are different keys.
func TestRowKey(t *testing.T) {
	cat := testCatalog(t, tableYAML("t", "full", "a, b", "a text; b text"))
	tab := table(t, cat, "t")
	key := func(a, b string) string {
		return rowKey(tab, catalog.Row{{Kind: catalog.Text, Text: []byte(a)}, {Kind: catalog.Text, Text: []byte(b)}})
	}
	if key("x", "yz") == key("xy", "z") || key("", "x") == key("x", "") {
		t.Error("two keys look the same")
	}
	if key("x", "yz") != key("x", "yz") {
		t.Error("a key differs from itself")
	}
}

// A table that joins a publication which is in use: rows of transactions that were open at that moment are not in the
// stream, so the back-fill has to see them.
func TestOpenTransactionWhenATableJoins(t *testing.T) {
	m := newMirror(t, rowTable+`CREATE TABLE u (id int PRIMARY KEY, v text); ALTER TABLE u REPLICA IDENTITY FULL;`)
	one := rowCatalog(t)
	first := newMemory(one)
	stop := m.run(one, first)
	first.untilLine(t, "done t")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	open := m.connect()
	execOn(t, m.ctx, open, "BEGIN; INSERT INTO u VALUES (1, 'open')")
	two := testCatalog(t, tableYAML("t", "full", "id", "id integer; v text?"), tableYAML("u", "full", "id", "id integer; v text?"))
	pub := newMemory(two)
	text := &logText{line: make(chan string, 100)}
	m.run(two, pub, logTo(text))
	// The back-fill waits, and the stream goes on meanwhile; without the wait it would end here.
	for line := range text.line {
		if strings.Contains(line, "waits for transactions") || strings.Contains(line, "all tables are read") {
			break
		}
	}
	m.exec("INSERT INTO t VALUES (1, 'later')")
	pub.untilLine(t, "insert t 1|later")
	execOn(t, m.ctx, open, "COMMIT")
	log := pub.untilLine(t, "done u")
	if !slices.Contains(log, "read u 1|open") && !slices.Contains(log, "insert u 1|open") {
		t.Errorf("the row is lost:\n%s", strings.Join(log, "\n"))
	}
}

// A rewrite between the snapshot and the read would show an empty table, and the back-fill would think it had ended.
func TestRewriteDuringChunk(t *testing.T) {
	m := newMirror(t, rowTable+`INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) g`)
	cat := rowCatalog(t)
	conn, err := connect(m.ctx, m.config())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(m.ctx)
	l, err := newLoader(m.ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	rewrite := m.connect()
	execOn(t, m.ctx, rewrite, "BEGIN; ALTER TABLE t ALTER v TYPE varchar(20); ALTER TABLE t ALTER v TYPE text USING v || ''; SELECT 1")
	type result struct {
		read *chunkRead
		err  error
	}
	done := make(chan result, 1)
	go func() {
		read, err := l.read(m.ctx, table(t, cat, "t"), filter{}, LoadState{}, 100)
		done <- result{read, err}
	}()
	m.until("EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 't'::regclass)")
	execOn(t, m.ctx, rewrite, "COMMIT")
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	if n := len(r.read.chunk.Rows); n != 10 {
		t.Errorf("%d rows read, want 10", n)
	}
}

// Rows of any size are read: a chunk ends before it gets too large to hold.
func TestChunkBytes(t *testing.T) {
	m := newMirror(t, rowTable+`ALTER TABLE t ALTER v SET STORAGE external;
		INSERT INTO t SELECT g, repeat('x', 200000) FROM generate_series(1, 100) g`)
	cat := rowCatalog(t)
	conn, err := connect(m.ctx, m.config())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(m.ctx)
	l, err := newLoader(m.ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	var state LoadState
	next, chunks := 1, 0
	for !state.Done {
		read, err := l.read(m.ctx, table(t, cat, "t"), filter{}, state, 1000)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, r := range read.chunk.Rows {
			if got := string(r[0].Text); got != fmt.Sprint(next) {
				t.Fatalf("row %s, want %d", got, next)
			}
			next++
			size += len(r[1].Text)
		}
		if size > 8<<20 {
			t.Errorf("a chunk of %d bytes", size)
		}
		state = read.chunk.State
		chunks++
	}
	if next != 101 || state.Rows != 100 {
		t.Errorf("%d rows, state %d", next-1, state.Rows)
	}
	if chunks < 3 {
		t.Errorf("%d chunks", chunks)
	}
}

// A busy mirror, whose other tables are written all the time, does not keep a back-fill from ending.
func TestBackfillEndsOnABusyMirror(t *testing.T) {
	m := newMirror(t, rowTable+`CREATE TABLE busy (id int PRIMARY KEY, v int);
		INSERT INTO t SELECT g, 'v' FROM generate_series(1, 2000) g; INSERT INTO busy SELECT g, 0 FROM generate_series(1, 8) g`)
	cat := testCatalog(t, tableYAML("t", "full", "id", "id integer; v text?"), tableYAML("busy", "default", "id", "id integer; v integer?"))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		conn := m.connect()
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := conn.Exec(m.ctx, "UPDATE busy SET v = v + 1 WHERE id = $1", i+1); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	pub := newMemory(cat)
	pub.limit = 50
	reads := 0
	pub.before = func(c *Chunk) {
		if c.Table.Slug == "t" {
			reads++
		}
	}
	m.run(cat, pub)
	pub.untilLine(t, "done t")
	close(stop)
	wg.Wait()
}

// The rows of the stream, folded in its order, are the rows of the table, however many write to it while it is read.
func TestBackfillUnderWriters(t *testing.T) {
	m := newMirror(t, rowTable+`INSERT INTO t SELECT g, 'old' FROM generate_series(1, 3000) g`)
	cat := rowCatalog(t)
	pub := newMemory(cat)
	pub.limit = 40
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 3 {
		conn := m.connect()
		rnd := rand.New(rand.NewPCG(uint64(i), 7))
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := write(m, conn, rnd, i, n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	m.run(cat, pub)
	pub.untilLine(t, "done t")
	close(stop)
	wg.Wait()
	m.exec("INSERT INTO t VALUES (-1, 'end')")
	log := pub.untilLine(t, "insert t -1|end")
	compareFold(t, m, log)
}

// write does something to a few random rows.
func write(m *mirror, conn *pgx.Conn, rnd *rand.Rand, writer, n int) error {
	id := rnd.IntN(4000)
	sql := "UPDATE t SET v = $2 WHERE id = $1"
	args := []any{id, fmt.Sprintf("%d-%d", writer, n)}
	switch rnd.IntN(6) {
	case 0:
		sql = "INSERT INTO t VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET v = excluded.v"
	case 1:
		sql, args = "DELETE FROM t WHERE id = $1", args[:1]
	case 2:
		// the key changes, to behind or in front of where the back-fill is
		sql = "UPDATE t SET id = $2, v = $3 WHERE id = $1 AND NOT EXISTS (SELECT FROM t WHERE id = $2)"
		args = []any{id, rnd.IntN(4000), fmt.Sprintf("%d-%d", writer, n)}
	}
	tx, err := conn.Begin(m.ctx)
	if err != nil {
		return err
	}
	if _, err = tx.Exec(m.ctx, sql, args...); err == nil && rnd.IntN(10) == 0 {
		_, err = tx.Exec(m.ctx, "UPDATE t SET v = v || '+' WHERE id BETWEEN $1 AND $1 + 5", rnd.IntN(4000))
	}
	if err != nil {
		tx.Rollback(m.ctx)
		if strings.Contains(err.Error(), "23505") || strings.Contains(err.Error(), "40P01") { // unique, deadlock
			return nil
		}
		return err
	}
	if rnd.IntN(20) == 0 {
		return tx.Rollback(m.ctx)
	}
	return tx.Commit(m.ctx)
}

// compareFold folds a log and compares it with the table.
func compareFold(t *testing.T, m *mirror, log []string) {
	t.Helper()
	fold := map[string]string{}
	for _, line := range log {
		op, rest, _ := strings.Cut(line, " ")
		_, row, _ := strings.Cut(rest, " ")
		if _, after, ok := strings.Cut(row, " > "); ok {
			row = after
		}
		id, v, _ := strings.Cut(row, "|")
		switch op {
		case "insert", "update", "read":
			fold[id] = v
		case "delete":
			delete(fold, id)
		case "truncate", "reset":
			clear(fold)
		}
	}
	rows, err := m.conn.Query(m.ctx, "SELECT id::text, coalesce(v, '<null>') FROM t")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var id, v string
	if _, err := pgx.ForEachRow(rows, []any{&id, &v}, func() error {
		n++
		if got, ok := fold[id]; !ok || got != v {
			t.Errorf("row %s is %q, the stream says %q (%t)", id, v, got, ok)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n != len(fold) {
		t.Errorf("%d rows, the stream says %d", n, len(fold))
	}
}

// Chunks go by the order of the key, whatever its type.
func TestKeysOfManyTypes(t *testing.T) {
	cases := []struct{ columns, key, sql string }{
		{"a integer; b integer", "a, b", "SELECT g % 7 AS a, g AS b FROM generate_series(1, 100) g"},
		{"a text; b smallint", "a, b", "SELECT chr(97 + g % 5) || '''\"\\æ' AS a, g::int2 AS b FROM generate_series(1, 100) g"},
		{"id uuid", "id", "SELECT md5(g::text)::uuid AS id FROM generate_series(1, 100) g"},
		{"id char(5)", "id", "SELECT g::char(5) AS id FROM generate_series(1, 100) g"},
		{"id numeric", "id", "SELECT g / 7.0 AS id FROM generate_series(-50, 50) g"},
		{"id bigint; v double precision", "id", "SELECT g * 100000000000 AS id, g / 3.0::float8 AS v FROM generate_series(-50, 50) g"},
		{"id timestamptz", "id", "SELECT '2026-03-29 00:30+01'::timestamptz + g * interval '20 min' AS id FROM generate_series(1, 100) g"},
		{"id date", "id", "SELECT date '2026-01-01' + g AS id FROM generate_series(1, 100) g"},
		{"id bytea", "id", "SELECT decode(lpad(to_hex(g), 4, '0'), 'hex') AS id FROM generate_series(1, 100) g"},
		{"id inet", "id", "SELECT '10.0.0.0'::inet + g AS id FROM generate_series(1, 100) g"},
		{"id boolean; nr integer", "id, nr", "SELECT g % 2 = 0 AS id, g AS nr FROM generate_series(1, 100) g"},
		{"id integer[]", "id", "SELECT ARRAY[g % 3, g] AS id FROM generate_series(1, 100) g"},
	}
	for _, c := range cases {
		t.Run(c.columns, func(t *testing.T) {
			m := newMirror(t, "CREATE TABLE t AS "+c.sql+"; ALTER TABLE t ADD PRIMARY KEY ("+c.key+"); ALTER TABLE t REPLICA IDENTITY FULL")
			cat := testCatalog(t, tableYAML("t", "full", c.key, c.columns))
			conn, err := connect(m.ctx, m.config())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(m.ctx)
			l, err := newLoader(m.ctx, conn)
			if err != nil {
				t.Fatal(err)
			}
			var state LoadState
			seen := map[string]bool{}
			for !state.Done {
				read, err := l.read(m.ctx, table(t, cat, "t"), filter{}, state, 7)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range read.chunk.Rows {
					if text := rowText(r); seen[text] {
						t.Errorf("twice: %s", text)
					} else {
						seen[text] = true
					}
				}
				state = read.chunk.State
			}
			if want := m.value("SELECT count(*)::text FROM t"); fmt.Sprint(len(seen)) != want {
				t.Errorf("%d rows read of %s", len(seen), want)
			}
		})
	}
}

// The end of a chunk is where the log was after it was read, also at the start of a page of the log.
func TestLogPosition(t *testing.T) {
	m := newMirror(t, rowTable)
	conn, err := connect(m.ctx, m.config())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(m.ctx)
	l, err := newLoader(m.ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	before, err := l.position(m.ctx)
	if err != nil {
		t.Fatal(err)
	}
	m.exec("INSERT INTO t VALUES (1, 'x')")
	after, err := l.position(m.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if after <= before {
		t.Errorf("position %X after a commit, %X before", after, before)
	}
}

// A back-fill of an idle mirror ends, also right after a switch of the log's file.
func TestBackfillOfAnIdleMirror(t *testing.T) {
	m := newMirror(t, rowTable+`INSERT INTO t VALUES (1, 'a')`)
	m.exec("SELECT pg_switch_wal()")
	cat := rowCatalog(t)
	pub := newMemory(cat)
	m.run(cat, pub, func(c *Config) { c.MarkEvery = time.Hour })
	lines(t, pub.untilLine(t, "done t"), []string{"read t 1|a", "done t"})
}
