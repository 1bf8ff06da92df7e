package catalog_test

import (
	"strings"
	"testing"

	"supstream/catalog"
)

const personsYAML = `slug: personer
name: Personer
description: Hvem personer hører til.
version: 1
state: internal
sensitivity: fortrolig
reported_by: [dfdg]
history: all
legal_basis: {none: Bruges kun af platformen.}
tables:
  - name: tilhoer
    description: En periode.
    key: [id]
    identity: full
    persons: {person: cpr, kommune: kommune, akasse: akasse, from: fra, to: til}
    columns:
      - {name: id, type: integer, description: Nøgle.}
      - {name: cpr, type: char(10), description: Personen.}
      - {name: kommune, type: char(3), nullable: true, description: Kommunen.}
      - {name: akasse, type: char(3), nullable: true, description: A-kassen.}
      - {name: fra, type: date, nullable: true, description: Første dag.}
      - {name: til, type: date, nullable: true, description: Sidste dag.}
`

const viaYAML = `slug: breve
name: Breve
description: Breve til borgere.
version: 1
state: production
audience: [kommune, akasse]
sensitivity: fortrolig
reported_by: [jobcenter]
frequency: daily
history: all
legal_basis: {chapters: [6]}
link: https://example.org/
tables:
  - name: brev
    description: Et brev.
    key: [id]
    identity: full
    owners:
      kommune: {via: public.tilhoer, person: cpr}
      akasse: {via: tilhoer, person: cpr}
    columns:
      - {name: id, type: integer, description: Nøgle.}
      - {name: cpr, type: char(10), description: Personen.}
      - {name: tekst, type: text, description: Tekst.}
`

func TestViaErrors(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"no such table", "via: tilhoer", "via: tilhør", "b.yaml:20: via: there is no table tilhør: name a person table as schema.table"},
		{"not a person table", "via: tilhoer", "via: brev", "b.yaml:20: via: table public.brev does not say whose its persons are: give it persons"},
		{"axis not told", "akasse: akasse, ", "", "b.yaml:20: via: table public.tilhoer has no akasse of its persons: name the column in its persons"},
		{"no person", "akasse: {via: tilhoer, person: cpr}", "akasse: {via: tilhoer}", "b.yaml:20: owner: name a column"},
		{"person not listed", "akasse: {via: tilhoer, person: cpr}", "akasse: {via: tilhoer, person: borger}",
			"b.yaml:20: owner column borger is not among the columns of table public.brev: list it or correct the name"},
		{"column and via", "akasse: {via: tilhoer,", "akasse: {column: tekst, via: tilhoer,", "b.yaml:20: an owner has a column or a person table: remove column, or via and person"},
		{"person without via", "akasse: {via: tilhoer, person: cpr}", "akasse: {column: tekst, person: cpr}",
			"b.yaml:20: person: name the person table in via, or the column with the code in column"},
		{"other type", "{name: cpr, type: char(10), description: Personen.}\n      - {name: tekst", "{name: cpr, type: varchar(10), description: Personen.}\n      - {name: tekst",
			"b.yaml:19: person column cpr is of type character varying(10), in table public.tilhoer it is character(10): the types must be the same\n" +
				"b.yaml:20: person column cpr is of type character varying(10), in table public.tilhoer it is character(10): the types must be the same"},
		{"identity of the rows", "identity: full\n    owners", "identity: index:rute\n    owners",
			"b.yaml:19: table public.brev finds owners via a person table: it needs identity full, because large values that are read again could be newer than the person's move\n" +
				"b.yaml:20: table public.brev finds owners via a person table: it needs identity full, because large values that are read again could be newer than the person's move"},
		{"identity of the persons", "identity: full\n    persons", "identity: default\n    persons",
			"a.yaml:14: identity default leaves column cpr out of old rows, and it decides who owns them: use full or an index\n" +
				"a.yaml:14: identity default leaves column kommune out of old rows, and it decides who owns them: use full or an index\n" +
				"a.yaml:14: identity default leaves column akasse out of old rows, and it decides who owns them: use full or an index\n" +
				"a.yaml:14: identity default leaves column fra out of old rows, and it decides who owns them: use full or an index\n" +
				"a.yaml:14: identity default leaves column til out of old rows, and it decides who owns them: use full or an index"},
		{"person column", "{person: cpr,", "{person: nr,", "a.yaml:15: persons: person column nr is not among the columns of table public.tilhoer: list it or correct the name\n" +
			"b.yaml:19: via: table public.tilhoer does not say whose its persons are: give it persons\n" +
			"b.yaml:20: via: table public.tilhoer does not say whose its persons are: give it persons"},
		{"person type", "{person: cpr,", "{person: fra,", "a.yaml:15: persons: person column fra is of type date: want uuid, an integer, or char or varchar of at most 15 characters\n" +
			"b.yaml:19: person column cpr is of type character(10), in table public.tilhoer it is date: the types must be the same\n" +
			"b.yaml:20: person column cpr is of type character(10), in table public.tilhoer it is date: the types must be the same"},
		{"from is no date", "from: fra,", "from: id,", "a.yaml:15: persons: column id is of type integer: want date"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			changed := strings.Replace(personsYAML+"§"+viaYAML, tt.old, tt.new, 1)
			if !strings.Contains(personsYAML+viaYAML, tt.old) {
				t.Fatal("nothing to replace")
			}
			a, b, _ := strings.Cut(changed, "§")
			_, err := catalog.Load(folder(map[string]string{"brugere.yaml": brugereYAML, "a.yaml": a, "b.yaml": b}))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, tt.want)
			}
		})
	}
}

func TestViaIsCaptured(t *testing.T) {
	c := load(t, map[string]string{"brugere.yaml": brugereYAML, "a.yaml": personsYAML, "b.yaml": viaYAML})
	tilhoer, _ := c.Table("public", "tilhoer")
	brev, _ := c.Table("public", "brev")
	if tilhoer.Area.Open() || !tilhoer.Captured() || !brev.Captured() || !brev.Via() || tilhoer.Via() {
		t.Error("a person table of an internal area is captured, for others, and does not leave")
	}
	if got := c.PersonTables(); len(got) != 1 || got[0] != tilhoer {
		t.Errorf("person tables %v", got)
	}
	if got := c.ViaTables(tilhoer); len(got) != 1 || got[0] != brev {
		t.Errorf("tables %v", got)
	}
	// Nobody that leaves asks: then it is of no interest.
	c = load(t, map[string]string{"brugere.yaml": brugereYAML, "a.yaml": personsYAML, "b.yaml": strings.Replace(viaYAML, "production", "planned", 1)})
	if tilhoer, _ = c.Table("public", "tilhoer"); tilhoer.Captured() || len(c.PersonTables()) != 0 {
		t.Error("a person table that nobody uses is captured")
	}
}

// Rows that say themselves whose they are cost no memory, and those of a person table neither.
func TestOwnersViaDoesNotAllocate(t *testing.T) {
	c := load(t, map[string]string{"brugere.yaml": brugereYAML, "a.yaml": personsYAML, "b.yaml": viaYAML})
	brev, _ := c.Table("public", "brev")
	r := row("1", "4001900001", "x")
	var f catalog.Finder = nobody{}
	if n := testing.AllocsPerRun(100, func() { c.OwnersVia(brev, r, f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type nobody struct{}

func (nobody) Find(*catalog.Table, catalog.Axis, []byte) (catalog.Bruger, bool) {
	return catalog.Bruger{}, false
}
