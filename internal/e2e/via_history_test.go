package e2e

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/catalog"
	"supstream/streams"
)

// history tells whose every person was at every place of the log, from a slot of its own with test_decoding.
type history struct{ w *world }

// tenure is whose a person was from a place of the log on.
type tenure struct {
	lsn             uint64
	kommune, akasse string
}

func (w *world) newHistory(ctx context.Context, conn *pgx.Conn) *history {
	w.t.Helper()
	if _, err := conn.Exec(ctx, "SELECT pg_create_logical_replication_slot('history', 'test_decoding')"); err != nil {
		w.t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `CREATE TABLE public.first_tilhoer AS
		SELECT id, cpr, kommune_kode AS kommune, akasse_kode AS akasse, gyldig_fra::text AS fra FROM tilhoer`); err != nil {
		w.t.Fatal(err)
	}
	return &history{w}
}

type tilhoer struct{ cpr, kommune, akasse, from, to string }

// owner is whose a person is by its periods, on a day: by the one that began last, nobody's where two of them disagree.
func owner(rows map[string]tilhoer, day string) (kommune, akasse string) {
	latest := ""
	for _, r := range rows {
		if r.from > day || r.to != "" && r.to < day {
			continue
		}
		switch {
		case r.from > latest:
			latest, kommune, akasse = r.from, r.kommune, r.akasse
		case r.from == latest:
			if r.kommune != kommune {
				kommune = ""
			}
			if r.akasse != akasse {
				akasse = ""
			}
		}
	}
	return kommune, akasse
}

// check asks of every row that left whether its receiver was the owner of its person at that place: for a change, before, in or after
// its transaction; for what was read, at the place that it was published at.
// Before the persons were first read, as first says, rows go to whom they belonged to then.
func (h *history) check(ctx context.Context, t *testing.T, conn *pgx.Conn, js jetstream.JetStream, all []*streams.Event) {
	t.Helper()
	state, err := streams.OwnersState(ctx, js)
	if err != nil {
		t.Fatal(err)
	}
	first := state.Since
	states, during := h.replay(ctx, t, conn)
	wrong, seen := 0, 0
	for _, e := range all {
		area, _ := h.w.catalog.Dataomraade(e.Dataomraade)
		var table *catalog.Table
		for _, x := range area.Tables {
			if x.Slug == e.Table {
				table = x
			}
		}
		if e.Row == nil || !viaOwner(table, e.Bruger.Axis) {
			continue
		}
		seen++
		cpr := rowPerson(t, e)
		list := states[cpr]
		from := sort.Search(len(list), func(i int) bool { return list[i].lsn > e.Position.LSN })
		to := sort.Search(len(list), func(i int) bool { return list[i].lsn > max(e.Position.LSN, first) })
		allowed := slices.Clone(list[max(0, from-1):to])
		if e.XID != 0 {
			allowed = append(allowed, during[fmt.Sprintf("%d %s", e.XID, cpr)]...)
		}
		ok := false
		for _, a := range allowed {
			ok = ok || e.Bruger.Axis == catalog.Kommune && a.kommune == e.Bruger.Kode || e.Bruger.Axis == catalog.Akasse && a.akasse == e.Bruger.Kode
		}
		if !ok {
			if wrong++; wrong <= 10 {
				t.Errorf("%s %s of %s at %s went to %s, who did not own the person", e.ID, e.Op, e.Table, e.Position, e.Bruger)
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d rows were looked at", seen)
	}
	t.Logf("%d rows looked at, %d went to somebody else", seen, wrong)
}

// replay reads the log: whose each person was behind each commit, and within transactions.
func (h *history) replay(ctx context.Context, t *testing.T, conn *pgx.Conn) (states, during map[string][]tenure) {
	t.Helper()
	states, during = map[string][]tenure{}, map[string][]tenure{}
	day := time.Now().UTC().Format(time.DateOnly)
	periods := map[string]map[string]tilhoer{} // by person and id
	initial, err := conn.Query(ctx, "SELECT lsn::text, xid::text, data FROM pg_logical_slot_get_changes('history', NULL, NULL)")
	if err != nil {
		t.Fatal(err)
	}
	type line struct{ lsn, xid, data string }
	var lines []line
	var l line
	if _, err := pgx.ForEachRow(initial, []any{&l.lsn, &l.xid, &l.data}, func() error { lines = append(lines, l); return nil }); err != nil {
		t.Fatal(err)
	}
	h.beginning(ctx, t, conn, periods)
	for cpr := range periods {
		k, a := owner(periods[cpr], day)
		states[cpr] = []tenure{{0, k, a}}
	}
	touched := map[string]bool{}
	for _, l := range lines {
		m := testDecoding.FindStringSubmatch(l.data)
		if m == nil {
			if len(l.data) > 6 && l.data[:6] == "COMMIT" {
				for cpr := range touched {
					k, a := owner(periods[cpr], day)
					states[cpr] = append(states[cpr], tenure{lsn(t, l.lsn), k, a})
				}
				clear(touched)
			}
			continue
		}
		if m[1] != "public.tilhoer" {
			continue
		}
		old, new := m[3], m[4]
		if m[2] == "DELETE" {
			old, new = new, ""
		}
		if m[2] == "UPDATE" && old == "" {
			old = new
		}
		for i, text := range []string{old, new} {
			if text == "" {
				continue
			}
			r := period(text)
			id, _ := column(text, "id")
			if i == 0 {
				delete(periods[r.cpr], id)
			} else {
				remember(periods, id, r)
			}
			touched[r.cpr] = true
			k, a := owner(periods[r.cpr], day)
			during[l.xid+" "+r.cpr] = append(during[l.xid+" "+r.cpr], tenure{0, k, a})
		}
	}
	return states, during
}

// beginning are the periods that fillVia made.
func (h *history) beginning(ctx context.Context, t *testing.T, conn *pgx.Conn, periods map[string]map[string]tilhoer) {
	t.Helper()
	rows, err := conn.Query(ctx, "SELECT id::text, cpr::text, coalesce(kommune, ''), coalesce(akasse, ''), fra FROM first_tilhoer")
	if err != nil {
		t.Fatal(err)
	}
	var id string
	var r tilhoer
	if _, err := pgx.ForEachRow(rows, []any{&id, &r.cpr, &r.kommune, &r.akasse, &r.from}, func() error { remember(periods, id, r); return nil }); err != nil {
		t.Fatal(err)
	}
}

func remember(periods map[string]map[string]tilhoer, id string, r tilhoer) {
	if periods[r.cpr] == nil {
		periods[r.cpr] = map[string]tilhoer{}
	}
	periods[r.cpr][id] = r
}

func period(line string) tilhoer {
	get := func(name string) string {
		text, _ := column(line, name)
		return text
	}
	return tilhoer{get("cpr"), get("kommune_kode"), get("akasse_kode"), get("gyldig_fra"), get("gyldig_til")}
}

func lsn(t *testing.T, text string) uint64 {
	t.Helper()
	var hi, lo uint64
	if _, err := fmt.Sscanf(text, "%X/%X", &hi, &lo); err != nil {
		t.Fatal(strconv.Quote(text), err)
	}
	return hi<<32 | lo
}
