package mirror_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/internal/pgtest"
)

// dfdg is the shipped catalogue and a mirror of it.
func dfdg(t *testing.T) (*catalog.Catalog, *mirror.Mirror) {
	t.Helper()
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	m, err := mirror.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return c, m
}

// filled makes a database of that name and fills it.
func filled(t *testing.T, m *mirror.Mirror, server *pgtest.Server, db string, opts mirror.FillOptions) *pgx.Conn {
	t.Helper()
	if err := server.CreateDatabase(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, server, db)
	if err := m.Schema(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Fill(t.Context(), conn, opts); err != nil {
		t.Fatal(err)
	}
	return conn
}

func connect(t *testing.T, server *pgtest.Server, db string) *pgx.Conn {
	t.Helper()
	conn, err := server.Connect(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func texts(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return list
}

func checksum(t *testing.T, m *mirror.Mirror, conn *pgx.Conn) map[string]mirror.Digest {
	t.Helper()
	sums, err := m.Checksum(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

func tables(c *catalog.Catalog) []*catalog.Table {
	var list []*catalog.Table
	for _, area := range c.Dataomraader() {
		list = append(list, area.Tables...)
	}
	return list
}

func TestFillIsDeterministic(t *testing.T) {
	_, m := dfdg(t)
	server := pgtest.New(t)
	a := checksum(t, m, filled(t, m, server, "a", mirror.FillOptions{Seed: 7, Citizens: 300}))
	b := checksum(t, m, filled(t, m, server, "b", mirror.FillOptions{Seed: 7, Citizens: 300}))
	c := checksum(t, m, filled(t, m, server, "c", mirror.FillOptions{Seed: 8, Citizens: 300}))
	if !maps.Equal(a, b) {
		t.Errorf("one seed, two contents:\n%v\n%v", a, b)
	}
	for table, d := range a {
		if d == c[table] && !strings.HasPrefix(table, "public.kodeliste") {
			t.Errorf("%s: two seeds, one content", table)
		}
	}
}

func TestFill(t *testing.T) {
	c, m := dfdg(t)
	server := pgtest.New(t)
	conn := filled(t, m, server, "mirror", mirror.FillOptions{Seed: 1, Citizens: 5000})

	for _, table := range tables(c) {
		if n := texts(t, conn, "SELECT count(*)::text FROM "+table.SQL()); n[0] == "0" {
			t.Errorf("%s is empty", table)
		}
		for _, col := range table.Columns {
			if col.Role != "person_key" {
				continue
			}
			if bad := texts(t, conn, fmt.Sprintf("SELECT DISTINCT %s FROM %s WHERE %[1]s !~ '^(3[2-9]|[45][0-9]|60)(0[1-9]|1[0-2])[0-9]{6}$'", catalog.QuoteIdentifier(col.Name), table.SQL())); len(bad) > 0 {
				t.Errorf("%s: %d CPR numbers could belong to somebody", table, len(bad))
			}
		}
	}
	if n := texts(t, conn, "SELECT count(DISTINCT cpr)::text FROM person_tilhoersforhold"); n[0] != "5000" {
		t.Errorf("%s citizens, want 5000", n[0])
	}
	for what, q := range map[string]struct {
		sql    string
		lo, hi int
	}{
		"kommuner with citizens":           {"SELECT count(DISTINCT kommune_kode) FROM person_tilhoersforhold WHERE kommune_kode NOT IN ('997','998')", 90, 98},
		"citizens of København":            {"SELECT count(*) FROM person_tilhoersforhold WHERE kommune_kode = '101'", 400, 700},
		"citizens without a kommune":       {"SELECT count(*) FROM person_tilhoersforhold WHERE kommune_kode IS NULL", 20, 90},
		"citizens with an odd kommune":     {"SELECT count(*) FROM person_tilhoersforhold WHERE kommune_kode IN ('997','998')", 5, 60},
		"insured citizens":                 {"SELECT count(*) FROM person_tilhoersforhold WHERE akasse_kode IS NOT NULL", 2850, 3150},
		"citizens in an unknown fund":      {"SELECT count(*) FROM person_tilhoersforhold WHERE akasse_kode = '099'", 1, 40},
		"drafts":                           {"SELECT count(*) FROM plan_version WHERE publiceringsstatus = 'kladde'", 500, 5000},
		"drafts that a search would find":  {"SELECT count(*) FROM plan_version WHERE publiceringsstatus = 'kladde' AND planbeskrivelse NOT LIKE '%" + mirror.NeverLeaves + "%'", 0, 0},
		"published texts that it finds":    {"SELECT count(*) FROM plan_version WHERE publiceringsstatus <> 'kladde' AND planbeskrivelse LIKE '%" + mirror.NeverLeaves + "%'", 0, 0},
		"closed texts it would not find":   {"SELECT count(*) FROM planudkast WHERE udkasttekst NOT LIKE '%" + mirror.NeverLeaves + "%'", 0, 0},
		"texts out of line":                {"SELECT count(*) FROM samtale WHERE length(aftaletekst) > 8192 AND pg_column_size(aftaletekst) > 6000", 20, 2000},
		"texts with line breaks and tabs":  {`SELECT count(*) FROM samtale WHERE aftaletekst ~ '[\n\t]'`, 10, 5000},
		"texts with backslash N":           {`SELECT count(*) FROM samtale WHERE aftaletekst LIKE '%\\N%'`, 5, 5000},
		"texts with emoji":                 {"SELECT count(*) FROM samtale WHERE aftaletekst LIKE '%🚲%'", 5, 5000},
		"empty texts":                      {"SELECT count(*) FROM samtale WHERE aftaletekst = ''", 5, 5000},
		"null texts":                       {"SELECT count(*) FROM samtale WHERE aftaletekst IS NULL", 500, 5000},
		"texts that name somebody else":    {"SELECT count(*) FROM samtale WHERE aftaletekst ~ 'vedrører .*, [3-6][0-9]{9}'", 20, 2000},
		"job centres of a kommune":         {"SELECT count(*) FROM jobcenter WHERE kommune_kode = '751' AND jobcenter_kode LIKE '751%'", 3, 3},
		"bookings that an interview names": {"SELECT count(*) FROM samtale JOIN booking USING (booking_id, cpr)", 1000, 20000},
		"candidates of no job order":       {"SELECT count(*) FROM jobordre_kandidat LEFT JOIN jobordre USING (jobordre_id) WHERE jobordre.jobordre_id IS NULL", 0, 0},
		"ends before the beginning":        {"SELECT count(*) FROM aktivitet WHERE slutdato < startdato", 0, 0},
	} {
		var n int
		if err := conn.QueryRow(t.Context(), q.sql).Scan(&n); err != nil {
			t.Errorf("%s: %v", what, err)
		} else if n < q.lo || n > q.hi {
			t.Errorf("%s: %d, want %d to %d", what, n, q.lo, q.hi)
		}
	}
	// Rows of one citizen agree on who answers for the citizen.
	for _, table := range tables(c) {
		if _, ok := table.Column("cpr"); !ok || table.Name == "person_identitet" {
			continue
		}
		sql := "SELECT count(*)::text FROM " + table.SQL() + " t JOIN person_tilhoersforhold p USING (cpr) WHERE t.kommune_kode IS DISTINCT FROM p.kommune_kode OR t.akasse_kode IS DISTINCT FROM p.akasse_kode"
		if n := texts(t, conn, sql); n[0] != "0" {
			t.Errorf("%s: %s rows disagree with person_tilhoersforhold", table, n[0])
		}
	}
}

func TestExclude(t *testing.T) {
	_, m := dfdg(t)
	server := pgtest.New(t)
	if err := server.CreateDatabase(t.Context(), "mirror"); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, server, "mirror")
	for _, step := range []func(context.Context, *pgx.Conn) error{m.Schema, m.Exclude} {
		if err := step(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Fill(t.Context(), conn, mirror.FillOptions{Seed: 1, Citizens: 10}); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"SELECT DISTINCT intern_note FROM samtale", "SELECT DISTINCT tekst FROM eindkomst_raa"} {
		if got := texts(t, conn, sql); !slices.Equal(got, []string{mirror.NeverLeaves}) {
			t.Errorf("%s: got %q", sql, got)
		}
	}
}
