package mirror_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"supstream/internal/mirror"
	"supstream/testdata"
)

func TestCorrections(t *testing.T) {
	list, err := mirror.LoadCorrections(testdata.Files, "corrections.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, _ := dfdg(t)
	byTable := map[string]int{}
	for _, table := range tables(c) {
		byTable[table.Name]++
	}
	for _, correction := range list {
		if _, ok := c.Dataomraade(correction.Dataomraade); !ok && correction.Dataomraade != "alle" {
			t.Errorf("%s: there is no dataområde %s", correction.ID, correction.Dataomraade)
		}
		for _, step := range correction.Steps {
			table, ok := c.Table("public", step.Table)
			if !ok {
				t.Errorf("%s: there is no table %s", correction.ID, step.Table)
				continue
			}
			for column := range step.Set {
				if _, ok := table.Column(column); !ok {
					t.Errorf("%s: there is no column %s.%s", correction.ID, step.Table, column)
				}
			}
		}
	}
	if len(list) != 113 {
		t.Errorf("%d corrections, want 113", len(list))
	}
}

func TestCorrectionsAreReadStrictly(t *testing.T) {
	const good = `version: 1
corrections:
- id: C1
  source: {document: bilag_2a, section: "1"}
  dataomraade: alle
  situation: Something was wrong.
  patterns: [update]
  star_sf: {role: "no"}
  correction_comment: none
  erasure: {required: "no"}
  steps:
  - {target: same_citizen, table: samtale, action: update}
  expected: {stream: One event., delta_file: One row.}
`
	load := func(text string) error {
		_, err := mirror.LoadCorrections(fstest.MapFS{"c.yaml": {Data: []byte(text)}}, "c.yaml")
		return err
	}
	if err := load(good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{"version: 1", "version: 2", "c.yaml:1: version: want 1"},
		{"situation: S", "situatoin: S", `c.yaml:6: unknown key "situatoin"`},
		{"[update]", "[updat]", "c.yaml:7: patterns: want one of insert, update, "},
		{"same_citizen", "nobody", "c.yaml:12: target: want one of"},
		{"id: C1", `id: ""`, "c.yaml:3: id: missing or given twice"},
	} {
		if err := load(strings.Replace(good, c.old, c.new, 1)); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.new, err, c.want)
		}
	}
}
