package agreements

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"supstream/catalog"
)

const both = parties1 + `  - {id: odense-bi, name: Odense Kommune BI, kind: myndighed, bruger: kommune.461, cvr: "35209115", contact: bi@odense.example}
tilslutningsaftaler:
  - {reference: T-461, bruger: kommune.461, state: active, from: 2026-01-01, to: 2027-12-31, bilag: [nordlys]}
  - {reference: T-751, bruger: kommune.751, state: active, from: 2026-01-01, bilag: [nordlys, odense-bi]}
  - {reference: T-901, bruger: akasse.901, state: active, from: 2026-01-01, bilag: [nordlys]}
databehandleraftaler:
  - {reference: D-1, opgaveloeser: nordlys, bruger: kommune.461, state: active, from: 2026-02-01, confirmed_by: Odense Kommune}
  - {reference: D-2, opgaveloeser: nordlys, bruger: akasse.901, state: active, from: 2026-01-01, to: 2026-03-29, confirmed_by: Første A-kasse}
samarbejdsaftaler:
  - reference: S-1
    opgaveloeser: nordlys
    state: active
    from: 2026-01-01
    to: 2026-12-31
    formaal: Ledelsesinformation om jobcentrenes indsats
    approved_by: STAR, kontoret for data
    approved_on: 2025-12-01
    dataomraader:
      - dataomraade: alle
      - {dataomraade: fravaer, from: 2026-03-01, to: 2026-03-31}
  - reference: S-2
    opgaveloeser: odense-bi
    state: active
    from: 2026-01-01
    formaal: Egen styring
    approved_by: STAR, kontoret for data
    approved_on: 2025-12-01
    dataomraader: [{dataomraade: helbred}, {dataomraade: kodelister}]
`

func TestGrants(t *testing.T) {
	r := mustLoad(t, both)
	for _, tc := range []struct{ at, want string }{
		{"2025-12-31T23:59:59+01:00", ""},
		// An authority's own unit needs no processor agreement and no bilag; nordlys has none with Odense before February.
		{"2026-01-01", `nordlys akasse.901 kodelister 2025-12-31T23:00:00Z 2026-03-29T22:00:00Z
nordlys akasse.901 samtale 2025-12-31T23:00:00Z 2026-03-29T22:00:00Z
odense-bi kommune.461 helbred 2025-12-31T23:00:00Z 2027-12-31T23:00:00Z
odense-bi kommune.461 kodelister 2025-12-31T23:00:00Z 2027-12-31T23:00:00Z
`},
		// The line for fravaer has a validity of its own; alle does not open the sensitive helbred; a-kasser have no fravaer.
		{"2026-03-15", `nordlys kommune.461 fravaer 2026-02-28T23:00:00Z 2026-03-31T22:00:00Z
nordlys kommune.461 kodelister 2026-01-31T23:00:00Z 2026-12-31T23:00:00Z
nordlys kommune.461 samtale 2026-01-31T23:00:00Z 2026-12-31T23:00:00Z
nordlys akasse.901 kodelister 2025-12-31T23:00:00Z 2026-03-29T22:00:00Z
nordlys akasse.901 samtale 2025-12-31T23:00:00Z 2026-03-29T22:00:00Z
odense-bi kommune.461 helbred 2025-12-31T23:00:00Z 2027-12-31T23:00:00Z
odense-bi kommune.461 kodelister 2025-12-31T23:00:00Z 2027-12-31T23:00:00Z
`},
		// The day on which the clocks change has 23 hours, and the agreement lasts all of them.
		{"2026-03-29T23:59:59+02:00", `nordlys kommune.461 fravaer 2026-02-28T23:00:00Z 2026-03-31T22:00:00Z
nordlys kommune.461 kodelister 2026-01-31T23:00:00Z 2026-12-31T23:00:00Z
nordlys kommune.461 samtale 2026-01-31T23:00:00Z 2026-12-31T23:00:00Z
nordlys akasse.901 kodelister 2025-12-31T23:00:00Z 2026-03-29T22:00:00Z
nordlys akasse.901 samtale 2025-12-31T23:00:00Z 2026-03-29T22:00:00Z
odense-bi kommune.461 helbred 2025-12-31T23:00:00Z 2027-12-31T23:00:00Z
odense-bi kommune.461 kodelister 2025-12-31T23:00:00Z 2027-12-31T23:00:00Z
`},
		{"2027-06-01", `odense-bi kommune.461 helbred 2025-12-31T23:00:00Z 2027-12-31T23:00:00Z
odense-bi kommune.461 kodelister 2025-12-31T23:00:00Z 2027-12-31T23:00:00Z
`},
		{"2028-01-01", ""},
	} {
		if got := show(r.Grants(day(t, tc.at))); got != tc.want {
			t.Errorf("at %s got\n%swant\n%s", tc.at, got, tc.want)
		}
	}
}

