package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/internal/pgtest"
	"supstream/streams"
)

// newViaWorld makes a mirror in which rows have no owner of their own: the table tilhoer tells whose the persons are.
func newViaWorld(ctx context.Context, t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), pg: pgtest.New(t), log: &logFile{}}
	var err error
	if w.catalog, err = catalog.LoadDir("testdata/via"); err != nil {
		t.Fatal(err)
	}
	if w.mirror, err = mirror.New(w.catalog); err != nil {
		t.Fatal(err)
	}
	if err := w.pg.CreateDatabase(ctx, database); err != nil {
		t.Fatal(err)
	}
	// A clock that tests can set: the name is found before that of Postgres.
	if err := w.pg.Exec(ctx, database, `
		CREATE SCHEMA clock;
		CREATE TABLE clock.shift AS SELECT interval '0' AS by;
		CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$SELECT pg_catalog.clock_timestamp() + by FROM clock.shift$$;
		ALTER DATABASE `+database+` SET search_path = clock, pg_catalog, public`); err != nil {
		t.Fatal(err)
	}
	sql := strings.NewReplacer("BEGIN;", "", "COMMIT;", "").Replace(catalog.DDL(w.catalog))
	for _, name := range []string{"sag", "notat", "brev", "ydelse"} {
		sql += fmt.Sprintf("CREATE INDEX ON public.%s (cpr);\n", name)
	}
	if err := w.pg.Exec(ctx, database, sql+ownersNow); err != nil {
		t.Fatal(err)
	}
	broker := w.broker(nil)
	w.config = w.write("supstream.yaml", fmt.Sprintf(`
data_dir: data
catalog: %s
postgres: {url: %q}
nats: %s
capture: {marker_interval: 500ms}
http: {listen: ""}
log: {level: debug}
`, absolute(t, "testdata/via"), w.pg.URL(database), broker))
	t.Cleanup(func() {
		w.kill()
		if t.Failed() {
			t.Logf("end of supstream's log:\n%s", w.log.tail())
		}
	})
	return w
}

