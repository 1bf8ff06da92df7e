package agreements

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"supstream/internal/yamlfile"
)

func TestRefusals(t *testing.T) {
	const o = `opgaveloesere:
  - {id: nordlys, name: Nordlys, kind: leverandoer, cvr: "12345678", contact: x@example}
  - {id: odense-bi, name: Odense, kind: myndighed, bruger: kommune.461, cvr: "12345678", contact: x@example}
`
	for _, tc := range []struct{ name, yaml, want string }{
		{"empty", "", "a.yaml: the file is empty"},
		{"unknown key", o + "aftaler: []\n",
			`a.yaml:4: unknown key "aftaler" in the file: want one of databehandleraftaler, opgaveloesere, samarbejdsaftaler, tilslutningsaftaler`},
		{"override", o + "tilslutningsaftaler:\n  - reference: T\n    override: true\n",
			`a.yaml:6: unknown key "override" in tilslutningsaftaler[0]: want one of bilag, bruger, from, reference, state, to`},
		{"opgaveloeser", `opgaveloesere:
  - id: Nordlys ApS
    kind: vendor
    cvr: "123"
    contact: " "
  - {id: a1, name: a, kind: myndighed, cvr: "12345678", contact: x}
  - {id: a2, name: a, kind: leverandoer, bruger: kommune.461, cvr: "12345678", contact: x}
  - {id: a2, name: a, kind: myndighed, bruger: kommune.999, cvr: "12345678", contact: x}
  - {id: a3, name: a, kind: myndighed, bruger: stil, cvr: "12345678", contact: x}
  - {id: a4, name: a, kind: myndighed, bruger: alle, cvr: "12345678", contact: x}
`, `a.yaml:2: name is missing
a.yaml:2: id names folders and accounts: want 2 to 40 lower-case letters, digits, - and _, beginning with a letter
a.yaml:3: kind: want leverandoer or myndighed
a.yaml:4: cvr: want eight digits
a.yaml:5: contact is missing
a.yaml:6: a myndighed needs bruger: the authority that it is
a.yaml:7: a leverandoer is no authority: remove bruger, or make it a myndighed
a.yaml:8: bruger kommune.999 is not in the catalogue: no rows are its own
a.yaml:8: opgaveloeser a2 is there twice: first in a.yaml:7
a.yaml:9: bruger "stil": want kommune.<kode>, akasse.<kode> or alle, where kode is digits or lower-case letters
a.yaml:10: bruger: alle is no authority and has no agreements`},
		{"tilslutningsaftale", o + `tilslutningsaftaler:
  - bruger: kommune.461
    state: signed
    from: 2026-13-01
    bilag:
      - nordlys
      - vestas
  - {reference: T-1, bruger: kommune.461, state: active, from: 2026-02-01, to: 2026-01-31}
  - {reference: T-1, bruger: kommune.461, state: active, from: 2026-02-01, to: 2026-02-01}
  - {reference: T-2, state: active, to: 2026-02-01 12:00}
`, `a.yaml:5: reference is missing
a.yaml:6: state: want draft, under_review, ready, active or ended
a.yaml:7: from: want a date (2026-01-31) or an instant with its zone (2026-01-31T12:00:00+01:00)
a.yaml:10: opgaveloeser "vestas" is not in the register
a.yaml:11: to lies before from
a.yaml:12: tilslutningsaftale T-1 of kommune.461 is there twice: first in a.yaml:11
a.yaml:13: from is missing
a.yaml:13: to: want a date (2026-01-31) or an instant with its zone (2026-01-31T12:00:00+01:00)
a.yaml:13: bruger is missing: want kommune.<kode> or akasse.<kode>`},
		{"databehandleraftale", o + `databehandleraftaler:
  - {opgaveloeser: nordlys, bruger: kommune.461, state: active, from: 2026-01-01, confirmed_by: x}
  - {reference: D-2, opgaveloeser: odense-bi, bruger: kommune.461, state: active, from: 2026-01-01, confirmed_by: x}
  - {reference: D-3, opgaveloeser: vestas, bruger: kommune.461, state: active, from: 2026-01-01, confirmed_by: x}
`, `a.yaml:5: reference is missing
a.yaml:6: odense-bi is kommune.461: an authority is not its own processor; remove this agreement
a.yaml:7: opgaveloeser "vestas" is not in the register`},
		{"samarbejdsaftale", o + `samarbejdsaftaler:
  - reference: S-1
    opgaveloeser: nordlys
    state: active
    from: 2026-01-01
    formaal: "  "
    approved_by: STAR
    dataomraader: []
  - reference: S-2
    opgaveloeser: nordlys
    state: active
    from: 2026-01-01
    formaal: Styring
    approved_by: STAR
    approved_on: i dag
    dataomraader:
      - dataomraade: samtaler
      - dataomraade: samtale
      - dataomraade: alle
        from: 2026-02-01
        to: 2026-01-01
      - dataomraade: samtale
`, `a.yaml:9: formaal is missing: a samarbejdsaftale needs its purpose
a.yaml:10: approved_by and approved_on belong together: give both, or none while it is not approved
a.yaml:11: dataomraader: list at least one
a.yaml:18: approved_on: want a date (2026-01-31) or an instant with its zone (2026-01-31T12:00:00+01:00)
a.yaml:20: dataomraade "samtaler" is not in the catalogue
a.yaml:24: to lies before from
a.yaml:25: dataomraade samtale is listed twice: first as number 2`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := load1(t, tc.yaml)
			if err == nil {
				t.Fatalf("accepted: %v", r)
			}
			if err.Error() != tc.want {
				t.Errorf("got\n%v\nwant\n%s", err, tc.want)
			}
			var at *yamlfile.Error
			if !errors.As(err, &at) || at.File != "a.yaml" {
				t.Errorf("no place in %v", err)
			}
		})
	}
}

