package e2e

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"supstream/internal/natstest"
	"supstream/streams"
)

// TestRepairAfterLoss drops the slot while the mirror changes. supstream finds
// out what receivers lack and publishes that, in between the changes that go
// on, and although it is killed while it does so. Nobody's rows are taken away
// meanwhile.
func TestRepairAfterLoss(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	w := newWorld(ctx, t, options{citizens: 100, every: "2s", external: &natstest.Options{}})
	w.listen()
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	w.start()
	js := w.jetstream(ctx)
	w.settle(ctx, js)
	w.compared(ctx, 0) // and the bases are there

	w.stop()
	w.play(ctx, 8, 100, 2*time.Second)
	if _, err := conn.Exec(ctx, "SELECT pg_drop_replication_slot('supstream')"); err != nil {
		t.Fatal(err)
	}
	w.play(ctx, 9, 100, time.Second)
	lost := len(w.differences(ctx, js, conn))
	if lost < 20 {
		t.Fatalf("only %d differences", lost)
	}

	play, stop := context.WithCancel(ctx)
	p := w.player(10, 50)
	played := make(chan error, 1)
	go func() { played <- p.Play(play) }()
	for range 3 {
		w.start()
		select {
		case <-time.After(500*time.Millisecond + time.Duration(rand.IntN(4000))*time.Millisecond):
		case <-ctx.Done():
		}
		w.kill()
	}
	w.start()
	w.settle(ctx, js)
	stop()
	<-played
	w.settle(ctx, js)
	w.foldsEqual(ctx, js, conn)
	reads := 0
	for _, area := range w.open() {
		_, events := w.fold(ctx, js, area)
		for _, e := range events {
			if e.Op == streams.OpTruncate {
				t.Fatalf("%s: receivers of %s were told to take away all rows of %s", area.Slug, e.Bruger, e.Table)
			}
			if e.Op == streams.OpRead {
				reads++
			}
		}
	}
	if w.log.count("repaired by comparison") == 0 {
		t.Error("no area was repaired by comparison")
	}
	t.Logf("%d differences repaired; %d rows were read in all", lost, reads)
}