func absolute(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// ownersNow says in SQL whose every person is: by the period in force that began last; where several began then and disagree, nobody's.
const ownersNow = `
CREATE FUNCTION public.idag() RETURNS date LANGUAGE sql AS $$SELECT (clock.clock_timestamp() AT TIME ZONE 'Europe/Copenhagen')::date$$;
CREATE VIEW public.nu AS
SELECT cpr, CASE WHEN count(DISTINCT coalesce(kommune_kode, '-')) = 1 THEN min(kommune_kode) END AS kommune,
            CASE WHEN count(DISTINCT coalesce(akasse_kode, '-')) = 1 THEN min(akasse_kode) END AS akasse
FROM (SELECT *, rank() OVER (PARTITION BY cpr ORDER BY coalesce(gyldig_fra, '-infinity') DESC) AS r
      FROM public.tilhoer, (SELECT public.idag() AS dag) d
      WHERE coalesce(gyldig_fra, '-infinity') <= dag AND coalesce(gyldig_til, 'infinity') >= dag) p
WHERE r = 1 GROUP BY cpr;
`

// viaTruth is the condition for the rows of a table that a Bruger must have.
func viaTruth(t *catalog.Table, b catalog.Bruger) string {
	where := "EXISTS (SELECT FROM public.nu WHERE nu.cpr = x.cpr AND nu." + b.Axis.String() + " = '" + b.Kode + "')"
	switch {
	case t.Name == "sag" && b.Axis == catalog.Akasse:
		where += " AND x.type IN (7, 8)"
	case t.Name == "notat":
		where += " AND NOT x.kladde"
	case t.Name == "brev" && b.Axis == catalog.Akasse:
		where = "false"
	case t.Name == "ydelse" && b.Axis == catalog.Kommune:
		where = "x.kommune_kode = '" + b.Kode + "'"
	}
	return where
}

// viaHeld counts the rows that nobody may have although somebody ought to.
const viaHeld = `SELECT
	(SELECT count(*) FROM public.sag x WHERE NOT EXISTS (SELECT FROM public.nu WHERE nu.cpr = x.cpr AND nu.kommune IN ('101', '751', '851'))) +
	(SELECT count(*) FROM public.notat x WHERE NOT kladde AND NOT EXISTS (SELECT FROM public.nu WHERE nu.cpr = x.cpr AND nu.kommune IN ('101', '751', '851'))) +
	(SELECT count(*) FROM public.brev x WHERE NOT EXISTS (SELECT FROM public.nu WHERE nu.cpr = x.cpr AND nu.kommune IN ('101', '751', '851'))) +
	(SELECT count(*) FROM public.ydelse x WHERE coalesce(kommune_kode, '') NOT IN ('101', '751', '851'))`

// compareVia compares what every Bruger has by the streams with SQL on the mirror.
func (w *world) compareVia(ctx context.Context, t *testing.T, conn *pgx.Conn, js jetstream.JetStream) []*streams.Event {
	t.Helper()
	var all []*streams.Event
	rows := 0
	for _, area := range w.open() {
		f, events := w.fold(ctx, js, area)
		all = append(all, events...)
		for _, table := range area.Tables {
			for _, axis := range []catalog.Axis{catalog.Kommune, catalog.Akasse} {
				for _, b := range w.catalog.Brugere(axis) {
					var columns []string
					for _, c := range table.Columns {
						columns = append(columns, c.Name)
					}
					sql := fmt.Sprintf("SELECT %s FROM %s x WHERE %s", strings.Join(columns, ", "), table, viaTruth(table, b))
					want, err := w.mirror.Rows(ctx, conn, table, sql)
					if err != nil {
						t.Fatal(err)
					}
					rows += len(want)
					if d := difference(want, f.table(b, table.Slug)); d != "" {
						t.Errorf("%s %s: %s", table, b, d)
					}
				}
			}
		}
	}
	var held int
	if err := conn.QueryRow(ctx, viaHeld).Scan(&held); err != nil {
		t.Fatal(err)
	}
	if got := w.notes(ctx, t, js, streams.HeldStream); got != held {
		t.Errorf("%d rows are held, want %d", got, held)
	}
	if rows == 0 {
		t.Fatal("nobody has any row: the test shows nothing")
	}
	t.Logf("%d rows of all Brugere compared, %d held, %d events", rows, held, len(all))
	return all
}

// notes counts what an internal stream says is so.
func (w *world) notes(ctx context.Context, t *testing.T, js jetstream.JetStream, stream string) int {
	t.Helper()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for subject := range info.State.Subjects {
		msg, err := s.GetLastMsgForSubject(ctx, subject)
		if err != nil {
			continue // expired
		}
		if !strings.HasSuffix(subject, "._pos") && !strings.HasSuffix(subject, "._day") && msg.Header.Get("Nats-TTL") == "" {
			n++
		}
	}
	return n
}

// handedOver waits until the streams have everything and no move is pending.
func (w *world) handedOver(ctx context.Context, t *testing.T, js jetstream.JetStream) {
	t.Helper()
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	var today string
	if err := conn.QueryRow(ctx, "SELECT idag()::text").Scan(&today); err != nil {
		t.Fatal(err)
	}
	w.settle(ctx, js)
	w.eventually(ctx, "wait for the day", func() error {
		state, err := streams.OwnersState(ctx, js)
		if n := len(state.Days); err == nil && (n == 0 || state.Days[n-1].Day.String() != today) {
			err = fmt.Errorf("the owners of %s are in force, today is %s", state.Days[max(0, n-1):], today)
		}
		return err
	})
	w.eventually(ctx, "wait for moves", func() error {
		if n := w.notes(ctx, t, js, streams.MovesStream); n > 0 {
			return fmt.Errorf("%d moves are pending", n)
		}
		return nil
	})
	w.settle(ctx, js)
}

// rowPerson is the person of an event's row.
func rowPerson(t *testing.T, e *streams.Event) string {
	t.Helper()
	var row struct{ CPR *string }
	if err := json.Unmarshal(e.Row, &row); err != nil {
		t.Fatal(err)
	}
	if row.CPR == nil {
		return ""
	}
	return *row.CPR
}

// viaOwner tells whether the owner of a table's rows on an axis is found via the person.
func viaOwner(t *catalog.Table, a catalog.Axis) bool {
	return slices.ContainsFunc(t.Owners, func(o catalog.Owner) bool { return o.Axis == a && o.Via != nil })
}
