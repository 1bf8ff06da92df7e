package mirror

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"supstream/internal/yamlfile"
)

// Correction is one situation in which registered data are put right. testdata/corrections.yaml holds them all.
type Correction struct {
	ID                string      `yaml:"id"`
	Source            Source      `yaml:"source"`
	Dataomraade       string      `yaml:"dataomraade"` // a slug, or "alle"
	Service           string      `yaml:"service"`
	Methods           []string    `yaml:"methods"`
	Situation         string      `yaml:"situation"`
	Patterns          []string    `yaml:"patterns"`
	PerformedBy       []string    `yaml:"performed_by"`
	StarSF            Restoration `yaml:"star_sf"`
	CorrectionComment string      `yaml:"correction_comment"`
	Erasure           Erasure     `yaml:"erasure"`
	Expedite          bool        `yaml:"expedite"`
	Steps             []Step      `yaml:"steps"`
	Expected          Expected    `yaml:"expected"`
	Notes             string      `yaml:"notes"`
}

// Source is where a situation is described.
type Source struct {
	Document string `yaml:"document"`
	Section  string `yaml:"section"`
}

// Restoration says whether STAR and its system manager do the correction.
type Restoration struct {
	Role string `yaml:"role"`
	When string `yaml:"when"`
}

// Erasure says whether what was already delivered must be erased.
type Erasure struct {
	Required string `yaml:"required"`
	Why      string `yaml:"why"`
}

// Step is one change of one row. The values of Set describe what is written.
type Step struct {
	Target string            `yaml:"target"`
	Table  string            `yaml:"table"`
	Action string            `yaml:"action"`
	Set    map[string]string `yaml:"set"`
}

// Expected is what receivers must see.
type Expected struct {
	Stream    string `yaml:"stream"`
	DeltaFile string `yaml:"delta_file"`
}

type correctionsFile struct {
	Version     int          `yaml:"version"`
	Corrections []Correction `yaml:"corrections"`
}

// LoadCorrections reads a corrections file strictly: an unknown key, word or a missing part is an error with file and line.
func LoadCorrections(fsys fs.FS, name string) ([]Correction, error) {
	b, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read corrections: %w", err)
	}
	var file correctionsFile
	doc, err := yamlfile.Decode(name, b, &file)
	if err != nil {
		return nil, err
	}
	var errs []error
	fail := func(path []any, format string, args ...any) { errs = append(errs, doc.Errorf(path, format, args...)) }
	word := func(path []any, s string, allowed ...string) {
		if !slices.Contains(allowed, s) {
			what := path[len(path)-1]
			if _, element := what.(int); element {
				what = path[len(path)-2]
			}
			fail(path, "%v: want one of %s", what, strings.Join(allowed, ", "))
		}
	}
	if file.Version != 1 {
		fail([]any{"version"}, "version: want 1")
	}
	seen := map[string]bool{}
	for i, c := range file.Corrections {
		at := func(path ...any) []any { return append([]any{"corrections", i}, path...) }
		if c.ID == "" || seen[c.ID] {
			fail(at("id"), "id: missing or given twice")
		}
		seen[c.ID] = true
		for what, s := range map[string]string{"situation": c.Situation, "dataomraade": c.Dataomraade} {
			if s == "" {
				fail(at(what), "%s is missing", what)
			}
		}
		if len(c.Patterns) == 0 {
			fail(at("patterns"), "patterns: want at least one")
		}
		if c.Source.Section == "" || c.Expected.Stream == "" || c.Expected.DeltaFile == "" {
			fail(at(), "want source with section, and expected with stream and delta_file")
		}
		for j, p := range c.Patterns {
			word(at("patterns", j), p, "insert", "update", "soft_cancel", "delete", "close_with_enddate", "redact_text", "reassign_to_other_citizen", "reopen", "none")
		}
		word(at("source", "document"), c.Source.Document, "bilag_2a", "pejlemaerker")
		word(at("star_sf", "role"), c.StarSF.Role, "no", "exceptional", "yes", "only")
		word(at("erasure", "required"), c.Erasure.Required, "yes", "conditional", "no")
		word(at("correction_comment"), c.CorrectionComment, "required", "expected", "optional", "as_free_text", "none")
		for j, s := range c.Steps {
			word(at("steps", j, "target"), s.Target, "same_citizen", "wrong_citizen", "right_citizen", "authority", "company")
			word(at("steps", j, "action"), s.Action, "insert", "update", "delete")
			if s.Table == "" {
				fail(at("steps", j), "table is missing")
			}
		}
	}
	if err := yamlfile.Join(errs...); err != nil {
		return nil, err
	}
	return file.Corrections, nil
}
