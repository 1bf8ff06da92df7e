package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"supstream/internal/natstest"
	"supstream/internal/pgtest"
)

// kills is how often a process is killed in an ordinary test run.
const kills = 27

// TestSurvivesKill kills supstream, Postgres and an external NATS server at
// random while the mirror changes, large transactions and moves included, and
// then checks what must always hold. SUPSTREAM_TORTURE=1h kills for that long.
func TestSurvivesKill(t *testing.T) {
	long := torture(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute+2*long)
	defer cancel()
	w := newWorld(ctx, t, options{citizens: 300, every: "2s", external: &natstest.Options{}})
	conn := w.connect(ctx)
	oracle := w.newOracle(ctx, conn)
	w.start()
	w.eventually(ctx, "wait for the slot", func() error { return w.slotExists(ctx, conn) })
	conn.Close(ctx)

	play, stop := context.WithCancel(ctx)
	defer stop()
	p := w.player(uint64(time.Now().UnixNano()), 60)
	played := make(chan error, 1)
	go func() { played <- p.Play(play) }()
	w.killAtRandom(ctx, long)
	stop()
	if err := <-played; err != nil && play.Err() == nil {
		t.Fatal(err)
	}
	for pattern, c := range p.Counts() {
		t.Logf("played %s: %+v", pattern, c)
	}

	conn = w.connect(ctx)
	defer conn.Close(ctx)
	w.check(ctx, t, w.jetstream(ctx), conn, oracle)
}

// torture is how long to go on killing; zero for an ordinary test run.
func torture(t *testing.T) time.Duration {
	text := os.Getenv("SUPSTREAM_TORTURE")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("SUPSTREAM_TORTURE: %v", err)
	}
	return d
}

// killAtRandom kills the processes in random order, with random pauses in
// which they come to do something or do not.
func (w *world) killAtRandom(ctx context.Context, long time.Duration) {
	w.t.Helper()
	seed := uint64(time.Now().UnixNano())
	w.t.Logf("seed of the kills: %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	count := map[string]int{}
	end := time.Now().Add(long)
	for n := 0; n < kills || time.Now().Before(end); n++ {
		select {
		case <-ctx.Done():
			w.t.Fatal("out of time")
		case <-time.After(time.Duration(r.IntN(2500)) * time.Millisecond):
		}
		var err error
		who := []string{"supstream", "supstream", "postgres", "nats"}[r.IntN(4)]
		count[who]++
		switch who {
		case "supstream":
			w.kill()
			w.start()
		case "postgres":
			if err = w.pg.Stop(pgtest.Immediate); err == nil {
				err = w.pg.Start(ctx)
			}
		case "nats":
			err = w.server.Restart()
		}
		if err != nil {
			w.t.Fatal(fmt.Errorf("restart %s: %w", who, err))
		}
		w.alive()
	}
	w.t.Logf("killed: %v", count)
}
