package capture

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A destination that takes nothing for longer than wal_sender_timeout does not cost the connection, and memory stays
// bounded meanwhile.
func TestSlowDestinationKeepsTheConnection(t *testing.T) {
	m := newMirror(t, rowTable)
	cat := rowCatalog(t)
	pub := newMemory(cat)
	const timeout = 1500 * time.Millisecond
	m.run(cat, pub, func(c *Config) {
		c.Postgres.RuntimeParams["wal_sender_timeout"] = fmt.Sprintf("%dms", timeout.Milliseconds())
	})
	pub.untilLine(t, "done t")
	pid := m.value("SELECT active_pid::text FROM pg_replication_slots WHERE slot_name = $1", m.name)
	pub.freeze(true)
	// More than the queue and the sockets take, so that the server cannot send all of it.
	m.exec("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 40000) g")
	// Postgres' own clock: two timeouts after the last thing that it could send.
	m.exec("CREATE TEMP TABLE mark AS SELECT clock_timestamp() AS at")
	m.until(fmt.Sprintf("(SELECT clock_timestamp() > at + interval '%d ms' FROM mark)", 2*timeout.Milliseconds()))
	if now := m.value("SELECT coalesce(active_pid, 0)::text FROM pg_replication_slots WHERE slot_name = $1", m.name); now != pid {
		t.Errorf("the walsender is %s, it was %s", now, pid)
	}
	pub.freeze(false)
	m.exec("INSERT INTO t VALUES (0, 'end')")
	log := pub.untilLine(t, "insert t 0|end")
	n := 0
	for _, l := range log {
		if strings.HasPrefix(l, "insert t ") {
			n++
		}
	}
	if n != 40001 {
		t.Errorf("%d rows came", n)
	}
	if now := m.value("SELECT active_pid::text FROM pg_replication_slots WHERE slot_name = $1", m.name); now != pid {
		t.Errorf("the walsender is %s, it was %s", now, pid)
	}
}

// A server that restarts is waited for; nothing is lost and nothing comes twice that was confirmed.
func TestServerRestarts(t *testing.T) {
	m := newMirror(t, rowTable)
	cat := rowCatalog(t)
	pub := newMemory(cat)
	m.run(cat, pub)
	pub.untilLine(t, "done t")
	m.exec("INSERT INTO t VALUES (1, 'a')")
	pub.untilLine(t, "insert t 1|a")
	m.exec(fmt.Sprintf("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '%s'", m.name))
	m.exec("INSERT INTO t VALUES (2, 'b')")
	pub.untilLine(t, "insert t 2|b")
}

// When the context ends, what was taken is stored and confirmed before Run returns.
func TestConfirmsBeforeItEnds(t *testing.T) {
	m := newMirror(t, rowTable)
	cat := rowCatalog(t)
	pub := newMemory(cat)
	stop := m.run(cat, pub, func(c *Config) { c.MarkEvery = time.Hour })
	pub.untilLine(t, "done t")
	m.exec("INSERT INTO t VALUES (1, 'a')")
	end := m.value("SELECT pg_current_wal_insert_lsn()::text")
	pub.untilLine(t, "insert t 1|a")
	pub.until(t, func([]string) bool { return atLeast(pub.boundary.LSN, end) })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	m.until("(SELECT confirmed_flush_lsn >= $2::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $1)", m.name, end)
}

// atLeast compares a position with a text such as 0/1A2B3C4.
func atLeast(lsn uint64, text string) bool {
	var high, low uint64
	if _, err := fmt.Sscanf(text, "%X/%X", &high, &low); err != nil {
		return false
	}
	return lsn >= high<<32|low
}

// It must be possible to end while the destination hangs.
func TestEndsWhileTheDestinationHangs(t *testing.T) {
	m := newMirror(t, rowTable)
	cat := rowCatalog(t)
	pub := &hanging{memory: newMemory(cat)}
	stop := m.run(cat, pub)
	pub.untilLine(t, "done t")
	pub.hang.Store(true)
	m.exec("INSERT INTO t VALUES (1, 'a')")
	m.until("true")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// hanging is a publisher whose Publish waits for the context.
type hanging struct {
	*memory
	hang atomic.Bool
}

func (h *hanging) Publish(ctx context.Context, c *Change) error {
	if h.hang.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.memory.Publish(ctx, c)
}
