package lint

import (
	"cmp"
	"slices"
	"strings"
)

// Modules compares the modules that the code imports with the rows of a document: a Markdown table whose first column is the module path.
// goMod is the text of go.mod. The result names modules without a row and rows without an import.
func Modules(files []*File, goMod, document string) []string {
	var required []string // longest first, so that the innermost module claims an import
	for line := range strings.Lines(goMod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") {
			required = append(required, fields[0])
		}
	}
	slices.SortFunc(required, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	used := map[string]bool{}
	for _, f := range files {
		for imported := range f.Imports() {
			for _, m := range required {
				if imported == m || strings.HasPrefix(imported, m+"/") {
					used[m] = true
					break
				}
			}
		}
	}
	rows := map[string]bool{}
	for line := range strings.Lines(document) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		if m := strings.TrimSpace(cells[1]); strings.Contains(m, ".") && strings.Contains(m, "/") {
			rows[m] = true
		}
	}
	var out []string
	for m := range used {
		if !rows[m] {
			out = append(out, m+" is imported and has no row")
		}
	}
	for m := range rows {
		if !used[m] {
			out = append(out, m+" has a row and is not imported")
		}
	}
	slices.Sort(out)
	return out
}
