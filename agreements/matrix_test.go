package agreements

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

const parties1 = `opgaveloesere:
  - {id: nordlys, name: Nordlys BI ApS, kind: leverandoer, cvr: "12345678", contact: drift@nordlys.example}
  - {id: sydvest, name: Sydvest A/S, kind: leverandoer, cvr: "87654321", contact: drift@sydvest.example}
`

// variant is one way an agreement can stand on 2026-06-15, and what access then says of it; it gives access when it says nothing.
type variant struct{ yaml, says string }

func tilslutning(fields string) string {
	return "tilslutningsaftaler: [{reference: T-1, bruger: kommune.461, " + fields + "}]\n"
}

func databehandler(fields string) string {
	return "databehandleraftaler: [{reference: D-1, opgaveloeser: nordlys, bruger: kommune.461, " + fields + "}]\n"
}

func samarbejde(fields string) string {
	return "samarbejdsaftaler: [{reference: S-1, opgaveloeser: nordlys, formaal: Styring af indsatsen, " + fields + "}]\n"
}

// TestAccessMatrix tries every combination of the three agreements, each absent or standing in every way that it can: access is given by
// the complete combinations only, and a refusal names everything that is missing and nothing else.
func TestAccessMatrix(t *testing.T) {
	const (
		year     = "from: 2026-01-01, to: 2026-12-31"
		approved = "approved_by: STAR, approved_on: 2026-01-01"
		area     = "dataomraader: [{dataomraade: samtale}]"
	)
	first := []variant{
		{"", "tilslutningsaftale of kommune.461 is absent"},
		{tilslutning("state: active, bilag: [sydvest, nordlys], " + year), ""},
		{tilslutning("state: active, bilag: [nordlys], from: 2026-06-15, to: 2026-06-15"), ""},
		{tilslutning("state: active, bilag: [nordlys], from: 2026-06-15T12:00:00+02:00"), ""},
		{tilslutning("state: active, bilag: [sydvest], " + year), "tilslutningsaftale T-1 does not list nordlys in its bilag"},
		{tilslutning("state: active, " + year), "tilslutningsaftale T-1 does not list nordlys in its bilag"},
		{tilslutning("state: draft, bilag: [nordlys], " + year), "tilslutningsaftale T-1 is draft, not active"},
		{tilslutning("state: under_review, bilag: [nordlys], " + year), "tilslutningsaftale T-1 is under_review, not active"},
		{tilslutning("state: ready, bilag: [nordlys], " + year), "tilslutningsaftale T-1 is ready, not active"},
		{tilslutning("state: ended, bilag: [nordlys], " + year), "tilslutningsaftale T-1 is ended, not active"},
		{tilslutning("state: active, bilag: [nordlys], from: 2026-01-01, to: 2026-06-14"), "tilslutningsaftale T-1 ended 2026-06-15T00:00:00+02:00"},
		{tilslutning("state: active, bilag: [nordlys], from: 2026-06-16"), "tilslutningsaftale T-1 starts 2026-06-16T00:00:00+02:00"},
		{tilslutning("state: active, bilag: [nordlys], from: 2026-01-01, to: 2026-06-15T10:00:00Z"), "tilslutningsaftale T-1 ended 2026-06-15T12:00:00+02:00"},
	}
	second := []variant{
		{"", "databehandleraftale of nordlys with kommune.461 is absent"},
		{databehandler("state: active, confirmed_by: Odense Kommune, " + year), ""},
		{databehandler("state: active, " + year), "databehandleraftale D-1 is not confirmed by kommune.461 (confirmed_by)"},
		{databehandler("state: draft, confirmed_by: Odense Kommune, " + year), "databehandleraftale D-1 is draft, not active"},
		{databehandler("state: ended, confirmed_by: Odense Kommune, " + year), "databehandleraftale D-1 is ended, not active"},
		{databehandler("state: active, confirmed_by: Odense Kommune, from: 2026-01-01, to: 2026-06-14"), "databehandleraftale D-1 ended 2026-06-15T00:00:00+02:00"},
		{databehandler("state: active, confirmed_by: Odense Kommune, from: 2027-01-01"), "databehandleraftale D-1 starts 2027-01-01T00:00:00+01:00"},
	}
	third := []variant{
		{"", "samarbejdsaftale of nordlys is absent"},
		{samarbejde(strings.Join([]string{"state: active", year, approved, area}, ", ")), ""},
		{samarbejde(strings.Join([]string{"state: active", year, approved, "dataomraader: [{dataomraade: alle}]"}, ", ")), ""},
		{samarbejde(strings.Join([]string{"state: active", year, approved, "dataomraader: [{dataomraade: alle, to: 2026-06-14}, {dataomraade: samtale}]"}, ", ")), ""},
		{samarbejde(strings.Join([]string{"state: active", year, area}, ", ")), "samarbejdsaftale S-1 is not approved by STAR (approved_by, approved_on)"},
		{samarbejde(strings.Join([]string{"state: active", year, "approved_by: STAR, approved_on: 2026-07-01", area}, ", ")),
			"samarbejdsaftale S-1 is approved from 2026-07-01T00:00:00+02:00"},
		{samarbejde(strings.Join([]string{"state: ready", year, approved, area}, ", ")), "samarbejdsaftale S-1 is ready, not active"},
		{samarbejde(strings.Join([]string{"state: active", "from: 2026-01-01, to: 2026-06-14", approved, area}, ", ")),
			"samarbejdsaftale S-1 ended 2026-06-15T00:00:00+02:00"},
		{samarbejde(strings.Join([]string{"state: active", "from: 2026-07-01", approved, area}, ", ")), "samarbejdsaftale S-1 starts 2026-07-01T00:00:00+02:00"},
		{samarbejde(strings.Join([]string{"state: active", year, approved, "dataomraader: [{dataomraade: fravaer}]"}, ", ")),
			"samarbejdsaftale S-1 does not list samtale"},
		{samarbejde(strings.Join([]string{"state: active", year, approved, "dataomraader: [{dataomraade: samtale, from: 2026-07-01}]"}, ", ")),
			"samarbejdsaftale S-1 lists samtale from 2026-07-01T00:00:00+02:00"},
		{samarbejde(strings.Join([]string{"state: active", year, approved, "dataomraader: [{dataomraade: samtale, to: 2026-06-14}, {dataomraade: alle}]"}, ", ")),
			"samarbejdsaftale S-1 listed samtale until 2026-06-15T00:00:00+02:00"},
		{samarbejde(strings.Join([]string{"state: active", year, approved, "dataomraader: [{dataomraade: alle, to: 2026-06-14}]"}, ", ")),
			"samarbejdsaftale S-1 listed alle until 2026-06-15T00:00:00+02:00"},
	}
	c := testCatalog(t)
	at := time.Date(2026, 6, 15, 10, 0, 0, 0, time.UTC) // 12:00 in Denmark
	given, refused := 0, 0
	for _, a := range first {
		for _, b := range second {
			for _, s := range third {
				text := parties1 + a.yaml + b.yaml + s.yaml
				r, err := Load(fstest.MapFS{"a.yaml": {Data: []byte(text)}}, c)
				if err != nil {
					t.Fatalf("%s\n%v", text, err)
				}
				var says []string
				for _, v := range []variant{a, b, s} {
					if v.says != "" {
						says = append(says, v.says)
					}
				}
				err = r.Access(at, "nordlys", odense, "samtale")
				granted := has(r.Grants(at), "nordlys", odense.String(), "samtale")
				if len(says) == 0 {
					given++
					if err != nil || !granted {
						t.Errorf("%s\ncomplete, but access says %v and granted is %v", text, err, granted)
					}
				} else {
					refused++
					want := "no access for nordlys to samtale of kommune.461: " + strings.Join(says, "; ")
					if err == nil || err.Error() != want || !errors.Is(err, ErrNoAccess) || granted {
						t.Errorf("%s\ngot  %v, granted %v\nwant %s", text, err, granted, want)
					}
				}
				// Nobody else gains anything from these agreements.
				for _, g := range r.Grants(at) {
					if g.Opgaveloeser != "nordlys" || g.Bruger != odense {
						t.Errorf("%s\nunexpected grant %v", text, g)
					}
				}
			}
		}
	}
	if given != 3*1*3 || refused != len(first)*len(second)*len(third)-given {
		t.Errorf("%d combinations gave access and %d did not", given, refused)
	}
}

func has(grants []Grant, opgaveloeser, bruger, area string) bool {
	for _, g := range grants {
		if g.Opgaveloeser == opgaveloeser && g.Bruger.String() == bruger && g.Dataomraade == area {
			return true
		}
	}
	return false
}

// show lists grants one a line, as `nordlys kommune.461 samtale 2025-12-31T23:00:00Z 2026-12-31T23:00:00Z`.
func show(grants []Grant) string {
	var b strings.Builder
	for _, g := range grants {
		to := "-"
		if !g.To.IsZero() {
			to = g.To.Format(time.RFC3339)
		}
		fmt.Fprintln(&b, g.Opgaveloeser, g.Bruger, g.Dataomraade, g.From.Format(time.RFC3339), to)
	}
	return b.String()
}
