package main

import (
	"strings"
	"testing"
)

// TestAftaleCommands covers what docs/AGREEMENTS.md does not show.
func TestAftaleCommands(t *testing.T) {
	const register = `opgaveloesere: [{id: odense-bi, name: Odense, kind: myndighed, bruger: kommune.461, cvr: "35209115", contact: x@example}]
tilslutningsaftaler: [{reference: T, bruger: kommune.461, state: active, from: 2026-01-01}]
samarbejdsaftaler: [{reference: S, opgaveloeser: odense-bi, state: active, from: 2026-02-01, formaal: f, approved_by: a, approved_on: 2026-01-01, dataomraader: [{dataomraade: samtaler}]}]
`
	dir := folder(t, map[string]string{"a/register.yaml": register, "supstream.yaml": "agreements: a\n", "none.yaml": "mirror: m\n", "bad.yaml": "agreements: b\n"})
	for _, tc := range []struct {
		args string
		want result
	}{
		{"aftale check --at 2026-01-01", result{exitOK, "agreements ok: 1 opgaveloesere, 0 grants in force, next change 2026-01-31T23:00:00Z\n", ""}},
		{"aftale check --at 2026-02-01", result{exitOK, "agreements ok: 1 opgaveloesere, 1 grants in force, no change is known\n", ""}},
		{"aftale show odense-bi --json --at 2026-02-01", result{exitOK, `[
  {
    "opgaveloeser": "odense-bi",
    "bruger": "kommune.461",
    "dataomraade": "samtaler",
    "from": "2026-01-31T23:00:00Z",
    "to": null
  }
]
`, ""}},
		{"aftale show odense-bi --json --at 2026-01-01T00:00:00Z", result{exitOK, "[]\n", ""}},
		{"aftale show odense-bi --at 2026-02-01", result{exitOK, "OPGAVELOESER  BRUGER       DATAOMRAADE  FROM                  TO\n" +
			"odense-bi     kommune.461  samtaler     2026-01-31T23:00:00Z  -\n", ""}},
		{"aftale show nordlys", result{exitInput, "", "supstream: no opgaveloeser \"nordlys\" in the agreements\n"}},
		{"aftale access odense-bi 461 samtaler", result{exitInput, "",
			"supstream: bruger \"461\": want kommune.<kode>, akasse.<kode> or alle, where kode is digits or lower-case letters\n"}},
		{"aftale check -c none.yaml", result{exitInput, "", "supstream: no agreements: give --agreements, or set agreements in the configuration\n"}},
		{"aftale check -c bad.yaml", result{exitInput, "", "supstream: read agreements: stat b: no such file or directory\n"}},
		{"config check -c bad.yaml", result{exitInput, "", "supstream: read agreements: stat b: no such file or directory\n"}},
	} {
		if got := runIn(t, dir, nil, strings.Fields(tc.args)...); got != tc.want {
			t.Errorf("supstream %s\ngot  %+v\nwant %+v", tc.args, got, tc.want)
		}
	}
}
