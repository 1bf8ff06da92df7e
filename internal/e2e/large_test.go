package e2e

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"supstream/internal/natstest"
	"supstream/streams"
)

// TestLargeTransaction sends a transaction of a million rows through all roles
// of one process and looks at the most memory it ever had resident (VmHWM,
// which counts the pages of its binary too). The NATS server is another
// process.
func TestLargeTransaction(t *testing.T) {
	const rows, limit = 1_000_000, 256 << 20
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	w := newWorld(ctx, t, options{citizens: 50, every: "5s", external: &natstest.Options{MaxStore: 8 << 30}})
	w.start()
	js := w.jetstream(ctx)
	before := w.settle(ctx, js)
	w.delivered(ctx, before)
	sql := fmt.Sprintf("INSERT INTO kodeliste_vaerdi SELECT 'stor', g::text, 'En kodetekst med æ, ø og å som nummer ' || g, '2020-01-01', NULL, now() FROM generate_series(1, %d) g", rows)
	if err := w.pg.Exec(ctx, database, sql); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	end := w.settle(ctx, js)
	t.Logf("%d rows were in the stream %s after their commit", rows, time.Since(begun).Round(time.Second/10))
	w.delivered(ctx, end)

	got := 0
	r := streams.NewReader(js)
	mark, err := r.Newest(ctx, "kodelister")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Read(ctx, "kodelister", 0, mark.Seq, func(e *streams.Event) error {
		if e.Op == streams.OpInsert {
			got++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got != rows {
		t.Errorf("%d rows in the stream, want %d", got, rows)
	}
	if peak := w.peak(t); peak > limit {
		t.Errorf("supstream had %d MiB resident, want less than %d", peak>>20, limit>>20)
	} else {
		t.Logf("supstream had at most %d MiB resident", peak>>20)
	}
	w.stop()
}

// peak is the most memory that supstream had resident, in bytes.
func (w *world) peak(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.proc.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatal("no VmHWM in /proc")
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}
