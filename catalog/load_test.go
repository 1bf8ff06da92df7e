package catalog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"supstream/catalog"
)

// brugereYAML and areaYAML are a small catalogue without errors. The tests of
// errors change a text in them and expect exactly one message.
const brugereYAML = `kommune:
  - {code: "101", name: København}
  - {code: "751", name: Aarhus}
akasse:
  - {code: "908", name: Faglig Fælles A-kasse}
`

const areaYAML = `slug: samtaler
name: Samtaler
description: Samtaler med borgeren.
version: 1
state: production
audience: [kommune, akasse]
sensitivity: fortrolig
reported_by: [jobcenter, akasse]
for_sharing: true
frequency: daily
retention: 14d
history: 5y
legal_basis: {chapters: [6]}
link: https://example.org/
tables:
  - name: samtale
    slug: samtale
    description: En samtale.
    key: [id]
    identity: full
    owners:
      kommune: {column: kommune_kode}
      akasse: {column: akasse_kode, only: {column: type, in: [7, 8]}}
    draft: {column: status, in: [kladde]}
    columns:
      - {name: id, type: uuid, description: Nøgle.}
      - {name: kommune_kode, type: char(3), nullable: true, description: Kommune.}
      - {name: akasse_kode, type: char(3), nullable: true, description: A-kasse.}
      - {name: type, type: smallint, description: Type.}
      - {name: status, type: varchar(12), description: Status.}
      - {name: tekst, type: text, role: free_text, free_text: true, description: Tekst.}
`

// alleYAML is an area that is the same for everybody.
const alleYAML = `slug: koder
name: Koder
description: Kodelister.
version: 1
state: production
audience: [alle]
sensitivity: ikke_person
reported_by: [star]
frequency: weekly
history: all
legal_basis: {none: Ingen personoplysninger.}
link: https://example.org/
tables:
  - name: kode
    description: En kode.
    key: [liste, kode]
    identity: default
    everybody: true
    columns:
      - {name: liste, type: text, description: Liste.}
      - {name: kode, type: text, description: Kode.}
`

