package catalog_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"supstream/catalog"
)

func document(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/CATALOG.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentExample loads the example of docs/CATALOG.md and routes the rows
// that the text after it describes.
func TestDocumentExample(t *testing.T) {
	files := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```yaml (\\S+)\n(.*?)```").FindAllStringSubmatch(document(t), -1) {
		files[m[1]] = m[2]
	}
	if len(files) != 5 {
		t.Fatalf("the document has %d files, want 5", len(files))
	}
	c := load(t, files)
	referat, ok := c.Table("sager", "Møde referat")
	if !ok {
		t.Fatal("the example has no table sager.Møde referat")
	}
	for _, tt := range []struct {
		row  catalog.Row
		want string
	}{
		{row("1", "1", "0751", "067", "7", "t", "-"), "kommune.751 akasse.067 "},
		{row("1", "1", "0751", "067", "9", "t", "-"), "kommune.751 "},
		{row("1", "1", "0751", "067", "7", "f", "-"), ""},
		{row("1", "1", "0999", "067", "7", "t", "-"), "akasse.067 held"},
		{row("1", "1", "0751", "000", "7", "t", "-"), "kommune.751 "},
	} {
		if got := describe(c.Owners(referat, tt.row)); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	brev, _ := c.Table("public", "brev")
	for _, tt := range []struct {
		row  catalog.Row
		want string
	}{
		{row("1", "4001900001", "7"), "kommune.751 akasse.067 "},
		{row("1", "4001900001", "8"), "kommune.751 "},
		{row("1", "4001900002", "8"), "held"},
	} {
		if got := describe(c.OwnersVia(brev, tt.row, oneMember{})); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		if got := describe(c.Owners(brev, tt.row)); got != "held" {
			t.Errorf("nobody is known, and it goes to %q", got)
		}
	}
	sagstype, _ := c.Table("public", "sagstype")
	if got := describe(c.Owners(sagstype, row("7", "Samtale"))); got != "alle " {
		t.Errorf("a reference row goes to %q", got)
	}
}

// oneMember knows that person 4001900001 belongs to kommune 751 and a-kasse 067.
type oneMember struct{}

func (oneMember) Find(via *catalog.Table, a catalog.Axis, person []byte) (catalog.Bruger, bool) {
	if via.Name != "tilhoer" || string(person) != "4001900001" {
		return catalog.Bruger{}, false
	}
	return catalog.Bruger{Axis: a, Kode: map[catalog.Axis]string{catalog.Kommune: "751", catalog.Akasse: "067"}[a]}, true
}

// TestDocumentKeys asks that the document describes every key of the files:
// the messages about unknown keys know them all.
func TestDocumentKeys(t *testing.T) {
	doc := document(t)
	keys := 0
	for _, area := range []string{
		"x: 1\n",
		"legal_basis: {x: 1}\n",
		"tables: [{x: 1}]\n",
		"tables: [{columns: [{x: 1}]}]\n",
		"tables: [{owners: {x: 1}}]\n",
		"tables: [{owners: {akasse: {x: 1}}}]\n",
		"tables: [{draft: {x: 1}}]\n",
		"tables: [{persons: {x: 1}}]\n",
	} {
		_, err := catalog.Load(folder(map[string]string{"a.yaml": area, "brugere.yaml": brugereYAML}))
		_, list, ok := strings.Cut(err.Error(), "want one of ")
		if !ok {
			t.Fatalf("%s: no list of keys in %v", area, err)
		}
		for _, key := range strings.Split(list, ", ") {
			keys++
			if !strings.Contains(doc, "`"+key+"`") && !strings.Contains(doc, "{"+key+":") && !strings.Contains(doc, ", "+key+": [") {
				t.Errorf("docs/CATALOG.md does not describe the key %s", key)
			}
		}
	}
	if keys != 53 {
		t.Errorf("the files have %d keys, want 53: keep this test complete", keys)
	}
}

func TestDocumentDrifts(t *testing.T) {
	doc := document(t)
	for kind := catalog.TableMissing; kind <= catalog.IdentityChanged; kind++ {
		if !strings.Contains(doc, "| `"+kind.String()+"` |") {
			t.Errorf("docs/CATALOG.md does not describe the difference %s", kind)
		}
	}
}

// TestDocumentMessages asks that the messages in the document are those of the
// program, which the tests of errors know.
func TestDocumentMessages(t *testing.T) {
	tests, err := os.ReadFile("load_test.go")
	if err != nil {
		t.Fatal(err)
	}
	messages := regexp.MustCompile("(?m)^\\| `((?:[a-z]+\\.yaml|the catalogue)[^`]*)` \\|").FindAllStringSubmatch(document(t), -1)
	if len(messages) != 10 {
		t.Fatalf("the document has %d messages, want 10", len(messages))
	}
	for _, m := range messages {
		text := strings.NewReplacer("samtaler.yaml:", "a.yaml:", "moeder.yaml:", "b.yaml:", "…", "", `"`, `"`).Replace(m[1])
		if !strings.Contains(string(tests), text) {
			t.Errorf("no test of errors expects %q", text)
		}
	}
}
