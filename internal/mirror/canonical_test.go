package mirror_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/internal/pgtest"
)

// odd is a catalogue far from DFDG: quoted names, a composite key, and a column of every form.
func odd(t *testing.T) *catalog.Catalog {
	t.Helper()
	var columns strings.Builder
	for _, c := range []string{"i2 smallint", "i4 integer", "i8 bigint", "n numeric", "n5 numeric(5,2)", "f4 real", "f8 float8", "b boolean", "j json", "jb jsonb",
		"d date", "ts timestamp", "tz timestamptz", "iv interval", "u uuid", "by bytea", "ip inet", "t text", "c char(4)", "tid time", "l bigint[]"} {
		name, typ, _ := strings.Cut(c, " ")
		columns.WriteString("      - {name: " + name + ", type: \"" + typ + "\", nullable: true, description: En værdi.}\n")
	}
	fsys := fstest.MapFS{
		"brugere.yaml": {Data: []byte("kommune:\n  - {code: \"101\", name: København}\n  - {code: \"751\", name: Aarhus}\n")},
		"proeve.yaml": {Data: []byte(`slug: proeve
name: Prøve
description: Alle typer.
version: 1
state: production
audience: [kommune]
sensitivity: almindelig
frequency: daily
history: all
legal_basis: {none: syntetisk}
reported_by: [jobcenter]
link: https://eksempel.invalid/
tables:
  - name: Alt Muligt æøå
    schema: Prøve "1"
    slug: alt
    description: En tabel.
    key: [Løbe Nr, kommune]
    identity: full
    owners: {kommune: {column: kommune, missing: hold}}
    columns:
      - {name: Løbe Nr, type: bigint, role: pk, description: Nøgle.}
      - {name: kommune, type: integer, role: kommune_key, description: Nøgle.}
      - {name: person, type: bigint, role: person_key, description: Borger.}
` + columns.String())},
	}
	c, err := catalog.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnotherCatalogue(t *testing.T) {
	c := odd(t)
	m, err := mirror.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := pgtest.New(t)
	conn := filled(t, m, server, "mirror", mirror.FillOptions{Seed: 9, Citizens: 2000})
	table := tables(c)[0]
	for _, col := range table.Columns {
		name := catalog.QuoteIdentifier(col.Name)
		if n := texts(t, conn, "SELECT count("+name+")::text FROM "+table.SQL()); n[0] == "0" && col.Name != "l" {
			t.Errorf("column %s has no values", col.Name)
		}
	}
	counts := play(t, player(t, m, server, "mirror", mirror.PlayerOptions{Seed: 6, BatchSize: 100, Limit: 200}))
	for _, p := range m.Patterns() {
		if counts[p].Transactions == 0 && p != mirror.OwnerKnown && p != mirror.MoveKommune && p != mirror.MoveUnknown {
			t.Errorf("pattern %s was not played: %+v", p, counts[p])
		}
	}
}

func TestCanonical(t *testing.T) {
	c := odd(t)
	m, err := mirror.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := pgtest.New(t)
	conn := connect(t, server, "postgres")
	if err := m.Schema(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	table := tables(c)[0]
	for _, row := range []struct{ sql, file string }{
		{`1, 101, 2, -5, 70000, 9007199254740993, 1.50, 0.10, 1.5, 1e+20, true, '{"a": [1,
			2]}', '{"b": "x y"}', '2026-01-31', '2026-01-31 08:00:00.123456', '2026-01-31 08:00:00+01', '1 day', '00000000-0000-4000-8000-000000000001', '\x0a', '192.0.2.1', E'æ\n"<>', 'ab', '08:00', '{1,2}'`,
			`{"Løbe Nr":"1","kommune":101,"person":"2","i2":-5,"i4":70000,"i8":"9007199254740993","n":"1.50","n5":"0.10","f4":1.5,"f8":1e+20,"b":true,"j":{"a": [1,  			2]},"jb":{"b": "x y"},` +
				`"d":"2026-01-31","ts":"2026-01-31T08:00:00.123456","tz":"2026-01-31T07:00:00Z","iv":"1 day","u":"00000000-0000-4000-8000-000000000001","by":"\\x0a","ip":"192.0.2.1","t":"æ\n\"<>","c":"ab  ","tid":"08:00:00","l":"{1,2}"}`},
		{`2, 101, 2, null, null, null, 'NaN', null, '-Infinity', 'NaN', false, null, null, '0044-03-15 BC', '0001-12-31 23:00:00 BC', 'infinity', null, null, null, null, '', null, null, null`,
			`{"Løbe Nr":"2","kommune":101,"person":"2","i2":null,"i4":null,"i8":null,"n":"NaN","n5":null,"f4":"-Infinity","f8":"NaN","b":false,"j":null,"jb":null,` +
				`"d":"-0043-03-15","ts":"0000-12-31T23:00:00","tz":"infinity","iv":null,"u":null,"by":null,"ip":null,"t":"","c":null,"tid":null,"l":null}`},
		{`3, 101, 2, null, null, null, null, null, null, null, null, null, null, '12026-01-31', '12026-01-31 08:00:00', '-infinity', null, null, null, null, null, null, null, null`,
			`{"Løbe Nr":"3","kommune":101,"person":"2","i2":null,"i4":null,"i8":null,"n":null,"n5":null,"f4":null,"f8":null,"b":null,"j":null,"jb":null,` +
				`"d":"+12026-01-31","ts":"+12026-01-31T08:00:00","tz":"-infinity","iv":null,"u":null,"by":null,"ip":null,"t":null,"c":null,"tid":null,"l":null}`},
	} {
		if err := server.Exec(t.Context(), "postgres", "TRUNCATE "+table.SQL()+"; INSERT INTO "+table.SQL()+" VALUES ("+row.sql+")"); err != nil {
			t.Fatal(err)
		}
		if !json.Valid([]byte(row.file)) {
			t.Fatalf("not JSON: %s", row.file)
		}
		truth, err := m.Truth(t.Context(), conn, table, catalog.Bruger{Axis: catalog.Kommune, Kode: "101"})
		if err != nil {
			t.Fatal(err)
		}
		key, got, err := mirror.Canonical(table, []byte(row.file))
		if err != nil {
			t.Fatal(err)
		}
		if want, ok := truth[key]; !ok || want != got {
			t.Errorf("from the file %s\n%s\nfrom SQL\n%s", key, got, want)
		}
	}
	for file, want := range map[string]string{
		`[]`:              "is not a JSON object",
		`{"kommune":101}`: "does not have column Løbe Nr",
	} {
		if _, _, err := mirror.Canonical(table, []byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
}

func TestNoValuesForType(t *testing.T) {
	area := `slug: a
name: A
description: A.
version: 1
state: production
audience: [kommune]
sensitivity: almindelig
frequency: daily
history: all
legal_basis: {none: syntetisk}
reported_by: [jobcenter]
link: https://eksempel.invalid/
tables:
  - name: t
    description: T.
    key: [id]
    identity: full
    owners: {kommune: {column: k, missing: hold}}
    columns:
      - {name: id, type: bigint, description: Nøgle.}
      - {name: k, type: text, description: Kode.}
      - {name: p, type: point, description: Punkt.}
`
	c, err := catalog.Load(fstest.MapFS{"a.yaml": {Data: []byte(area)}, "brugere.yaml": {Data: []byte("kommune:\n  - {code: \"101\", name: København}\n")}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = mirror.New(c)
	if want := "prepare the mirror: table public.t, column p: no synthetic values for type point; make the column nullable"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