func folder(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func load(t testing.TB, files map[string]string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load(folder(files))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func small(t testing.TB) *catalog.Catalog {
	return load(t, map[string]string{"brugere.yaml": brugereYAML, "samtaler.yaml": areaYAML, "koder.yaml": alleYAML})
}

func TestLoadErrors(t *testing.T) {
	const slugRule = "want 1 to 40 of a-z, 0-9 and _, a letter first (write ae, oe, aa for æ, ø, å)"
	const states = "planned, test, production, closing, closed, internal"
	tests := []struct{ name, old, new, want string }{
		{"unknown key", "version: 1", "vresion: 1", `a.yaml:4: unknown key "vresion" in the file: want one of audience, decision, description, for_sharing, frequency, frequency_decision, history, legal_basis, link, name, notes, package, reported_by, retention, sensitivity, slug, state, tables, third_party, version`},
		{"slug missing", "slug: samtaler\n", "", "a.yaml:1: slug: " + slugRule},
		{"slug not ASCII", "slug: samtaler", "slug: aktør", "a.yaml:1: slug: " + slugRule},
		{"slug not lower case", "slug: samtaler", "slug: Samtaler", "a.yaml:1: slug: " + slugRule},
		{"package", "name: Samtaler", "name: Samtaler\npackage: 8", `a.yaml:3: package: want two to four digits such as "08"`},
		{"name missing", "name: Samtaler\n", "", "a.yaml:1: name is missing"},
		{"name blank", "name: Samtaler", "name: ' '", "a.yaml:2: name is missing"},
		{"description missing", "description: Samtaler med borgeren.\n", "", "a.yaml:1: description is missing"},
		{"version", "version: 1", "version: 0", "a.yaml:4: version: want a whole number from 1; raise it when tables or columns change"},
		{"state missing", "state: production\n", "", "a.yaml:1: state is missing: want one of " + states},
		{"state unknown", "state: production", "state: open", `a.yaml:5: state: unknown state "open": want one of ` + states},
		{"sensitivity missing", "sensitivity: fortrolig\n", "", "a.yaml:1: sensitivity is missing: want one of ikke_person, almindelig, fortrolig, foelsom"},
		{"sensitivity unknown", "sensitivity: fortrolig", "sensitivity: secret", `a.yaml:7: sensitivity: unknown sensitivity "secret": want one of ikke_person, almindelig, fortrolig, foelsom`},
		{"audience missing", "audience: [kommune, akasse]\n", "", "a.yaml:1: audience is missing: want [alle], or kommune, akasse or both"},
		{"audience unknown", "[kommune, akasse]\n", "[kommune, region]\n", `a.yaml:6: audience[1]: unknown axis "region": want kommune, akasse or alle`},
		{"audience twice", "[kommune, akasse]\n", "[kommune, akasse, kommune]\n", "a.yaml:6: audience names kommune twice"},
		{"audience alle and another", "[kommune, akasse]\n", "[kommune, akasse, alle]\n", "a.yaml:6: audience alle stands alone: want [alle], or kommune, akasse or both\n" +
			"a.yaml:16: audience alle, but table public.samtale is not for everybody: say everybody: true or change the audience"},
		{"reported_by missing", "reported_by: [jobcenter, akasse]\n", "", "a.yaml:1: reported_by is missing: say who reports the data, such as [jobcenter, akasse]"},
		{"reported_by", "[jobcenter, akasse]", "[jobcenter, A-kasse]", "a.yaml:8: reported_by: want words of a-z and _"},
		{"history", "history: 5y", "history: five years", "a.yaml:12: history: want all, current, or the years that ended rows are kept, such as 5y"},
		{"legal basis missing", "legal_basis: {chapters: [6]}\n", "", "a.yaml:1: legal_basis: give either chapters of databekendtgørelsen, or none: why there is none"},
		{"legal basis both", "{chapters: [6]}", "{chapters: [6], none: Findes ikke.}", "a.yaml:13: legal_basis: give either chapters of databekendtgørelsen, or none: why there is none"},
		{"chapter", "{chapters: [6]}", "{chapters: [kap. 6]}", "a.yaml:13: chapters: want numbers such as 6 or 6a"},
		{"link missing", "link: https://example.org/\n", "", "a.yaml:1: link is missing: an area that is delivered links to the description of its data"},
		{"tables missing", "tables:", "tables: []\nnotes: |", "a.yaml:15: tables: an area needs at least one table"},

		{"third party open", "state: production", "state: production\nthird_party: true", "a.yaml:5: a third party's data may not be in state production without a decision: give its reference in decision, or use state closed"},
		{"third party closed but decided", "state: production", "state: closed\nthird_party: true\ndecision: forum 2025-03", "a.yaml:7: decision says that the area is open, state says closed: remove the decision or change the state"},
		{"decision without third party", "state: production", "state: production\ndecision: forum 2025-03", "a.yaml:6: decision opens a third party's data: remove it or say third_party: true"},
		{"a-kasse data not for sharing", "for_sharing: true\n", "", "a.yaml:5: data reported by a-kasser may not be in state production unless reported for sharing with kommuner: say for_sharing: true, or use state closed"},
		{"internal with audience", "state: production", "state: internal", "a.yaml:5: an internal area is never delivered: remove frequency, frequency_decision and retention, or change the state\n" +
			"a.yaml:6: an internal area is never delivered: remove audience or change the state"},

		{"frequency missing", "frequency: daily\n", "", "a.yaml:1: frequency is missing: want four_times_daily, daily, weekly, monthly, or a duration such as 90m"},
		{"frequency unknown", "frequency: daily", "frequency: hourly", `a.yaml:10: frequency: unknown frequency "hourly": want four_times_daily, daily, weekly, monthly, or a duration of at least 1s such as 90m`},
		{"frequency too short", "frequency: daily", "frequency: 5ms", `a.yaml:10: frequency: unknown frequency "5ms": want four_times_daily, daily, weekly, monthly, or a duration of at least 1s such as 90m`},
		{"frequency without decision", "frequency: daily", "frequency: 90m", "a.yaml:10: frequency 1h30m0s is not one of the four usual ones: give the reference of its decision in frequency_decision"},
		{"retention", "retention: 14d", "retention: 60h", "a.yaml:11: retention is shorter than 3 deltas (daily): want at least 3d"},
		{"retention, monthly", "frequency: daily", "frequency: monthly", "a.yaml:11: retention is shorter than 3 deltas (monthly): want at least 93d"},
		{"retention not a duration", "retention: 14d", "retention: 2 weeks", "a.yaml:11: retention: want a duration such as 90s, 1h30m or 14d"},

		{"table name missing", "- name: samtale\n    slug: samtale\n", "- slug: samtale\n", "a.yaml:16: name is missing"},
		{"table name too long", "- name: samtale\n", "- name: " + strings.Repeat("ø", 32) + "\n", "a.yaml:16: name: Postgres names have at most 63 bytes"},
		{"table slug missing", "- name: samtale\n    slug: samtale\n", "- name: Møde referat\n", "a.yaml:16: table public.Møde referat needs a slug of its own: " + slugRule},
		{"table slug", "    slug: samtale\n", "    slug: møde\n", "a.yaml:17: table public.samtale needs a slug of its own: " + slugRule},
		{"table description missing", "    description: En samtale.\n", "", "a.yaml:16: description is missing"},
		{"columns missing", "    columns:", "    columns: []\nnotes: |", "" +
			"a.yaml:19: key column id is not among the columns of table public.samtale: list it or correct the name\n" +
			"a.yaml:22: owner column kommune_kode is not among the columns of table public.samtale: list it or correct the name\n" +
			"a.yaml:23: owner column akasse_kode is not among the columns of table public.samtale: list it or correct the name\n" +
			"a.yaml:23: only column type is not among the columns of table public.samtale: list it or correct the name\n" +
			"a.yaml:24: draft column status is not among the columns of table public.samtale: list it or correct the name\n" +
			"a.yaml:25: columns: a table needs at least one column"},
		{"column twice", "{name: tekst,", "{name: type,", "a.yaml:31: column type is listed twice in table public.samtale (first in a.yaml:29)"},
		{"column name missing", "{name: tekst, type", "{type", "a.yaml:31: name is missing"},
		{"column description missing", ", description: Tekst.", "", "a.yaml:31: column tekst has no description: say in a sentence what it means"},
		{"column type missing", "type: text, ", "", "a.yaml:31: type of column tekst: want a Postgres type such as text, uuid or numeric(7,2)"},
		{"column type", "type: text", "type: text; DROP TABLE x", "a.yaml:31: type of column tekst: want a Postgres type such as text, uuid or numeric(7,2)"},
		{"role", "role: free_text", "role: text", `a.yaml:31: unknown role "text": want one of pk, person_key, kommune_key, akasse_key, jobcenter_key, valid_from, valid_to, event_time, date, status, reason, type_code, value, flag, version, ref, cvr, contact, origin, free_text, correction_comment, draft_marker, registered_by, created_at, updated_at`},
		{"free text flag", "free_text: true, ", "", "a.yaml:31: column tekst has role free_text: say free_text: true, so that erasure finds it"},

		{"key missing", "    key: [id]\n", "", "a.yaml:16: key is missing: name the columns of the primary key"},
		{"key not listed", "key: [id]", "key: [id, nr]", "a.yaml:19: key column nr is not among the columns of table public.samtale: list it or correct the name"},
		{"key twice", "key: [id]", "key: [id, type, id]", "a.yaml:19: key names column id twice"},
		{"key nullable", "type: uuid,", "type: uuid, nullable: true,", "a.yaml:19: key column id is nullable: a primary key is not"},
		{"role pk outside key", "type: smallint,", "type: smallint, role: pk,", "a.yaml:29: column type has role pk but is not in key"},

		{"owner not listed", "{column: kommune_kode}", "{column: kommune}", "a.yaml:22: owner column kommune is not among the columns of table public.samtale: list it or correct the name"},
		{"owner without column", "{column: kommune_kode}", "{missing: hold}", "a.yaml:22: owner: name a column"},
		{"owner missing", "{column: kommune_kode}", "{column: kommune_kode, missing: drop}", `a.yaml:22: missing: unknown value "drop": want one of hold, none`},
		{"audience without owner", "      kommune: {column: kommune_kode}\n", "", "a.yaml:16: audience kommune, but table public.samtale has no kommune owner: name its column in owners, or change the audience"},
		{"no owners", "    owners:\n      kommune: {column: kommune_kode}\n      akasse: {column: akasse_kode, only: {column: type, in: [7, 8]}}\n", "", "" +
			"a.yaml:16: audience kommune, but table public.samtale has no kommune owner: name its column in owners, or change the audience\n" +
			"a.yaml:16: audience akasse, but table public.samtale has no akasse owner: name its column in owners, or change the audience"},
		{"owner without audience", "audience: [kommune, akasse]", "audience: [kommune]", "a.yaml:23: table public.samtale names the owner akasse, but the area's audience has no akasse: remove the owner or widen the audience"},
		{"owners and everybody", "    owners:", "    everybody: true\n    owners:", "a.yaml:22: table public.samtale has owners and everybody: true: remove one of them"},
		{"filter not listed", "only: {column: type,", "only: {column: art,", "a.yaml:23: only column art is not among the columns of table public.samtale: list it or correct the name"},
		{"filter without values", "in: [7, 8]", "in: []", "a.yaml:23: only: give the values in a list: in: [...]"},
		{"filter value", "in: [7, 8]", "in: [7, otte]", "a.yaml:23: only: column type holds whole numbers"},
		{"filter boolean", "type: smallint", "type: boolean", "a.yaml:23: only: column type is true or false"},
		{"filter type", "type: smallint", "type: date", "a.yaml:23: only: column type is of type date: want a column of text, whole numbers or booleans"},
		{"draft not listed", "draft: {column: status,", "draft: {column: kladde,", "a.yaml:24: draft column kladde is not among the columns of table public.samtale: list it or correct the name"},

		{"identity", "identity: full", "identity: nothing", `a.yaml:20: unknown identity "nothing": want full, default or index:<name>`},
		{"identity index without name", "identity: full", "identity: 'index:'", "a.yaml:20: identity: name the index, such as index:samtale_rute"},
		{"identity index on nullable", "identity: full", "identity: index:rute", "" +
			"a.yaml:20: column kommune_kode is nullable and cannot be in a replica identity index: use identity full\n" +
			"a.yaml:20: column akasse_kode is nullable and cannot be in a replica identity index: use identity full"},
		{"identity default", "identity: full", "identity: default", "" +
			"a.yaml:20: identity default leaves column kommune_kode out of old rows, and it decides who owns them: use full or an index\n" +
			"a.yaml:20: identity default leaves column akasse_kode out of old rows, and it decides who owns them: use full or an index\n" +
			"a.yaml:20: identity default leaves column type out of old rows, and it decides who owns them: use full or an index\n" +
			"a.yaml:20: identity default leaves column status out of old rows, and it decides who owns them: use full or an index"},

		{"not YAML", "key: [id]", "key: [id", "a.yaml:19: not valid YAML: did not find expected ',' or ']'"},
		{"several errors", "version: 1\nstate: production", "version: one\nstate: open", "a.yaml:4: version: want a whole number\n" +
			`a.yaml:5: state: unknown state "open": want one of ` + states},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(areaYAML, tt.old, tt.new, 1)
			if text == areaYAML {
				t.Fatalf("the catalogue has no %q", tt.old)
			}
			wantError(t, map[string]string{"brugere.yaml": brugereYAML, "a.yaml": text}, tt.want)
		})
	}
}

