package mirror_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/internal/pgtest"
)

func rows(t *testing.T, m *mirror.Mirror, conn *pgx.Conn, table *catalog.Table, sql string) map[string]string {
	t.Helper()
	got, err := m.Rows(t.Context(), conn, table, sql)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// union adds rows and reports keys that are there already.
func union(t *testing.T, into, more map[string]string, what string) {
	t.Helper()
	for key, row := range more {
		if _, twice := into[key]; twice {
			t.Errorf("%s: a row belongs to two", what)
			return
		}
		into[key] = row
	}
}

// TestTruthAddsUp: on each axis, what all Brugere must have, the drafts, and what nobody there may have, are together the table.
func TestTruthAddsUp(t *testing.T) {
	c, m := dfdg(t)
	server := pgtest.New(t)
	conn := filled(t, m, server, "mirror", mirror.FillOptions{Seed: 5, Citizens: 300})
	play(t, player(t, m, server, "mirror", mirror.PlayerOptions{Seed: 6, BatchSize: 200, Limit: 200}))
	kinds := map[string]int{}
	for _, table := range tables(c) {
		all := rows(t, m, conn, table, "SELECT * FROM "+table.SQL())
		drafts := rows(t, m, conn, table, m.DraftsSQL(table))
		held := rows(t, m, conn, table, m.HeldSQL(table))
		for _, axis := range []catalog.Axis{catalog.Kommune, catalog.Akasse, catalog.Alle} {
			owned := map[string]string{}
			for _, b := range c.Brugere(axis) {
				got, err := m.Truth(t.Context(), conn, table, b)
				if err != nil {
					t.Fatal(err)
				}
				union(t, owned, got, table.String()+" "+axis.String())
			}
			if want := rows(t, m, conn, table, m.OwnedSQL(table, axis)); !maps.Equal(owned, want) {
				t.Errorf("%s: the Brugere of axis %s have %d rows together, want %d", table, axis, len(owned), len(want))
			}
			owns := axis == catalog.Alle && table.Everybody
			for _, o := range table.Owners {
				owns = owns || o.Axis == axis
			}
			if (len(owned) > 0) != (owns && table.Area.Open()) {
				t.Errorf("%s: the Brugere of axis %s have %d rows", table, axis, len(owned))
			}
			if axis == catalog.Kommune && owns && table.Area.Open() {
				union(t, owned, drafts, table.String()+" drafts")
				union(t, owned, held, table.String()+" held")
				if !maps.Equal(owned, all) {
					t.Errorf("%s: kommuner, drafts and held rows are %d together, the table has %d", table, len(owned), len(all))
				}
				kinds["held"] += len(held)
				kinds["drafts"] += len(drafts)
			}
		}
	}
	if kinds["held"] == 0 || kinds["drafts"] == 0 {
		t.Errorf("nothing was held or no draft: %v", kinds)
	}
}

func TestTruthSQL(t *testing.T) {
	c, m := dfdg(t)
	for _, q := range []struct{ table, bruger, want string }{
		{"cv_status", "kommune.751", `true AND true AND rtrim(ltrim("kommune_kode"::text, ' 0'), ' ') = '751'`},
		{"visitation", "akasse.908", "false"},
		{"dagpengetaeller", "akasse.908", "false"},
		{"kodeliste_vaerdi", "alle", "true"},
		{"kodeliste_vaerdi", "kommune.751", "false"},
		{"planmaal", "kommune.751", `("publiceringsstatus" IS NOT NULL AND rtrim("publiceringsstatus"::text, ' ') NOT IN ('kladde')) AND true AND rtrim(ltrim("kommune_kode"::text, ' 0'), ' ') = '751'`},
	} {
		table, ok := c.Table("public", q.table)
		if !ok {
			t.Fatalf("no table %s", q.table)
		}
		b, err := catalog.ParseBruger(q.bruger)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.TruthWhere(table, b); got != q.want {
			t.Errorf("%s for %s:\ngot  %s\nwant %s", q.table, q.bruger, got, q.want)
		}
	}
	table, _ := c.Table("public", "samtale")
	if got := m.TruthWhere(table, catalog.Bruger{Axis: catalog.Akasse, Kode: "908"}); !strings.Contains(got, `"samtaletype"::text, ' ') IN ('7'`) {
		t.Errorf("the row filter of a-kasser is missing: %s", got)
	}
}

func TestMove(t *testing.T) {
	c, m := dfdg(t)
	server := pgtest.New(t)
	conn := filled(t, m, server, "mirror", mirror.FillOptions{Seed: 5, Citizens: 30})
	people, err := m.Citizens(t.Context(), conn)
	if err != nil || len(people) != 30 {
		t.Fatalf("%d citizens, %v; want 30", len(people), err)
	}
	where := "SELECT coalesce(kommune_kode, '-') || ' ' || coalesce(jobcenter_kode, '-') || ' ' || coalesce(akasse_kode, '-') FROM person_tilhoersforhold WHERE cpr = '" + people[0] + "'"
	for _, step := range []struct {
		move func() (int64, error)
		want string
	}{
		{func() (int64, error) { return m.Move(t.Context(), conn, people[0], "751") }, "751 75101 *"},
		{func() (int64, error) { return m.ChangeAkasse(t.Context(), conn, people[0], "908") }, "751 75101 908"},
		{func() (int64, error) { return m.Move(t.Context(), conn, people[0], "") }, "- - 908"},
		{func() (int64, error) { return m.ChangeAkasse(t.Context(), conn, people[0], "") }, "- - -"},
		{func() (int64, error) { return m.Move(t.Context(), conn, people[0], "101") }, "101 10101 -"},
	} {
		n, err := step.move()
		if err != nil {
			t.Fatal(err)
		}
		got := texts(t, conn, where)[0]
		if n < 1 || got != step.want && !strings.HasSuffix(step.want, "*") {
			t.Errorf("%d rows moved, citizen is at %s, want %s", n, got, step.want)
		}
		agreeOnOwners(t, c, conn)
	}
}
