package catalog_test

import (
	"strings"
	"testing"

	"supstream/catalog"
)

func TestDDL(t *testing.T) {
	const area = `slug: moeder
name: Møder
description: Møder i sager.
version: 1
state: closed
audience: [kommune]
sensitivity: fortrolig
reported_by: [jobcenter]
frequency: daily
history: all
legal_basis: {chapters: [6]}
tables:
  - schema: Søgning
    name: Møde "referat"
    slug: moedereferat
    description: Et referat.
    key: [Nr, År]
    identity: "index:Møde rute"
    owners:
      kommune: {column: Kommune kode}
    columns:
      - {name: År, type: int2, description: Året.}
      - {name: Nr, type: int8, description: Nummeret.}
      - {name: Kommune kode, type: char(4), description: Kommunen.}
      - {name: Tekst, type: text, nullable: true, free_text: true, description: Teksten.}
`
	const want = `BEGIN;
CREATE SCHEMA IF NOT EXISTS "Søgning";

-- koder
CREATE TABLE "public"."kode" (
    "liste" text NOT NULL,
    "kode" text NOT NULL,
    PRIMARY KEY ("liste", "kode")
);
ALTER TABLE "public"."kode" REPLICA IDENTITY DEFAULT;

-- moeder
CREATE TABLE "Søgning"."Møde ""referat""" (
    "År" smallint NOT NULL,
    "Nr" bigint NOT NULL,
    "Kommune kode" character(4) NOT NULL,
    "Tekst" text,
    PRIMARY KEY ("Nr", "År")
);
CREATE UNIQUE INDEX "Møde rute" ON "Søgning"."Møde ""referat""" ("Nr", "År", "Kommune kode");
ALTER TABLE "Søgning"."Møde ""referat""" REPLICA IDENTITY USING INDEX "Møde rute";

COMMIT;
`
	c := load(t, map[string]string{"brugere.yaml": brugereYAML, "koder.yaml": alleYAML, "moeder.yaml": area})
	if got := catalog.DDL(c); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestDDLOfDefault(t *testing.T) {
	sql := catalog.DDL(dfdg(t))
	for part, want := range map[string]int{"CREATE TABLE ": 38, "CREATE SCHEMA ": 0, "PRIMARY KEY ": 38, " REPLICA IDENTITY FULL;": 35, " REPLICA IDENTITY DEFAULT;": 3} {
		if got := strings.Count(sql, part); got != want {
			t.Errorf("%q stands %d times, want %d", part, got, want)
		}
	}
}
