package lint

import (
	"go/ast"
	"go/token"
	"strings"
)

// State finds package-level variables that could change while the program runs. Allowed are sentinel errors, interface assertions, compiled
// patterns, types, embedded files, and tables (array, slice or map literals) that their package never writes to. Tests are left alone: what TestMain prepares has nowhere else to go.
func State(files []*File) []Finding {
	written := map[string]map[string]bool{} // package → names written somewhere
	for _, f := range files {
		if written[f.Package()] == nil {
			written[f.Package()] = map[string]bool{}
		}
		writes(f.AST, written[f.Package()])
	}
	var out []Finding
	for _, f := range files {
		if f.Test() {
			continue
		}
		for _, decl := range f.AST.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				v := spec.(*ast.ValueSpec)
				if embedded(g, v) {
					continue
				}
				for i, name := range v.Names {
					if name.Name == "_" {
						continue
					}
					var value ast.Expr
					if i < len(v.Values) {
						value = v.Values[i]
					}
					switch {
					case constructed(value) && !written[f.Package()][name.Name]:
					case table(value) && !written[f.Package()][name.Name]:
					default:
						out = append(out, f.find(name, "package-level variable %s: pass it in, or make it a constant", name.Name))
					}
				}
			}
		}
	}
	return out
}

// embedded tells whether go:embed fills the variable.
func embedded(g *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, group := range []*ast.CommentGroup{g.Doc, v.Doc} {
		if group == nil {
			continue
		}
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:embed ") {
				return true
			}
		}
	}
	return false
}

// constructed tells whether a value is a sentinel error, a compiled pattern or a type.
func constructed(value ast.Expr) bool {
	call, ok := value.(*ast.CallExpr)
	if !ok {
		return false
	}
	fun := call.Fun
	if generic, ok := fun.(*ast.IndexExpr); ok {
		fun = generic.X
	}
	s, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	if !ok {
		return false
	}
	switch x.Name + "." + s.Sel.Name {
	case "errors.New", "fmt.Errorf", "regexp.MustCompile", "reflect.TypeFor":
		return true
	}
	return false
}

func table(value ast.Expr) bool {
	lit, ok := value.(*ast.CompositeLit)
	if !ok {
		return false
	}
	switch lit.Type.(type) {
	case *ast.ArrayType, *ast.MapType:
		return true
	}
	return false
}

// writes collects the names that are assigned to, directly or through an index or a field, or whose address is taken.
func writes(file *ast.File, names map[string]bool) {
	note := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.Ident:
				names[x.Name] = true
				return
			default:
				return
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				for _, e := range s.Lhs {
					note(e)
				}
			}
		case *ast.IncDecStmt:
			note(s.X)
		case *ast.UnaryExpr:
			if _, literal := s.X.(*ast.CompositeLit); s.Op == token.AND && !literal {
				note(s.X)
			}
		case *ast.CallExpr:
			if id, ok := s.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(s.Args) > 0 {
				note(s.Args[0])
			}
		}
		return true
	})
}