// TestPurpose: an agreement without a purpose is a refusal that callers can tell from others.
func TestPurpose(t *testing.T) {
	agreement := parties1 + "samarbejdsaftaler:\n  - {reference: S, opgaveloeser: nordlys, state: draft, from: 2026-01-01, dataomraader: [{dataomraade: samtale}]"
	_, err := load1(t, agreement+"}\n")
	if !errors.Is(err, ErrNoPurpose) {
		t.Errorf("without: %v", err)
	}
	// A purpose nobody thought of is accepted: purposes are data.
	if _, err := load1(t, agreement+", formaal: Forskning i selvbooking}\n"); err != nil {
		t.Errorf("with: %v", err)
	}
}

func TestFolder(t *testing.T) {
	c := testCatalog(t)
	at := day(t, "2026-03-15")
	whole := show(mustLoad(t, both).Grants(at))
	parts := strings.Index(both, "tilslutningsaftaler:")
	files := map[string]string{
		"parties.yaml":      both[:parts],
		"2026/aftaler.yml":  both[parts:],
		"README.md":         "not YAML: [",
		".hidden.yaml":      "not read: [",
		".git/config.yaml":  "not read: [",
		"2026/.swp.yml":     "not read: [",
		"2026/udkast.yaml~": "not read: [",
	}
	fsys, dir := fstest.MapFS{}, t.TempDir()
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Load(fsys, c)
	if err != nil {
		t.Fatal(err)
	}
	if got := show(r.Grants(at)); got != whole || whole == "" {
		t.Errorf("files of a folder give\n%swant\n%s", got, whole)
	}
	if r, err = LoadPath(dir, c); err != nil || show(r.Grants(at)) != whole {
		t.Errorf("LoadPath of the folder: %v", err)
	}

	_, err = LoadPath(filepath.Join(dir, "2026", "aftaler.yml"), c)
	if want := filepath.Join(dir, "2026", "aftaler.yml") + `:2: opgaveloeser "nordlys" is not in the register`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("one file of two: got %v\nwant %s …", err, want)
	}
	_, err = LoadPath(filepath.Join(dir, "none.yaml"), c)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	_, err = Load(fstest.MapFS{"a.txt": {}}, c)
	if err == nil || err.Error() != "read agreements: no .yaml file in the folder" {
		t.Errorf("no YAML: %v", err)
	}
	// Errors of all files come together, each with its file.
	_, err = Load(fstest.MapFS{"b.yaml": {Data: []byte("x: 1\n")}, "a.yaml": {Data: []byte("\ny: 1\n")}}, c)
	want := `a.yaml:2: unknown key "y" in the file: want one of databehandleraftaler, opgaveloesere, samarbejdsaftaler, tilslutningsaftaler
b.yaml:1: unknown key "x" in the file: want one of databehandleraftaler, opgaveloesere, samarbejdsaftaler, tilslutningsaftaler`
	if err == nil || err.Error() != want {
		t.Errorf("two files: got\n%v\nwant\n%s", err, want)
	}
}
