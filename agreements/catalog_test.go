package agreements

import (
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"supstream/catalog"
)

// testCatalog has two kommuner, two a-kasser and one dataområde of each sort that matters to access.
func testCatalog(t testing.TB) *catalog.Catalog {
	t.Helper()
	fsys := fstest.MapFS{"brugere.yaml": {Data: []byte(`
kommune: [{code: "461", name: Odense}, {code: "751", name: Aarhus}]
akasse: [{code: "901", name: Første}, {code: "902", name: Anden}]
`)}}
	for _, a := range []struct{ slug, state, audience, sensitivity, more string }{
		{"samtale", "production", "[kommune, akasse]", "almindelig", ""},
		{"fravaer", "production", "[kommune]", "fortrolig", ""},
		{"helbred", "production", "[kommune]", "foelsom", ""},
		{"kodelister", "production", "[alle]", "ikke_person", ""},
		{"lukket", "closed", "[kommune]", "almindelig", ""},
		{"indkomst", "closed", "[kommune]", "fortrolig", "third_party: true\n"},
	} {
		owners := "owners: {kommune: {column: kommune_kode, missing: hold}}"
		switch a.audience {
		case "[alle]":
			owners = "everybody: true"
		case "[kommune, akasse]":
			owners = "owners: {kommune: {column: kommune_kode, missing: hold}, akasse: {column: akasse_kode, missing: none}}"
		}
		fsys[a.slug+".yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, `slug: %[1]s
package: "08"
name: %[1]s
description: Et område.
version: 1
state: %[2]s
audience: %[3]s
sensitivity: %[4]s
reported_by: [jobcenter]
frequency: daily
history: all
legal_basis: {chapters: ["6"]}
link: https://example.dk/%[1]s
%[5]stables:
  - name: %[1]s
    description: En tabel.
    key: [id]
    %[6]s
    columns:
      - {name: id, type: uuid, role: pk, description: Nøgle.}
      - {name: kommune_kode, type: varchar(3), nullable: true, role: kommune_key, description: Kommune.}
      - {name: akasse_kode, type: varchar(3), nullable: true, role: akasse_key, description: A-kasse.}
`, a.slug, a.state, a.audience, a.sensitivity, a.more, owners)}
	}
	c, err := catalog.Load(fsys)
	if err != nil {
		t.Fatalf("load the test catalogue: %v", err)
	}
	return c
}

func load1(t testing.TB, text string) (*Register, error) {
	t.Helper()
	return Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, testCatalog(t))
}

func mustLoad(t testing.TB, text string) *Register {
	t.Helper()
	r, err := load1(t, text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func day(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := ParseTime(text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

var (
	odense = catalog.Bruger{Axis: catalog.Kommune, Kode: "461"}
	aarhus = catalog.Bruger{Axis: catalog.Kommune, Kode: "751"}
	fund   = catalog.Bruger{Axis: catalog.Akasse, Kode: "901"}
)