func TestLoadErrorsOfFolders(t *testing.T) {
	other := strings.Replace(areaYAML, "slug: samtaler", "slug: moeder", 1)
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"nothing", nil, "the catalogue folder has no dataområde: give a folder with one .yaml file per dataområde\n" +
			"brugere.yaml: the file is missing: list the kommuner and a-kasser that may receive rows"},
		{"only brugere", map[string]string{"brugere.yaml": brugereYAML}, "the catalogue folder has no dataområde: give a folder with one .yaml file per dataområde"},
		{"no brugere", map[string]string{"a.yaml": areaYAML}, "brugere.yaml: the file is missing: list the kommuner and a-kasser that may receive rows"},
		{"empty file", map[string]string{"a.yaml": "", "b.yaml": areaYAML, "brugere.yaml": brugereYAML}, "a.yaml: the file is empty"},
		{"wrong ending", map[string]string{"a.yml": areaYAML, "b.yaml": alleYAML, "brugere.yaml": brugereYAML}, "a.yml: catalogue files end in .yaml: rename the file"},
		{"table in two areas", map[string]string{"a.yaml": areaYAML, "b.yaml": other, "brugere.yaml": brugereYAML},
			"b.yaml:16: table public.samtale is listed twice: a table belongs to exactly one area (first in a.yaml:16)"},
		{"slug of two areas", map[string]string{"a.yaml": areaYAML, "b.yaml": strings.Replace(alleYAML, "slug: koder", "slug: samtaler", 1), "brugere.yaml": brugereYAML},
			"b.yaml:1: the slug samtaler is used by two areas: slugs are unique (first in a.yaml:1)"},
		{"slug of two tables", map[string]string{"a.yaml": alleYAML + strings.Replace(alleYAML[strings.Index(alleYAML, "  - name: kode"):], "name: kode", "name: Kode\n    slug: kode", 1), "brugere.yaml": brugereYAML},
			"a.yaml:22: the table slug kode is used twice in the area: give one of them another slug (first in a.yaml:14)"},
		{"no a-kasse known", map[string]string{"a.yaml": areaYAML, "brugere.yaml": "kommune: [{code: '751', name: Aarhus}]\n"},
			"a.yaml:6: audience akasse, but brugere.yaml knows no akasse: add them or close the area"},
		{"code", map[string]string{"a.yaml": areaYAML, "brugere.yaml": brugereYAML + "  - {code: A-1, name: A}\n  - {code: '00', name: B}\n  - {name: C}\n"}, "" +
			"brugere.yaml:6: code: want 1 to 16 digits or lower-case letters a-z, not only zeros\n" +
			"brugere.yaml:7: code: want 1 to 16 digits or lower-case letters a-z, not only zeros\n" +
			"brugere.yaml:8: code: want 1 to 16 digits or lower-case letters a-z, not only zeros"},
		{"code twice", map[string]string{"a.yaml": areaYAML, "brugere.yaml": brugereYAML + "  - {code: '0908', name: 3F}\n"},
			"brugere.yaml:6: the akasse 0908 is listed twice: leading zeros do not count (first in brugere.yaml:5)"},
		{"brugere not readable", map[string]string{"a.yaml": areaYAML, "brugere.yaml": "kommune: [{code: [1], name: A}]\n"}, "brugere.yaml:1: code: want a text"},
		{"no name", map[string]string{"a.yaml": areaYAML, "brugere.yaml": brugereYAML + "  - {code: '909'}\n"}, "brugere.yaml:6: akasse 909 has no name"},
		{"errors of several files", map[string]string{"b.yaml": "slog: b\n", "a.yaml": "slug: [a]\n", "brugere.yaml": "kommuner: []\n"}, "" +
			"a.yaml:1: slug: want a text\n" +
			`b.yaml:1: unknown key "slog" in the file: want one of audience, decision, description, for_sharing, frequency, frequency_decision, history, legal_basis, link, name, notes, package, reported_by, retention, sensitivity, slug, state, tables, third_party, version` + "\n" +
			`brugere.yaml:1: unknown key "kommuner" in the file: want one of akasse, kommune`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantError(t, tt.files, tt.want) })
	}
}

