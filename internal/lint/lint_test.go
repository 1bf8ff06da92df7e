package lint

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// TestHouseRules runs every rule on the module.
func TestHouseRules(t *testing.T) {
	files, err := Parse(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("found %d files: the root of the module is not where this test looks", len(files))
	}
	rules := []struct {
		name     string
		findings []Finding
	}{
		{"imports", Imports(files, Arrows{
			"catalog":     {},
			"agreements":  {"catalog"},
			"capture":     {"catalog"},
			"streams":     {"capture", "catalog", "agreements"},
			"projections": {"streams", "agreements", "catalog"},
			"sinks":       {"projections", "agreements", "catalog"},
			"ops":         {"capture", "streams", "projections", "sinks", "agreements", "catalog"},
			"cmd":         {"ops", "capture", "streams", "projections", "sinks", "agreements", "catalog", "internal"},
		})},
		{"state", State(files)},
		{"tests", Tests(files)},
		{"length", Length(files)},
		{"docs", Docs(files)},
		{"words", Words(files)},
		{"labels", Labels(files, "dataomraade", "opgaveloeser", "op", "kind", "state")},
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range r.findings {
				t.Error(f)
			}
		})
	}
}

func TestRules(t *testing.T) {
	arrows := Arrows{"catalog": {}, "capture": {"catalog"}, "cmd": {"capture", "catalog", "internal"}}
	imports := func(files []*File) []Finding { return Imports(files, arrows) }
	labels := func(files []*File) []Finding { return Labels(files, "kind") }
	tests := []struct {
		name  string
		rule  func([]*File) []Finding
		files map[string]string
		want  string // one finding a line
	}{
		{"arrow kept", imports, map[string]string{
			"capture/a.go":      "package capture\nimport \"supstream/catalog\"",
			"catalog/a.go":      "package catalog\nimport \"supstream/catalog/dfdg\"",
			"catalog/a_test.go": "package catalog\nimport \"supstream/capture\"",
			"cmd/x/a.go":        "package main\nimport (\n\"fmt\"\n\"supstream/internal/mirror\"\n)",
			"internal/m/a.go":   "package mirror\nimport \"supstream/catalog\"",
		}, ""},
		{"arrow turned round", imports, map[string]string{
			"catalog/a.go": "package catalog\nimport \"supstream/capture\"",
		}, "catalog/a.go:2: catalog imports capture: the arrows allow nothing of ours"},
		{"folder without arrows", imports, map[string]string{
			"util/a.go": "package util",
		}, "util/a.go:1: folder util is not in the picture of imports: add it with its arrows"},
		{"arrow turned round through a helper", imports, map[string]string{
			"internal/plain/a.go": "package plain\nimport \"fmt\"",
			"internal/thick/a.go": "package thick\nimport \"supstream/capture\"",
			"catalog/a.go":        "package catalog\nimport \"supstream/internal/plain\"\nimport \"supstream/internal/thick\"",
		}, "catalog/a.go:3: catalog imports internal/thick, which imports packages of ours: only plain helpers may be used"},
		{"nobody imports cmd", imports, map[string]string{
			"internal/e2e/a.go": "package e2e\nimport \"supstream/cmd/supstream\"",
			"cmd/b/a.go":        "package b\nimport \"supstream/cmd/supstream\"",
		}, "cmd/b/a.go:2: cmd imports cmd/supstream: the arrows allow capture, catalog, internal\n" +
			"internal/e2e/a.go:2: internal imports cmd/supstream: the arrows allow nothing of ours"},
		{"constants in disguise", State, map[string]string{
			"a/a.go": "package a\nimport \"errors\"\nvar ErrX = errors.New(\"x\")\nvar _ error = (*T)(nil)\nvar re = regexp.MustCompile(`a`)\nvar typ = reflect.TypeFor[int]()\n" +
				"//go:embed x.txt\nvar text string\nvar names = [...]string{\"a\", \"b\"}\nfunc f() { names := 1; _ = names }",
			"a/a_test.go": "package a\nvar binary string",
		}, ""},
		{"state", State, map[string]string{
			"a/a.go": "package a\nvar count int\nvar mu sync.Mutex\nvar cache = map[string]int{}\nvar pool = sync.Pool{}\nvar def = New()\nvar ErrX = errors.New(\"x\")",
			"a/b.go": "package a\nfunc f() { cache[\"x\"]++; ErrX = nil }",
		}, "a/a.go:2: package-level variable count: pass it in, or make it a constant\n" +
			"a/a.go:3: package-level variable mu: pass it in, or make it a constant\n" +
			"a/a.go:4: package-level variable cache: pass it in, or make it a constant\n" +
			"a/a.go:5: package-level variable pool: pass it in, or make it a constant\n" +
			"a/a.go:6: package-level variable def: pass it in, or make it a constant\n" +
			"a/a.go:7: package-level variable ErrX: pass it in, or make it a constant"},
		{"waiting and skipping", Tests, map[string]string{
			"a/a.go":      "package a\nfunc f() { time.Sleep(1) }",
			"a/a_test.go": "package a\nfunc f() {\ntime.Sleep(1)\nt.Skip()\nb.Skipf(\"x\")\nif testing.Short() {}\nq.Skip()\n}",
		}, "a/a_test.go:3: time.Sleep in a test: wait for a signal, not for time\n" +
			"a/a_test.go:4: t.Skip: a test that cannot run fails\n" +
			"a/a_test.go:5: b.Skipf: a test that cannot run fails\n" +
			"a/a_test.go:6: testing.Short in a test: a test always runs"},
		{"length", Length, map[string]string{
			"a/a.go": "package a\n" + strings.Repeat("\n", 699),
			"a/b.go": "package a\n" + strings.Repeat("\n", 700),
		}, "a/b.go:701: 701 lines; at most 700: split it by job"},
		{"docs", Docs, map[string]string{
			"a/a.go": "// Package a is documented.\npackage a", "a/b.go": "package a",
			"b/a.go": "// A remark.\n\npackage b",
		}, "b/a.go:3: package b has no package comment in any of its files"},
		{"words", Words, map[string]string{
			"a/a.go": "package a\n// TO" + "DO later\nvar kørsel = \"kørsel\"",
		}, "a/a.go:2: TO" + "DO in a comment: finish it or file an issue\na/a.go:3: identifier kørsel is not ASCII: write ae, oe, aa"},
		{"labels", labels, map[string]string{
			"a/a.go": "package a\nfunc f() {\nprometheus.NewCounterVec(o, []string{\"kind\", \"kommune\"})\nprometheus.NewDesc(\"n\", \"h\", nil, nil)\n}",
		}, "a/a.go:3: metric label \"kommune\": only kind"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for p, text := range tc.files {
				fsys[p] = &fstest.MapFile{Data: []byte(text)}
			}
			files, err := Parse(fsys)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range tc.rule(files) {
				got = append(got, f.String())
			}
			if g := strings.Join(got, "\n"); g != tc.want {
				t.Errorf("got\n%s\nwant\n%s", g, tc.want)
			}
		})
	}
}

func TestParseLeavesOut(t *testing.T) {
	files, err := Parse(fstest.MapFS{
		".git/a.go": {Data: []byte("x")}, "testdata/a.go": {Data: []byte("x")}, "_old/a.go": {Data: []byte("x")}, "a/testdata/x.go": {Data: []byte("x")},
		"a/a.go": {Data: []byte("package a\n")},
	})
	if err != nil || len(files) != 1 || files[0].Path != "a/a.go" || files[0].Lines != 1 {
		t.Fatalf("got %v, %v; want only a/a.go", files, err)
	}
	_, err = Parse(fstest.MapFS{"a/a.go": {Data: []byte("package a\nfunc {}\n")}})
	if err == nil || err.Error() != "parse: a/a.go:2:6: expected 'IDENT', found '{'" {
		t.Fatalf("a broken file: %v", err)
	}
}
