package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/capture"
	"supstream/catalog"
	"supstream/streams"
)

func pgxConfig(url string) (*pgx.ConnConfig, error) { return pgx.ParseConfig(url) }

const marker = "HEMMELIG-KOLONNE"

// driftCase is something that happens to the table sag while there is traffic.
type driftCase struct {
	name string
	ddl  string
	kind catalog.Drift     // holds the area; 0: nothing is held
	next map[string]string // tables of the next catalogue; nil: it stays
	mend string            // SQL instead

	reads   bool // the table is read again
	resets  bool // its rows are taken away first: what was told of it is not every change
	renamed bool // the oracle knows the table by another name
}

func driftCases() []driftCase {
	sag := func(columns string) map[string]string { return map[string]string{"sag": columns, "bilag": txtColumns} }
	return []driftCase{
		{name: "drop column", ddl: "ALTER TABLE sag DROP COLUMN note", kind: catalog.ColumnMissing, reads: true,
			next: sag("id bigint; kommune text; tal integer?; farve farve?; art integer")},
		{name: "rename column", ddl: "ALTER TABLE sag RENAME note TO notat", kind: catalog.ColumnMissing, reads: true,
			next: sag("id bigint; kommune text; notat text?; tal integer?; farve farve?; art integer")},
		{name: "retype column", ddl: "ALTER TABLE sag ALTER tal TYPE bigint", kind: catalog.TypeChanged, reads: true,
			next: sag("id bigint; kommune text; note text?; tal bigint?; farve farve?; art integer")},
		{name: "add column", ddl: "ALTER TABLE sag ADD skjult text DEFAULT '" + marker + "'"},
		{name: "add column and list it", ddl: "ALTER TABLE sag ADD ny text DEFAULT 'ny'", reads: true,
			next: sag(sagColumns + "; ny text?")},
		{name: "add value to enum", ddl: "ALTER TYPE farve ADD VALUE 'groen'"},
		{name: "rename enum", ddl: "ALTER TYPE farve RENAME TO kuloer", kind: catalog.TypeChanged, reads: true,
			next: sag("id bigint; kommune text; note text?; tal integer?; farve kuloer?; art integer")},
		{name: "allow null", ddl: "ALTER TABLE sag ALTER art DROP NOT NULL", kind: catalog.NullAllowed,
			next: sag("id bigint; kommune text; note text?; tal integer?; farve farve?; art integer?")},
		{name: "identity", ddl: "ALTER TABLE sag REPLICA IDENTITY DEFAULT", kind: catalog.IdentityChanged, resets: true,
			mend: "ALTER TABLE sag REPLICA IDENTITY FULL"},
		{name: "rename table", ddl: "ALTER TABLE sag RENAME TO sag_ny; INSERT INTO sag_ny (id, kommune) VALUES (901, '751')", kind: catalog.TableMissing,
			next: map[string]string{"sag_ny/sag": sagColumns, "bilag": txtColumns}, renamed: true},
		{name: "drop table", ddl: "DROP TABLE sag", kind: catalog.TableMissing,
			next: map[string]string{"bilag": txtColumns}, renamed: true},
		{name: "drop table and make it again", ddl: `DROP TABLE sag; CREATE TABLE sag (id bigint PRIMARY KEY, kommune text NOT NULL, note text, tal integer, farve farve DEFAULT 'blaa', art integer NOT NULL DEFAULT 1);
			ALTER TABLE sag REPLICA IDENTITY FULL; INSERT INTO sag SELECT g, '751' FROM generate_series(1, 50) g`, resets: true},
		{name: "drop table and make it later", ddl: "DROP TABLE sag", kind: catalog.TableMissing, resets: true,
			mend: `CREATE TABLE sag (id bigint PRIMARY KEY, kommune text NOT NULL, note text, tal integer, farve farve DEFAULT 'blaa', art integer NOT NULL DEFAULT 1);
			ALTER TABLE sag REPLICA IDENTITY FULL; INSERT INTO sag SELECT g, '751' FROM generate_series(1, 50) g`},
		{name: "out of the publication", ddl: "ALTER PUBLICATION supstream DROP TABLE sag", resets: true},
		{name: "within a transaction", kind: catalog.ColumnMissing, reads: true,
			ddl: `BEGIN; INSERT INTO sag (id, kommune, note) VALUES (910, '101', 'before'); INSERT INTO anden VALUES (910, '101', 'before');
				ALTER TABLE sag DROP COLUMN note; INSERT INTO sag (id, kommune) VALUES (911, '751'); INSERT INTO anden VALUES (911, '101', 'after');
				UPDATE bilag SET tekst = 'x' WHERE id < 5; COMMIT`,
			next: sag("id bigint; kommune text; tal integer?; farve farve?; art integer")},
		{name: "two shapes while held", kind: catalog.ColumnMissing, resets: true,
			ddl:  "ALTER TABLE sag DROP COLUMN note; INSERT INTO sag (id, kommune, tal) VALUES (920, '101', 1); ALTER TABLE sag ALTER tal TYPE bigint; INSERT INTO sag (id, kommune, tal) VALUES (921, '101', 1)",
			next: sag("id bigint; kommune text; tal bigint?; farve farve?; art integer")},
		{name: "a column goes and comes back", kind: catalog.ColumnMissing, resets: true,
			ddl: "ALTER TABLE sag DROP COLUMN note", mend: "ALTER TABLE sag ADD note text DEFAULT 'back'"},
	}
}

