package lint

import (
	"os"
	"slices"
	"testing"
	"testing/fstest"
)

// TestDependenciesDocument: every module that the code imports has its reason in docs/DEPENDENCIES.md, and no other has.
func TestDependenciesDocument(t *testing.T) {
	files, err := Parse(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	goMod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile("../../docs/DEPENDENCIES.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range Modules(files, string(goMod), string(document)) {
		t.Error(text)
	}
}

func TestModules(t *testing.T) {
	files, err := Parse(fstest.MapFS{
		"a/a.go": {Data: []byte("package a\nimport \"example.org/x/v2/sub\"\nimport \"example.org/x\"\nimport \"fmt\"\nimport \"supstream/b\"\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := Modules(files, "module supstream\ngo 1.26\nrequire (\n\texample.org/x v1.0.0\n\texample.org/x/v2 v2.0.0 // indirect\n\texample.org/z v1.0.0\n)\nrequire example.org/y v1.0.0\n",
		"| module | why |\n| --- | --- |\n| example.org/x | because |\n| example.org/y | because |\n")
	want := []string{"example.org/x/v2 is imported and has no row", "example.org/y has a row and is not imported"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