func wantError(t *testing.T, files map[string]string, want string) {
	t.Helper()
	c, err := catalog.Load(folder(files))
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if c != nil {
		t.Error("a catalogue was returned with the error")
	}
}

func TestLoadDefaults(t *testing.T) {
	c := small(t)
	d, ok := c.Dataomraade("koder")
	if !ok {
		t.Fatal("area koder is not there")
	}
	if want := 28 * 24 * time.Hour; d.Retention != want {
		t.Errorf("retention of a weekly area is %v, want %v", d.Retention, want)
	}
	if got, want := d.LegalBasis, "Ingen personoplysninger."; got != want {
		t.Errorf("legal basis %q, want %q", got, want)
	}
	d, _ = c.Dataomraade("samtaler")
	if got, want := d.LegalBasis, "databekendtgørelsen kap. 6"; got != want {
		t.Errorf("legal basis %q, want %q", got, want)
	}
	table := d.Tables[0]
	if table.Schema != "public" || table.Identity != "full" || !table.Owners[0].Hold || table.Owners[1].Hold {
		t.Errorf("defaults of %s: schema %s, identity %s, owners %+v", table, table.Schema, table.Identity, table.Owners)
	}
	if table.Columns[1].Type != "character(3)" || table.Columns[4].Type != "character varying(12)" {
		t.Errorf("types are not those of Postgres: %+v", table.Columns)
	}
}