// TestDrift changes a table while two areas have traffic: the other area and the slot go on, nothing wrong is told, and once the
// catalogue fits again what subscribers have is what the mirror has, every change told once.
func TestDrift(t *testing.T) {
	for _, c := range driftCases() {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) { c.run(t) })
	}
}

func (c driftCase) run(t *testing.T) {
	r := newDriftRig(t)
	conn := r.connect(r.ctx)
	defer conn.Close(r.ctx)
	first := firstCatalog(t)
	r.run(first)
	r.eventually(r.ctx, "wait for the slot", func() error { return r.slotExists(r.ctx, conn) })
	oracle := r.newOracle(r.ctx, conn)
	oracle.count(r.ctx, conn)
	stop := r.traffic()
	defer stop()
	r.settle(r.ctx, r.js)

	before := r.now()
	r.exec(c.ddl)
	if c.kind == 0 {
		r.flows(10 * time.Second)
		if strings.Contains(c.ddl, "groen") {
			r.exec("INSERT INTO sag (id, kommune, farve) VALUES (900, '101', 'groen')")
		}
		r.settle(r.ctx, r.js)
	} else {
		r.until("supstream_drift_held", "sager", c.kind.String(), positive)
		r.until("supstream_drift_kept_changes", "sager", "", positive)
		r.flows(10 * time.Second)
		if r.metric("supstream_drift_held", "andre", "") != 0 {
			t.Error("the other area is held too")
		}
		held := r.position("sager")
		if at := r.now(); held.Compare(at) >= 0 {
			t.Errorf("the area's stream says it is at %s; the mirror differs since %s", held, before)
		}
		r.flows(10 * time.Second)
		if now := r.position("sager"); now != held {
			t.Errorf("the area's stream went from %s to %s while it was held", held, now)
		}
	}
	if c.mend != "" {
		r.exec(c.mend)
	}
	if c.next != nil {
		r.end()
		r.run(driftCatalog(t, 2, c.next))
	}
	r.until("supstream_drift_held", "sager", "", zero)
	r.until("supstream_drift_kept_changes", "sager", "", zero)
	r.flows(10 * time.Second)
	stop()
	if c.resets { // it may be found out a moment after everything has settled
		r.eventually(r.ctx, "wait until the table is read again", func() error {
			if r.log.count("the table is read again") == 0 {
				return fmt.Errorf("not yet")
			}
			return nil
		})
	}
	all := r.same()
	c.check(t, r, all, before)
	want := oracle.count(r.ctx, conn)
	if c.resets || c.renamed { // only the other tables are told change by change
		without(want, "public.sag", "public.sag_ny")
		all = only(all, "bilag", "anden")
	}
	everyChangeOnce(t, want, all)
}

func without(want changeCount, tables ...string) {
	for at := range want {
		for _, table := range tables {
			if strings.HasSuffix(at, " "+table) {
				delete(want, at)
			}
		}
	}
}

func only(all []*streams.Event, tables ...string) (list []*streams.Event) {
	for _, e := range all {
		if strings.Contains(strings.Join(tables, " "), e.Table) {
			list = append(list, e)
		}
	}
	return list
}

// check looks at what was told of the table that changed.
func (c driftCase) check(t *testing.T, r *driftRig, all []*streams.Event, ddl capture.Position) {
	t.Helper()
	truncates, reads := 0, 0
	for _, e := range all {
		if bytes.Contains(e.Row, []byte(marker)) {
			t.Errorf("event %s has the column that nobody listed", e.ID)
		}
		switch {
		case e.Table != "sag":
		case e.Op == streams.OpTruncate:
			truncates++
		case e.Op == streams.OpRead && e.Position.Compare(ddl) > 0:
			reads++
		}
	}
	if (truncates > 0) != c.resets {
		t.Errorf("the rows of the table were taken away %d times", truncates)
	}
	if (reads > 0) != (c.reads || c.resets) {
		t.Errorf("%d rows were read again", reads)
	}
	conn := r.connect(r.ctx)
	defer conn.Close(r.ctx)
	if s, err := capture.ReadSlot(r.ctx, conn, "supstream"); err != nil || !s.Active {
		t.Errorf("the slot: %+v, %v", s, err)
	}
}
