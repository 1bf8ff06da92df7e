package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const ownCatalog = `slug: vejr
name: Vejret
description: Hvordan vejret er.
version: 2
state: production
audience: [kommune]
sensitivity: ikke_person
reported_by: [dmi]
frequency: daily
history: current
legal_basis: {none: Ingen personer.}
link: https://example.dk/vejr
tables:
  - name: maaling
    description: En måling.
    key: [sted, tid]
    owners: {kommune: {column: kommune_kode, missing: hold}}
    columns:
      - {name: sted, type: text, description: Stedet.}
      - {name: tid, type: timestamptz, description: Tidspunktet.}
      - {name: kommune_kode, type: char(3), nullable: true, description: Kommunen.}
      - {name: note, type: text, nullable: true, free_text: true, description: Fritekst.}
`

func TestCatalogCommands(t *testing.T) {
	dir := folder(t, map[string]string{
		"own/vejr.yaml":    ownCatalog,
		"own/brugere.yaml": "kommune: [{code: \"461\", name: Odense}]\n",
		"bad/vejr.yaml":    strings.Replace(ownCatalog, "state:", "stat:", 1),
		"bad/brugere.yaml": "kommune: [{code: \"461\", name: Odense}]\n",
		"supstream.yaml":   "catalog: own\n",
	})
	for _, tc := range []struct {
		args string
		want result
	}{
		{"catalog show", result{exitOK, `DATAOMRAADE  STATE       AUDIENCE  SENSITIVITY  FREQUENCY  TABLES  NAME
vejr         production  kommune   ikke_person  daily      1       Vejret
`, ""}},
		{"catalog show vejr", result{exitOK, `vejr: Vejret
Hvordan vejret er.

state production, version 2, audience kommune, sensitivity ikke_person
frequency daily, events kept for 14d
legal basis: Ingen personer.

public.maaling: En måling.
  sted          text                      key              Stedet.
  tid           timestamp with time zone  key              Tidspunktet.
  kommune_kode  character(3)              null             Kommunen.
  note          text                      null, free text  Fritekst.
`, ""}},
		{"catalog show vind", result{exitInput, "", "supstream: no dataomraade \"vind\" in the catalogue; supstream catalog show lists them\n"}},
		{"catalog check --catalog none", result{exitInput, "", "supstream: read catalogue: stat none: no such file or directory\n"}},
		{"catalog check --catalog own/vejr.yaml", result{exitInput, "",
			"supstream: read catalogue: own/vejr.yaml is a file; a catalogue is a folder with one file per dataomraade\n"}},
	} {
		if got := runIn(t, dir, nil, strings.Fields(tc.args)...); got != tc.want {
			t.Errorf("supstream %s\ngot  %+v\nwant %+v", tc.args, got, tc.want)
		}
	}
	got := runIn(t, dir, nil, "catalog", "check", "--catalog", "bad")
	if got.code != exitInput || got.stdout != "" || !strings.HasPrefix(got.stderr, "supstream: bad/vejr.yaml:5: unknown key \"stat\"") {
		t.Errorf("a bad catalogue: %+v", got)
	}
	got = runIn(t, dir, nil, "catalog", "sql")
	if got.code != exitOK || !strings.Contains(got.stdout, "CREATE TABLE") || !strings.Contains(got.stdout, "maaling") {
		t.Errorf("catalog sql: %+v", got)
	}
	var area areaView
	got = runIn(t, dir, nil, "catalog", "show", "vejr", "--json")
	if err := json.Unmarshal([]byte(got.stdout), &area); err != nil || len(area.Tables) != 1 || !area.Tables[0].Columns[1].Key || !area.Open {
		t.Errorf("catalog show --json: %v, %+v", err, got)
	}
}

func TestShippedCatalog(t *testing.T) {
	got := runIn(t, folder(t, nil), nil, "catalog", "check")
	want := "catalogue ok: 33 dataomraader (30 open), 38 tables, 490 columns, 98 kommuner, 22 a-kasser, version "
	if got.code != exitOK || !strings.HasPrefix(got.stdout, want) {
		t.Errorf("got %+v\nwant %s…", got, want)
	}
}
