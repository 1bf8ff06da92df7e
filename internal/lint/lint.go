// Package lint holds the house rules as functions over the source tree. The test of this package runs them on the module, so a rule that is
// broken fails `make test` with file and line. Each rule has a test of its own that shows what it refuses.
package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the path before every import of ours.
const Module = "supstream"

// MaxLines is the length at which a file is no longer one idea.
const MaxLines = 700

// Finding is one place where a rule is broken.
type Finding struct {
	Path string // relative to the root of the module
	Line int
	Text string
}

// String is how editors expect it: path:line: text.
func (f Finding) String() string { return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Text) }

// File is one parsed Go file.
type File struct {
	Path  string
	Lines int
	AST   *ast.File
	set   *token.FileSet
}

// Package is the folder of the file; "." is the root.
func (f *File) Package() string { return path.Dir(f.Path) }

// Test tells test files from production code.
func (f *File) Test() bool { return strings.HasSuffix(f.Path, "_test.go") }

// Imports are the import paths with the line of each.
func (f *File) Imports() map[string]int {
	out := map[string]int{}
	for _, i := range f.AST.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			out[p] = f.line(i)
		}
	}
	return out
}

func (f *File) line(n ast.Node) int { return f.set.Position(n.Pos()).Line }

func (f *File) find(n ast.Node, format string, args ...any) Finding {
	return Finding{f.Path, f.line(n), fmt.Sprintf(format, args...)}
}

// Parse reads every Go file of a tree, in path order. Folders that the go command ignores are left out: those whose name starts with a dot
// or an underscore, and testdata.
func Parse(fsys fs.FS) ([]*File, error) {
	var out []*File
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != "." && (name == "testdata" || name[0] == '.' || name[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := fs.ReadFile(fsys, p)
		if err != nil {
			return fmt.Errorf("read %s: %w", p, err)
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, p, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		out = append(out, &File{p, strings.Count(string(text), "\n"), file, set})
		return nil
	})
	return out, err
}

// Length finds files that are too long to read in one sitting.
func Length(files []*File) []Finding {
	var out []Finding
	for _, f := range files {
		if f.Lines > MaxLines {
			out = append(out, Finding{f.Path, f.Lines, fmt.Sprintf("%d lines; at most %d: split it by job", f.Lines, MaxLines)})
		}
	}
	return out
}

// Docs finds packages without a package comment.
func Docs(files []*File) []Finding {
	documented, first := map[string]bool{}, map[string]*File{}
	for _, f := range files {
		if f.Test() {
			continue
		}
		if first[f.Package()] == nil {
			first[f.Package()] = f
		}
		if f.AST.Doc != nil && len(f.AST.Doc.Text()) > 0 {
			documented[f.Package()] = true
		}
	}
	var out []Finding
	for pkg, f := range first {
		if !documented[pkg] {
			out = append(out, f.find(f.AST.Name, "package %s has no package comment in any of its files", f.AST.Name.Name))
		}
	}
	return sorted(out)
}

// Tests finds what a test must not do: wait for time, and skip.
func Tests(files []*File) []Finding {
	var out []Finding
	for _, f := range files {
		if !f.Test() {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch {
			case x.Name == "time" && s.Sel.Name == "Sleep":
				out = append(out, f.find(s, "time.Sleep in a test: wait for a signal, not for time"))
			case x.Name == "testing" && s.Sel.Name == "Short":
				out = append(out, f.find(s, "testing.Short in a test: a test always runs"))
			case slices.Contains([]string{"t", "b", "tb", "f"}, x.Name) && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name):
				out = append(out, f.find(s, "%s.%s: a test that cannot run fails", x.Name, s.Sel.Name))
			}
			return true
		})
	}
	return out
}

// Words finds marks of unfinished work in comments, and identifiers that are not plain ASCII.
func Words(files []*File) []Finding {
	marks := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}
	var out []Finding
	for _, f := range files {
		for _, group := range f.AST.Comments {
			for _, c := range group.List {
				for _, m := range marks {
					if strings.Contains(c.Text, m) {
						out = append(out, f.find(c, "%s in a comment: finish it or file an issue", m))
					}
				}
			}
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && strings.ContainsFunc(id.Name, func(r rune) bool { return r > 127 }) {
				out = append(out, f.find(id, "identifier %s is not ASCII: write ae, oe, aa", id.Name))
			}
			return true
		})
	}
	return out
}

// Labels finds metric vectors with a label outside the given ones. Labels are few and public: never a kommune, a key or free text.
func Labels(files []*File, allowed ...string) []Finding {
	var out []Finding
	for _, f := range files {
		if f.Test() {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			name := ""
			switch fun := call.Fun.(type) {
			case *ast.SelectorExpr:
				name = fun.Sel.Name
			case *ast.Ident:
				name = fun.Name
			}
			if !slices.Contains([]string{"NewCounterVec", "NewGaugeVec", "NewHistogramVec", "NewSummaryVec", "NewDesc"}, name) {
				return true
			}
			for _, arg := range call.Args {
				list, ok := arg.(*ast.CompositeLit)
				if !ok || !isStrings(list.Type) {
					continue
				}
				for _, e := range list.Elts {
					if lit, ok := e.(*ast.BasicLit); ok {
						if label, _ := strconv.Unquote(lit.Value); !slices.Contains(allowed, label) {
							out = append(out, f.find(lit, "metric label %q: only %s", label, strings.Join(allowed, ", ")))
						}
					}
				}
			}
			return true
		})
	}
	return out
}

func isStrings(t ast.Expr) bool {
	a, ok := t.(*ast.ArrayType)
	if !ok || a.Len != nil {
		return false
	}
	id, ok := a.Elt.(*ast.Ident)
	return ok && id.Name == "string"
}

func sorted(fs []Finding) []Finding {
	slices.SortFunc(fs, func(a, b Finding) int { return strings.Compare(a.String(), b.String()) })
	return fs
}
