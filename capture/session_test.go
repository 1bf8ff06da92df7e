package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"supstream/catalog"
	"supstream/internal/pgtest"
)

// An area whose stream is behind the slot is read again to the end, also when the process dies in between: at every
// call of the publisher in turn.
func TestAreaBehindTheSlotIsReadAgain(t *testing.T) {
	m := newMirror(t, `CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1); INSERT INTO b VALUES (2)`)
	cat := testCatalog(t, tableYAML("a", "default", "id", "id integer"), tableYAML("b", "default", "id", "id integer"))
	m.exec(fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", m.name))
	for calls := range 12 {
		t.Run(fmt.Sprint(calls), func(t *testing.T) {
			pub := newMemory(cat)
			area := pub.areas["proeve"]
			area.Position = Position{LSN: 1}
			area.Loads["a"], area.Loads["b"] = LoadState{Done: true}, LoadState{Done: true}
			first := &dying{memory: pub, calls: calls, died: make(chan struct{})}
			stop := m.run(cat, first)
			select {
			case <-first.died:
			case <-first.all(t):
			}
			stop()
			pub.mu.Lock()
			pub.fail = nil
			pub.mu.Unlock()
			defer m.run(cat, pub)()
			log := pub.until(t, func(log []string) bool {
				return slices.Contains(log, "done a") && slices.Contains(log, "done b")
			})
			last := func(s string) int { return len(log) - 1 - slices.Index(reversed(log), s) }
			for _, name := range []string{"a", "b"} {
				if !slices.Contains(log, "reset "+name) || last("reset "+name) > last("done "+name) {
					t.Errorf("table %s was not reset, then read:\n%s", name, strings.Join(log, "\n"))
				}
			}
		})
	}
}

func reversed(s []string) []string {
	r := slices.Clone(s)
	slices.Reverse(r)
	return r
}

// dying is a publisher that dies after some calls that store something.
type dying struct {
	*memory
	calls int
	died  chan struct{}
}

func (d *dying) step() error {
	if d.calls--; d.calls < 0 {
		if d.calls == -1 {
			close(d.died)
		}
		return errors.New("the publisher died")
	}
	return nil
}

func (d *dying) PublishChunk(ctx context.Context, c *Chunk) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.memory.PublishChunk(ctx, c)
}

func (d *dying) Mark(ctx context.Context, _ time.Duration) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.memory.Mark(ctx, 0)
}

// all is closed when both tables have been read.
func (d *dying) all(t *testing.T) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.mu.Lock()
		defer d.mu.Unlock()
		for !slices.Contains(d.log, "done a") || !slices.Contains(d.log, "done b") {
			select {
			case <-d.died:
				return
			default:
			}
			d.changed.Wait()
		}
	}()
	return done
}

// A slot that lost its log is made anew, and everything is read again.
func TestLostSlot(t *testing.T) {
	server := pgtest.NewWith(t, pgtest.Options{NoSync: true, Settings: map[string]string{"max_slot_wal_keep_size": "16MB", "max_wal_size": "64MB", "min_wal_size": "32MB"}})
	m := newMirrorOn(t, server, "", rowTable+`INSERT INTO t VALUES (1, 'a')`)
	cat := rowCatalog(t)
	pub := newMemory(cat)
	stop := m.run(cat, pub)
	pub.untilLine(t, "done t")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	m.exec("DELETE FROM t; INSERT INTO t VALUES (2, 'b')")
	m.exec("CREATE TABLE ballast (v text)")
	for m.value("SELECT wal_status FROM pg_replication_slots WHERE slot_name = $1", m.name) != "lost" {
		m.exec("INSERT INTO ballast SELECT repeat(md5(g::text), 100) FROM generate_series(1, 10000) g")
		m.exec("SELECT pg_switch_wal()")
		m.exec("CHECKPOINT")
	}
	m.run(cat, pub)
	log := pub.until(t, func(log []string) bool { return slices.Index(log, "reset t") >= 0 && log[len(log)-1] == "done t" })
	lines(t, log, []string{"read t 1|a", "done t", "reset t", "read t 2|b", "done t"})
	m.exec("INSERT INTO t VALUES (3, 'c')")
	pub.untilLine(t, "insert t 3|c")
}

// A second process waits for the slot and takes over when the first ends.
func TestStandbyTakesOver(t *testing.T) {
	m := newMirror(t, rowTable)
	cat := rowCatalog(t)
	pub := newMemory(cat)
	stop := m.run(cat, pub)
	pub.untilLine(t, "done t")
	second := newMemory(cat)
	second.areas = pub.areas
	text := &logText{line: make(chan string, 100)}
	m.run(cat, second, logTo(text))
	for line := range text.line {
		if strings.Contains(line, "waiting for the replication slot") {
			break
		}
	}
	m.exec("INSERT INTO t VALUES (1, 'first')")
	pub.untilLine(t, "insert t 1|first")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	m.exec("INSERT INTO t VALUES (2, 'second')")
	log := second.untilLine(t, "insert t 2|second")
	if slices.Contains(log, "insert t 1|first") {
		t.Error("what the first had confirmed came again")
	}
}

