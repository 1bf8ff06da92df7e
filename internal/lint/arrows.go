package lint

import (
	"slices"
	"strings"
)

// Arrows says which packages of ours each folder may import; every folder under an entry follows it. Folders under internal are helpers:
// they may import everything, but production code may import only those helpers that import nothing of ours themselves, so that no arrow
// can be turned round through them.
type Arrows map[string][]string

// Imports finds imports against the arrows, in production code. Tests may look at their surroundings.
func Imports(files []*File, arrows Arrows) []Finding {
	leaf := leaves(files)
	var out []Finding
	for _, f := range files {
		if f.Test() {
			continue
		}
		from := top(f.Package())
		allowed, ruled := arrows[from]
		if !ruled && from != "internal" {
			out = append(out, f.find(f.AST.Name, "folder %s is not in the picture of imports: add it with its arrows", from))
			continue
		}
		for imported, line := range f.Imports() {
			pkg, ours := strings.CutPrefix(imported, Module+"/")
			if !ours {
				continue
			}
			to := top(pkg)
			switch {
			case to == from && from != "cmd":
			case from == "internal" && to != "cmd":
			case to == "internal" && (leaf[pkg] || slices.Contains(allowed, "internal")):
			case to == "internal":
				out = append(out, Finding{f.Path, line, from + " imports " + pkg + ", which imports packages of ours: only plain helpers may be used"})
			case !slices.Contains(allowed, to):
				out = append(out, Finding{f.Path, line, from + " imports " + pkg + ": the arrows allow " + list(allowed)})
			}
		}
	}
	return sorted(out)
}

// leaves are the internal packages whose production code imports nothing of ours.
func leaves(files []*File) map[string]bool {
	out := map[string]bool{}
	for _, f := range files {
		pkg := f.Package()
		if f.Test() || top(pkg) != "internal" {
			continue
		}
		if _, seen := out[pkg]; !seen {
			out[pkg] = true
		}
		for imported := range f.Imports() {
			if strings.HasPrefix(imported, Module+"/") {
				out[pkg] = false
			}
		}
	}
	return out
}

func top(pkg string) string {
	first, _, _ := strings.Cut(pkg, "/")
	return first
}

func list(names []string) string {
	if len(names) == 0 {
		return "nothing of ours"
	}
	return strings.Join(names, ", ")
}
