package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"supstream/capture"
	"supstream/streams"
)

// TestIdle leaves the mirror alone: time passes in the streams all the same,
// files say that nothing happened, and the slot keeps no log.
func TestIdle(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	w := newWorld(ctx, t, options{citizens: 20, every: "1s"})
	w.start()
	js := w.jetstream(ctx)
	end := w.settle(ctx, js)
	w.delivered(ctx, end)
	r := streams.NewReader(js)
	begun, err := r.Newest(ctx, "samtaler")
	if err != nil {
		t.Fatal(err)
	}
	files := len(w.manifests(t, w.chains()[0]))
	w.eventually(ctx, "wait for time to pass in the stream", func() error {
		m, err := r.Newest(ctx, "samtaler")
		if err == nil && m.Time.Sub(begun.Time) < 5*time.Second {
			err = fmt.Errorf("the newest mark is %s later than the first", m.Time.Sub(begun.Time))
		}
		return err
	})
	w.eventually(ctx, "wait for files", func() error {
		if n := len(w.manifests(t, w.chains()[0])); n < files+3 {
			return fmt.Errorf("%d files, there were %d", n, files)
		}
		return nil
	})

	// Another database of the server writes; nothing of it is ours.
	if err := w.pg.Exec(ctx, "postgres", "CREATE TABLE other AS SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g"); err != nil {
		t.Fatal(err)
	}
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	w.eventually(ctx, "wait for the slot to let go of the log", func() error {
		s, err := capture.ReadSlot(ctx, conn, "supstream")
		var now uint64
		if err == nil {
			err = conn.QueryRow(ctx, "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&now)
		}
		if err == nil && now-s.Confirmed > 1<<20 {
			err = fmt.Errorf("the slot is %d bytes behind", now-s.Confirmed)
		}
		return err
	})
	w.stop()
}