// What is confirmed to Postgres was durable before, and what was not comes again.
func TestConfirmsOnlyWhatIsDurable(t *testing.T) {
	m := newMirror(t, rowTable)
	cat := rowCatalog(t)
	pub := newMemory(cat)
	stop := m.run(cat, pub)
	pub.untilLine(t, "done t")
	m.exec("INSERT INTO t VALUES (1, 'a')")
	pub.untilLine(t, "insert t 1|a")
	pub.freeze(true)
	m.exec("INSERT INTO t VALUES (2, 'b')")
	end := m.value("SELECT pg_current_wal_insert_lsn()::text")
	// The publisher takes nothing; the connection must live and confirm nothing.
	m.until("(SELECT write_lsn >= $2::text::pg_lsn FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE s.slot_name = $1)", m.name, end)
	if m.value("SELECT (confirmed_flush_lsn < $2::text::pg_lsn)::text FROM pg_replication_slots WHERE slot_name = $1", m.name, end) != "true" {
		t.Error("Postgres was told that something is durable that is not")
	}
	pub.end(errors.New("killed"))
	stop()
	again := newMemory(cat)
	again.areas = pub.areas
	m.run(cat, again)
	again.untilLine(t, "insert t 2|b")
}

// An idle mirror whose other databases are written does not keep log for us.
func TestIdleMirrorConfirms(t *testing.T) {
	m := newMirror(t, rowTable+"CREATE TABLE other (id int)")
	cat := rowCatalog(t)
	pub := newMemory(cat)
	m.run(cat, pub)
	pub.untilLine(t, "done t")
	m.exec("INSERT INTO other SELECT generate_series(1, 1000)")
	end := m.value("SELECT pg_current_wal_insert_lsn()::text")
	m.until("(SELECT confirmed_flush_lsn >= $2::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $1)", m.name, end)
}

// Errors that cannot go away by themselves end Run; others are tried again.
func TestClassify(t *testing.T) {
	code := func(c string) error { return fmt.Errorf("step: %w", &pgconn.PgError{Code: c}) }
	cases := []struct {
		err  error
		want string
	}{
		{fmt.Errorf("slot x: %w", ErrSlotInUse), kindStandby},
		{fmt.Errorf("slot x: %w", ErrSlotLost), kindTransient},
		{&MessageError{Err: errors.New("x")}, kindPermanent},
		{fmt.Errorf("step: %w", &catalog.DriftError{Table: &catalog.Table{}, Kind: catalog.ColumnMissing}), kindPermanent},
		{io.ErrUnexpectedEOF, kindTransient},
		{context.DeadlineExceeded, kindTransient},
		{code("57P01"), kindTransient}, // the server shuts down
		{code("57P03"), kindTransient}, // it starts
		{code("53300"), kindTransient}, // too many connections
		{code("08006"), kindTransient},
		{code("40001"), kindTransient},
		{code("XX000"), kindTransient},
		{code("28P01"), kindPermanent}, // wrong password
		{code("42501"), kindPermanent}, // not allowed
		{code("42P01"), kindTransient}, // a table went away: the next session finds out
		{code("22P02"), kindPermanent},
	}
	for _, c := range cases {
		if got := classify(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

// Run ends with a clear message when it cannot ever work.
func TestRunRefuses(t *testing.T) {
	cat := rowCatalog(t)
	t.Run("a table that is not there", func(t *testing.T) {
		m := newMirror(t, "SELECT 1")
		refused(t, m, cat, "public.t")
	})
	t.Run("a column of another type", func(t *testing.T) {
		m := newMirror(t, "CREATE TABLE t (id int PRIMARY KEY, v varchar(3)); ALTER TABLE t REPLICA IDENTITY FULL")
		refused(t, m, cat, "character varying(3)")
	})
	t.Run("no usable replica identity", func(t *testing.T) {
		m := newMirror(t, rowTable+"ALTER TABLE t REPLICA IDENTITY NOTHING")
		refused(t, m, cat, "REPLICA IDENTITY")
	})
	t.Run("a database without an encoding", func(t *testing.T) {
		m := newMirrorOn(t, sharedServer(t), "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'", rowTable)
		refused(t, m, cat, "UTF8")
	})
	t.Run("a publication with a row filter", func(t *testing.T) {
		m := newMirror(t, rowTable)
		m.exec(fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE t WHERE (id > 3) WITH (publish_via_partition_root = true)", m.name))
		refused(t, m, cat, "row filter")
	})
	t.Run("a slot of another plug-in", func(t *testing.T) {
		m := newMirror(t, rowTable)
		m.exec(fmt.Sprintf("SELECT pg_create_physical_replication_slot('%s')", m.name))
		refused(t, m, cat, "choose another")
	})
	t.Run("row-level security", func(t *testing.T) {
		m := newMirror(t, rowTable+"CREATE ROLE reader LOGIN REPLICATION; GRANT SELECT ON t TO reader; ALTER TABLE t ENABLE ROW LEVEL SECURITY; INSERT INTO t VALUES (1, 'x')")
		m.exec(fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE t WITH (publish_via_partition_root = true)", m.name))
		refused(t, m, cat, "row", func(c *Config) { c.Postgres.User = "reader" })
	})
}

func refused(t *testing.T, m *mirror, cat *catalog.Catalog, want string, change ...func(*Config)) {
	t.Helper()
	pub := newMemory(cat)
	ctx, cancel := context.WithTimeout(m.ctx, 20*time.Second)
	defer cancel()
	err := New(m.captureConfig(cat, pub, change...)).Run(ctx)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one that says %q", err, want)
	}
	if len(pub.log) != 0 {
		t.Errorf("published: %q", pub.log)
	}
}