func TestLoadIgnoresOtherFiles(t *testing.T) {
	load(t, map[string]string{
		"brugere.yaml": brugereYAML, "samtaler.yaml": areaYAML,
		"README.md": "# Catalogue", "old/koder.yaml": "not: [valid",
	})
}

func TestLoadDirNamesFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte("slug: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := catalog.LoadDir(dir)
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "a.yaml")+":1: slug:") {
		t.Errorf("the error does not name the file: %v", err)
	}
	if _, err := catalog.LoadDir(filepath.Join(dir, "missing")); err == nil {
		t.Error("a folder that does not exist was read")
	}
}

func TestVersion(t *testing.T) {
	files := map[string]string{"brugere.yaml": brugereYAML, "a.yaml": areaYAML, "b.yaml": alleYAML}
	version := load(t, files).Version()
	if len(version) != 16 {
		t.Errorf("version %q, want 16 digits", version)
	}
	same := map[string]map[string]string{
		"names of files": {"brugere.yaml": brugereYAML, "z.yaml": areaYAML, "c.yaml": alleYAML},
		"comments":       {"brugere.yaml": "# codes\n" + brugereYAML, "a.yaml": areaYAML, "b.yaml": alleYAML},
		"order of keys":  {"brugere.yaml": brugereYAML, "a.yaml": strings.Replace(areaYAML, "slug: samtaler\nname: Samtaler\n", "name: 'Samtaler'\nslug: samtaler\n", 1), "b.yaml": alleYAML},
		"other words":    {"brugere.yaml": brugereYAML, "a.yaml": strings.Replace(areaYAML, "varchar(12)", "character varying(12)", 1), "b.yaml": alleYAML},
		"defaults given": {"brugere.yaml": brugereYAML, "a.yaml": areaYAML, "b.yaml": strings.Replace(alleYAML, "- name: kode", "- schema: public\n    name: kode", 1)},
		"audience order": {"brugere.yaml": brugereYAML, "a.yaml": strings.Replace(areaYAML, "[kommune, akasse]", "[akasse, kommune]", 1), "b.yaml": alleYAML},
	}
	for name, files := range same {
		if got := load(t, files).Version(); got != version {
			t.Errorf("%s: version changed", name)
		}
	}
	other := map[string]map[string]string{
		"a name":         {"brugere.yaml": strings.Replace(brugereYAML, "Aarhus", "Århus", 1), "a.yaml": areaYAML, "b.yaml": alleYAML},
		"a description":  {"brugere.yaml": brugereYAML, "a.yaml": strings.Replace(areaYAML, "Nøgle.", "Nøglen.", 1), "b.yaml": alleYAML},
		"a filter":       {"brugere.yaml": brugereYAML, "a.yaml": strings.Replace(areaYAML, "[7, 8]", "[7, 9]", 1), "b.yaml": alleYAML},
		"a state":        {"brugere.yaml": brugereYAML, "a.yaml": strings.Replace(areaYAML, "production", "closing", 1), "b.yaml": alleYAML},
		"a missing area": {"brugere.yaml": brugereYAML, "a.yaml": areaYAML},
	}
	for name, files := range other {
		if got := load(t, files).Version(); got == version {
			t.Errorf("%s: version did not change", name)
		}
	}
}
