package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/streams"
)

// fillVia gives most persons a period and all of them rows.
func (w *world) fillVia(ctx context.Context, conn *pgx.Conn, persons int) {
	w.t.Helper()
	if _, err := conn.Exec(ctx, fmt.Sprintf(`
		INSERT INTO tilhoer SELECT n, '40019' || lpad(n::text, 5, '0'), (ARRAY['101', '751', '851', NULL])[1 + n %% 4], (ARRAY['908', '915', NULL])[1 + n %% 3], '2020-01-01', NULL
			FROM generate_series(0, %[1]d - 1) n WHERE n %% 10 < 9;
		INSERT INTO sag SELECT n, '40019' || lpad((n %% %[1]d)::text, 5, '0'), 5 + n %% 5, 'fra begyndelsen' FROM generate_series(1, 10 * %[1]d) n;
		INSERT INTO notat SELECT n, 1, '40019' || lpad((n %% %[1]d)::text, 5, '0'), n %% 4 = 0, 'fra begyndelsen' FROM generate_series(1, 5 * %[1]d) n;
		INSERT INTO brev SELECT n, '40019' || lpad((n %% %[1]d)::text, 5, '0'), 'fra begyndelsen' FROM generate_series(1, 5 * %[1]d) n;
		INSERT INTO ydelse SELECT n, '40019' || lpad((n %% %[1]d)::text, 5, '0'), '101', 'fra begyndelsen' FROM generate_series(1, 5 * %[1]d) n`, persons), pgx.QueryExecModeSimpleProtocol); err != nil {
		w.t.Fatal(err)
	}
}

// TestMoves moves persons to and fro while their rows change, and compares what every Bruger has with SQL.
func TestMoves(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	w := newViaWorld(ctx, t)
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	const persons = 40
	w.fillVia(ctx, conn, persons)
	h := w.newHistory(ctx, conn)
	w.start()
	js := w.jetstream(ctx)
	w.eventually(ctx, "wait for the slot", func() error { return w.slotExists(ctx, conn) })
	play, stop := context.WithTimeout(ctx, 8*time.Second)
	defer stop()
	transactions, moves, err := w.playVia(play, 1, 4, persons, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d transactions, %d changes of persons", transactions, moves)
	w.handedOver(ctx, t, js)
	all := w.compareVia(ctx, t, conn, js)
	h.check(ctx, t, conn, js, all)
	w.stop()
}

// TestMovesSurviveKill does the same while supstream is killed again and again. SUPSTREAM_TORTURE=1h goes on for that long.
func TestMovesSurviveKill(t *testing.T) { movesSurviveKill(t, 20*time.Second, false) }

// TestMovesSurviveKillAndDays does the same while days go by within seconds, and persons move when they begin.
func TestMovesSurviveKillAndDays(t *testing.T) { movesSurviveKill(t, 15*time.Second, true) }

func movesSurviveKill(t *testing.T, long time.Duration, days bool) {
	long = max(long, torture(t))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute+2*long)
	defer cancel()
	w := newViaWorld(ctx, t)
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	const persons = 60
	w.fillVia(ctx, conn, persons)
	h := w.newHistory(ctx, conn)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w.start()
	js := w.jetstream(ctx)
	w.eventually(ctx, "wait for the slot", func() error { return w.slotExists(ctx, conn) })

	play, stop := context.WithTimeout(ctx, long)
	defer stop()
	type result struct {
		transactions, moves int64
		err                 error
	}
	played := make(chan result, 1)
	go func() {
		var r result
		r.transactions, r.moves, r.err = w.playVia(play, seed, 3, persons, days)
		played <- r
	}()
	r := rand.New(rand.NewPCG(seed, 99))
	killed, passed := 0, 0
	for play.Err() == nil {
		select {
		case <-play.Done():
			continue
		case <-time.After(time.Duration(100+r.IntN(1700)) * time.Millisecond):
		}
		if !days || r.IntN(2) == 0 {
			w.kill()
			w.start()
			killed++
			continue
		}
		if _, err := conn.Exec(ctx, "UPDATE clock.shift SET by = by + interval '1 day'"); err != nil {
			t.Fatal(err)
		}
		passed++
	}
	res := <-played
	if res.err != nil {
		t.Fatal(res.err)
	}
	t.Logf("%d transactions, %d changes of persons, killed %d times, %d days", res.transactions, res.moves, killed, passed)
	js = w.jetstream(ctx)
	w.handedOver(ctx, t, js)
	all := w.compareVia(ctx, t, conn, js)
	if !days {
		h.check(ctx, t, conn, js, all)
	}
	ops := map[streams.Op]int{}
	for _, e := range all {
		ops[e.Op]++
	}
	t.Logf("events: %v", ops)
	w.stop()
}