func TestNext(t *testing.T) {
	r := mustLoad(t, both)
	var got []string
	for at := day(t, "2025-01-01"); ; {
		if at = r.Next(at); at.IsZero() {
			break
		}
		got = append(got, at.UTC().Format(time.RFC3339))
	}
	want := []string{"2025-12-31T23:00:00Z", "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-31T22:00:00Z",
		"2026-12-31T23:00:00Z", "2027-12-31T23:00:00Z"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// TestRenewal: agreements that follow on each other without a gap are one grant, whichever of the three is renewed; a gap is a gap.
func TestRenewal(t *testing.T) {
	r := mustLoad(t, parties1+`tilslutningsaftaler:
  - {reference: T-1, bruger: kommune.461, state: active, from: 2026-01-01, to: 2026-06-30, bilag: [nordlys]}
  - {reference: T-2, bruger: kommune.461, state: active, from: 2026-07-01, bilag: [nordlys]}
databehandleraftaler:
  - {reference: D-1, opgaveloeser: nordlys, bruger: kommune.461, state: active, from: 2026-01-01, to: 2026-09-30, confirmed_by: Odense}
  - {reference: D-2, opgaveloeser: nordlys, bruger: kommune.461, state: active, from: 2026-09-01, to: 2027-03-31, confirmed_by: Odense}
samarbejdsaftaler:
  - {reference: S-1, opgaveloeser: nordlys, state: active, from: 2026-01-01, to: 2026-12-31, formaal: x, approved_by: y, approved_on: 2026-01-01, dataomraader: [{dataomraade: samtale}]}
  - {reference: S-2, opgaveloeser: nordlys, state: active, from: 2027-01-02, formaal: x, approved_by: y, approved_on: 2026-01-01, dataomraader: [{dataomraade: samtale}, {dataomraade: fravaer}]}
`)
	want := "nordlys kommune.461 samtale 2025-12-31T23:00:00Z 2026-12-31T23:00:00Z\n"
	if got := show(r.Grants(day(t, "2026-07-01"))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	want = "nordlys kommune.461 fravaer 2027-01-01T23:00:00Z 2027-03-31T22:00:00Z\n" +
		"nordlys kommune.461 samtale 2027-01-01T23:00:00Z 2027-03-31T22:00:00Z\n"
	if got := show(r.Grants(day(t, "2027-01-02"))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	// Of several agreements the refusal is about the one that came closest: here both are dated, and the first in the file speaks.
	err := r.Access(day(t, "2027-01-01"), "nordlys", odense, "samtale")
	if want := "no access for nordlys to samtale of kommune.461: samarbejdsaftale S-1 ended 2027-01-01T00:00:00+01:00"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	// fravaer stands only in the newer agreement, which came further than "does not list".
	err = r.Access(day(t, "2026-03-01"), "nordlys", odense, "fravaer")
	if want := "no access for nordlys to fravaer of kommune.461: samarbejdsaftale S-1 does not list fravaer"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestAccessRefusals(t *testing.T) {
	r := mustLoad(t, both)
	at := day(t, "2026-03-15")
	for _, tc := range []struct {
		opgaveloeser string
		bruger       catalog.Bruger
		area, want   string
	}{
		{"nordlys", odense, "samtale", ""},
		{"nordlys", odense, "kodelister", ""},
		{"nordlys", fund, "samtale", ""},
		{"odense-bi", odense, "helbred", ""},
		{"ukendt", odense, "samtale", "no access for ukendt to samtale of kommune.461: register has no opgaveloeser ukendt"},
		{"nordlys", odense, "ukendt", "no access for nordlys to ukendt of kommune.461: catalogue has no dataomraade ukendt"},
		{"nordlys", odense, "lukket", "no access for nordlys to lukket of kommune.461: catalogue keeps lukket closed"},
		{"nordlys", odense, "indkomst", "no access for nordlys to indkomst of kommune.461: catalogue keeps indkomst closed"},
		{"nordlys", fund, "fravaer", "no access for nordlys to fravaer of akasse.901: catalogue does not offer fravaer to any akasse"},
		{"nordlys", odense, "helbred", "no access for nordlys to helbred of kommune.461: " +
			"samarbejdsaftale S-1 does not name helbred, which is sensitive: alle does not open it"},
		{"nordlys", aarhus, "samtale", "no access for nordlys to samtale of kommune.751: databehandleraftale of nordlys with kommune.751 is absent"},
		// Its own unit for Odense is a processor like any other for Aarhus.
		{"odense-bi", aarhus, "helbred", "no access for odense-bi to helbred of kommune.751: databehandleraftale of odense-bi with kommune.751 is absent"},
		{"sydvest", odense, "samtale", "no access for sydvest to samtale of kommune.461: tilslutningsaftale T-461 does not list sydvest in its bilag; " +
			"databehandleraftale of sydvest with kommune.461 is absent; samarbejdsaftale of sydvest is absent"},
		{"nordlys", catalog.Bruger{Axis: catalog.Alle}, "kodelister", "no access for nordlys to kodelister of alle: " +
			"tilslutningsaftale of alle is absent; databehandleraftale of nordlys with alle is absent"},
	} {
		err := r.Access(at, tc.opgaveloeser, tc.bruger, tc.area)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
	var missing *MissingError
	if err := r.Access(at, "nordlys", aarhus, "samtale"); !errors.As(err, &missing) {
		t.Fatal(err)
	}
	want := MissingError{"nordlys", aarhus, "samtale", at, []Missing{{SourceDatabehandleraftale, Absent, "", "of nordlys with kommune.751 is absent"}}}
	if !reflect.DeepEqual(*missing, want) {
		t.Errorf("got %+v\nwant %+v", *missing, want)
	}
}

func TestOpgaveloesere(t *testing.T) {
	want := []Opgaveloeser{
		{"nordlys", "Nordlys BI ApS", Leverandoer, catalog.Bruger{}, "12345678", "drift@nordlys.example"},
		{"odense-bi", "Odense Kommune BI", Myndighed, odense, "35209115", "bi@odense.example"},
		{"sydvest", "Sydvest A/S", Leverandoer, catalog.Bruger{}, "87654321", "drift@sydvest.example"},
	}
	if got := mustLoad(t, both).Opgaveloesere(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestNone(t *testing.T) {
	r := None(testCatalog(t))
	at := day(t, "2026-01-01")
	err := r.Access(at, "nordlys", odense, "samtale")
	if len(r.Grants(at)) != 0 || len(r.Opgaveloesere()) != 0 || !r.Next(at).IsZero() || !errors.Is(err, ErrNoAccess) {
		t.Errorf("got %v, %v", r.Grants(at), err)
	}
}

// TestRandomRegisters: grants, refusals and the next change always say the same, and a grant's span is as long as it can be.
func TestRandomRegisters(t *testing.T) {
	c := testCatalog(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	states := []string{"active", "active", "active", "active", "draft", "ended"}
	vendors, brugere := []string{"nordlys", "sydvest", "odense-bi"}, []string{"kommune.461", "kommune.751", "akasse.901"}
	one := func(of []string) string { return of[rnd.IntN(len(of))] }
	validity := func() string {
		from := rnd.IntN(20)
		s := fmt.Sprintf("state: %s, from: 2026-03-%02d", one(states), 1+from)
		if rnd.IntN(3) > 0 {
			s += fmt.Sprintf(", to: 2026-03-%02d", 1+from+rnd.IntN(10))
		}
		return s
	}
	start := day(t, "2026-02-25")
	for round := range 40 {
		var b strings.Builder
		b.WriteString(both[:strings.Index(both, "tilslutningsaftaler:")] + "tilslutningsaftaler:\n")
		for i := range 6 {
			fmt.Fprintf(&b, "  - {reference: T%d, bruger: %s, bilag: [%s, %s], %s}\n", i, one(brugere), one(vendors), one(vendors), validity())
		}
		b.WriteString("databehandleraftaler:\n")
		for i := range 10 {
			vendor, bruger := one(vendors[:2]), one(brugere)
			fmt.Fprintf(&b, "  - {reference: D%d, opgaveloeser: %s, bruger: %s, confirmed_by: x, %s}\n", i, vendor, bruger, validity())
		}
		b.WriteString("samarbejdsaftaler:\n")
		for i := range 6 {
			fmt.Fprintf(&b, "  - {reference: S%d, opgaveloeser: %s, formaal: x, approved_by: y, approved_on: 2026-03-%02d, dataomraader: [{dataomraade: %s, from: 2026-03-%02d}, {dataomraade: helbred}], %s}\n",
				i, one(vendors), 1+rnd.IntN(8), one([]string{"alle", "samtale", "fravaer", "kodelister"}), 1+rnd.IntN(15), validity())
		}
		r, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(b.String())}}, c)
		if err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, b.String())
		}
		before, changed := "", start
		for hour := range 24 * 45 {
			at := start.Add(time.Duration(hour) * time.Hour)
			grants := r.Grants(at)
			if text := show(grants); text != before {
				if next := r.Next(changed); !next.Equal(at) {
					t.Fatalf("round %d: grants changed at %s, Next said %s\n%s", round, at, next, b.String())
				}
				before, changed = text, at
			}
			if hour%6 != 0 {
				continue
			}
			n := 0
			for _, o := range vendors {
				for _, a := range brugere {
					for _, area := range c.Dataomraader() {
						bruger, _ := catalog.ParseBruger(a)
						given := r.Access(at, o, bruger, area.Slug) == nil
						if given {
							n++
						}
						if given != has(grants, o, a, area.Slug) {
							t.Fatalf("round %d at %s: access to %s of %s for %s is %v, grants say\n%s\n%s", round, at, area.Slug, a, o, given, show(grants), b.String())
						}
					}
				}
			}
			if n != len(grants) {
				t.Fatalf("round %d at %s: %d grants, %d accesses", round, at, len(grants), n)
			}
		}
	}
}
