package mirror_test

import (
	"io/fs"
	"slices"
	"testing"

	"supstream/catalog"
	"supstream/internal/pgtest"
	"supstream/testdata"
)

// TestBenchFiles: the schema of the bench loads, agrees with its catalogue, and every row belongs to a kommune of it.
func TestBenchFiles(t *testing.T) {
	sub, err := fs.Sub(testdata.Files, "bench/catalog")
	if err != nil {
		t.Fatal(err)
	}
	c, err := catalog.Load(sub)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := fs.ReadFile(testdata.Files, "bench/schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	server := pgtest.New(t)
	for _, sql := range []string{string(schema), "CALL indsaet(1, 2000, 100)", "CALL opdater(1, 500, 10)"} {
		if err := server.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	conn := connect(t, server, "postgres")
	table := tables(c)[0]
	for i, col := range texts(t, conn, "SELECT attname || ' ' || format_type(atttypid, atttypmod) || ' ' || NOT attnotnull FROM pg_attribute WHERE attrelid = 'aktivitet'::regclass AND attnum > 0 ORDER BY attnum") {
		have := table.Columns[i].Name + " " + table.Columns[i].Type + " " + map[bool]string{true: "true", false: "false"}[table.Columns[i].Nullable]
		if have != col {
			t.Errorf("the catalogue says %s, the schema %s", have, col)
		}
	}
	for sql, want := range map[string]string{
		"SELECT count(*)::text FROM aktivitet":                                           "2000",
		"SELECT count(*)::text FROM aktivitet WHERE opdateret > '2026-01-02'":            "500",
		"SELECT (avg(pg_column_size(a.*)) BETWEEN 270 AND 340)::text FROM aktivitet a":   "true",
		"SELECT count(DISTINCT kommune_kode)::text FROM aktivitet":                       "760",
		"SELECT min(kommune_kode)::text || max(kommune_kode)::text FROM aktivitet":       "101860",
		"SELECT relreplident::text FROM pg_class WHERE oid = 'aktivitet'::regclass":      "f",
		"SELECT (count(DISTINCT xmin::text) > 60)::text FROM aktivitet":                  "true",
		"SELECT count(*)::text FROM aktivitet WHERE timer < 1 OR timer > 38.25":          "0",
		"SELECT count(*)::text FROM aktivitet WHERE slutdato IS NULL OR akasse_kode < 1": "1000",
	} {
		if got := texts(t, conn, sql); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: got %v, want %s", sql, got, want)
		}
	}
	if n := len(c.Brugere(catalog.Kommune)); n != 760 {
		t.Errorf("%d kommuner, want 760", n)
	}
}
