package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/catalog"
	"supstream/streams"
)

// TestMovesByTheCalendar: an owner that changes because a day begins changes then, without any change in the mirror, and also when
// supstream was down at that moment.
func TestMovesByTheCalendar(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newViaWorld(ctx, t)
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatal(err)
		}
	}
	// Person 1 belongs to 101 until today, to 751 for two days, then to 851. Person 2 to nobody before tomorrow. Person 3 to 101 and the
	// a-kasse 908 until tomorrow, and to nobody then. Persons 4 to 300 move from 101 to 751 tomorrow.
	exec(`
		INSERT INTO tilhoer SELECT v.* FROM (SELECT idag() AS d) t, LATERAL (VALUES
			(1, '4001900001', '101', NULL, NULL, d), (2, '4001900001', '751', NULL, d + 1, d + 2), (3, '4001900001', '851', '915', d + 3, NULL),
			(4, '4001900002', '751', '908', d + 1, NULL), (5, '4001900003', '101', '908', date '2020-01-01', d + 1)) v;
		INSERT INTO tilhoer SELECT 2 * n, '40019' || lpad(n::text, 5, '0'), '101', NULL, NULL, idag() FROM generate_series(4, 300) n;
		INSERT INTO tilhoer SELECT 2 * n + 1, '40019' || lpad(n::text, 5, '0'), '751', NULL, idag() + 1, NULL FROM generate_series(4, 300) n;
		INSERT INTO sag SELECT n, '40019' || lpad(n::text, 5, '0'), 7, 'x' FROM generate_series(1, 300) n;
		INSERT INTO brev SELECT n, '40019' || lpad((1 + n % 3)::text, 5, '0'), 'x' FROM generate_series(1, 30) n`)
	w.start()
	js := w.jetstream(ctx)
	w.eventually(ctx, "wait for the slot", func() error { return w.slotExists(ctx, conn) })
	w.owned(ctx, t, conn, js, "1: kommune.101 akasse. 2: kommune. akasse. 3: kommune.101 akasse.908 4: kommune.101 akasse.")

	exec("UPDATE clock.shift SET by = '1 day'")
	w.owned(ctx, t, conn, js, "1: kommune.751 akasse. 2: kommune.751 akasse.908 3: kommune.101 akasse.908 4: kommune.751 akasse.")

	w.kill() // two days pass
	exec("UPDATE clock.shift SET by = '3 days'; UPDATE sag SET tekst = 'efter' WHERE id < 4; DELETE FROM brev WHERE id < 10")
	w.start()
	w.owned(ctx, t, conn, w.jetstream(ctx), "1: kommune.851 akasse.915 2: kommune.751 akasse.908 3: kommune. akasse. 4: kommune.751 akasse.")

	w.stop()
	w.start() // nothing is left to do
	js = w.jetstream(ctx)
	w.handedOver(ctx, t, js)
	w.compareVia(ctx, t, conn, js)
	w.stop()
}

// TestPersonTableTruncated fills the person table anew. Who had the rows cannot be told then, and all is read again.
func TestPersonTableTruncated(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newViaWorld(ctx, t)
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	w.fillVia(ctx, conn, 100)
	w.start()
	js := w.jetstream(ctx)
	w.handedOver(ctx, t, js)
	if _, err := conn.Exec(ctx, `BEGIN;
		CREATE TABLE kept AS SELECT * FROM tilhoer; DELETE FROM brev WHERE id % 3 = 0;
		TRUNCATE tilhoer; INSERT INTO tilhoer SELECT id, cpr, CASE WHEN id % 2 = 0 THEN '851' ELSE kommune_kode END, akasse_kode, gyldig_fra, gyldig_til FROM kept;
		DELETE FROM brev WHERE id % 5 = 0; COMMIT`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	w.handedOver(ctx, t, js)
	w.compareVia(ctx, t, conn, js)
	if w.log.count("cannot be told") != 1 {
		t.Error("the log does not say once that areas are read again")
	}
	w.kill()
	w.start()
	w.handedOver(ctx, t, w.jetstream(ctx))
	w.compareVia(ctx, t, conn, w.jetstream(ctx))
	w.stop()
}

// owned waits until the rows of the first persons are with the owners in want, and all Brugere have what SQL says.
func (w *world) owned(ctx context.Context, t *testing.T, conn *pgx.Conn, js jetstream.JetStream, want string) {
	t.Helper()
	sager, _ := w.catalog.Dataomraade("sager")
	w.eventually(ctx, "wait for "+want, func() error {
		if mark, err := streams.NewReader(js).Newest(ctx, "sager"); err != nil || mark.Loading {
			return errors.Join(err, errors.New("loading"))
		}
		f, _ := w.fold(ctx, js, sager)
		got := ""
		for n := 1; n <= 4; n++ {
			got += fmt.Sprintf("%d:", n)
			for _, axis := range []catalog.Axis{catalog.Kommune, catalog.Akasse} {
				got += " " + axis.String() + "."
				for _, b := range w.catalog.Brugere(axis) {
					if _, ok := f.table(b, "sag")[fmt.Sprintf(`["%d"]`, n)]; ok {
						got += b.Kode
					}
				}
			}
			got += " "
		}
		if got != want+" " {
			return fmt.Errorf("owners are %s", got)
		}
		return nil
	})
	w.handedOver(ctx, t, js)
	w.compareVia(ctx, t, conn, js)
}

// TestManyMovesAtOnce moves everybody in one transaction, as when kommuner become one.
func TestManyMovesAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	w := newViaWorld(ctx, t)
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	const persons = 2000
	w.fillVia(ctx, conn, persons)
	w.start()
	js := w.jetstream(ctx)
	w.handedOver(ctx, t, js)
	begun := time.Now()
	tag, err := conn.Exec(ctx, "UPDATE tilhoer SET kommune_kode = CASE kommune_kode WHEN '101' THEN '751' ELSE '101' END")
	if err != nil {
		t.Fatal(err)
	}
	w.handedOver(ctx, t, js)
	all := w.compareVia(ctx, t, conn, js)
	var took time.Duration // until the last rows were read
	for _, e := range all {
		took = max(took, e.Time.Sub(begun))
	}
	rows := tag.RowsAffected() * 25
	t.Logf("%d moves of %d rows in %s: %.0f moves/s, %.0f rows/s", tag.RowsAffected(), rows, took, float64(tag.RowsAffected())/took.Seconds(), float64(rows)/took.Seconds())
	w.stop()
}
