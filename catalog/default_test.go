package catalog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"supstream/catalog"
)

// golden compares with a file of testdata, or rewrites it if UPDATE is set.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run UPDATE=1 go test and look at the difference", path)
	}
}

func dfdg(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestDefault writes down what routing, access and schedule make of the
// shipped catalogue.
func TestDefault(t *testing.T) {
	var b strings.Builder
	columns := 0
	for _, d := range dfdg(t).Dataomraader() {
		fmt.Fprintf(&b, "%s %s: %s, audience %v, %s, %s, kept %dd, history %s\n", d.Package, d.Slug, d.State, d.Audience, d.Sensitivity, d.Frequency, d.Retention/(24*3600e9), d.History)
		for _, table := range d.Tables {
			fmt.Fprintf(&b, "  %s: %d columns, key %s, identity %s", table, len(table.Columns), columnNames(table, table.Key), table.Identity)
			for _, o := range table.Owners {
				fmt.Fprintf(&b, ", %s by %s", o.Axis, table.Columns[o.Column].Name)
				if o.Hold {
					b.WriteString(" or held")
				}
				if o.Only != nil {
					fmt.Fprintf(&b, " if %s in %v", table.Columns[o.Only.Column].Name, o.Only.In)
				}
			}
			if table.Everybody {
				b.WriteString(", for everybody")
			}
			if table.Draft != nil {
				fmt.Fprintf(&b, ", draft if %s in %v", table.Columns[table.Draft.Column].Name, table.Draft.In)
			}
			b.WriteByte('\n')
			for i, c := range table.Columns {
				if c.FreeText {
					fmt.Fprintf(&b, "    free text: %s\n", columnNames(table, []int{i}))
				}
			}
			columns += len(table.Columns)
		}
	}
	golden(t, "dfdg.txt", fmt.Sprintf("%s%d columns\n", b.String(), columns))
}

func columnNames(table *catalog.Table, columns []int) string {
	var names []string
	for _, i := range columns {
		names = append(names, table.Columns[i].Name)
	}
	return strings.Join(names, "+")
}

func TestDefaultCounts(t *testing.T) {
	c := dfdg(t)
	areas, tables, columns, open := 0, 0, 0, 0
	for _, d := range c.Dataomraader() {
		areas++
		if d.Open() {
			open++
		}
		for _, table := range d.Tables {
			tables++
			columns += len(table.Columns)
			if got, ok := c.Table(table.Schema, table.Name); !ok || got != table || table.Area != d {
				t.Errorf("table %s is not found again", table)
			}
		}
	}
	got := []int{areas, open, tables, columns, len(c.Brugere(catalog.Kommune)), len(c.Brugere(catalog.Akasse))}
	if want := []int{33, 30, 38, 490, 98, 22}; !slices.Equal(got, want) {
		t.Errorf("areas, open areas, tables, columns, kommuner, a-kasser: %v, want %v", got, want)
	}
}

// TestDefaultDescriptions asks for sentences: a capital letter, several words
// and a full stop.
func TestDefaultDescriptions(t *testing.T) {
	sentence := func(where, s string) {
		first, _ := utf8.DecodeRuneInString(s)
		if !unicode.IsUpper(first) || !strings.HasSuffix(s, ".") || len(strings.Fields(s)) < 2 || strings.Contains(s, "  ") || strings.Contains(s, "\n") {
			t.Errorf("%s: not a sentence: %q", where, s)
		}
	}
	for _, d := range dfdg(t).Dataomraader() {
		sentence(d.Slug, d.Description)
		sentence(d.Slug+" notes", d.Notes)
		for _, table := range d.Tables {
			sentence(table.Name, table.Description)
			for _, c := range table.Columns {
				sentence(table.Name+"."+c.Name, c.Description)
				if c.Role == "" {
					t.Errorf("%s.%s has no role", table.Name, c.Name)
				}
			}
		}
	}
}

func TestDefaultFileNames(t *testing.T) {
	c := dfdg(t)
	for _, d := range c.Dataomraader() {
		text, err := os.ReadFile(filepath.Join("dfdg", d.Slug+".yaml"))
		if err != nil || !strings.HasPrefix(string(text), "slug: "+d.Slug+"\n") {
			t.Errorf("area %s is not in dfdg/%s.yaml: %v", d.Slug, d.Slug, err)
		}
	}
}

func TestDefaultRouting(t *testing.T) {
	c := dfdg(t)
	tests := []struct {
		table  string
		values map[string]string
		want   string
	}{
		{"samtale", map[string]string{"kommune_kode": "751", "akasse_kode": "908", "samtaletype": "7"}, "kommune.751 akasse.908 "},
		{"samtale", map[string]string{"kommune_kode": "751", "akasse_kode": "908", "samtaletype": "14"}, "kommune.751 "},
		{"booking", map[string]string{"kommune_kode": "751", "akasse_kode": "908", "samtaletype": "14"}, "kommune.751 "},
		{"helbredsbegraensning", map[string]string{"kommune_kode": "751", "akasse_kode": "908"}, "kommune.751 "},
		{"plan_version", map[string]string{"kommune_kode": "751", "publiceringsstatus": "publiceret"}, "kommune.751 "},
		{"plan_version", map[string]string{"kommune_kode": "751", "publiceringsstatus": "kladde"}, ""},
		{"jobordre", map[string]string{"kommune_kode": "751"}, "alle "},
		{"jobordre_kandidat", map[string]string{"kommune_kode": "751", "akasse_kode": "908"}, "kommune.751 akasse.908 "},
		{"jobcenter", map[string]string{"kommune_kode": "751"}, "alle "},
		{"kodeliste_vaerdi", nil, "alle "},
		{"akassemedlemskab", map[string]string{"kommune_kode": "751", "akasse_kode": "908", "medlem_akasse_kode": "901"}, "kommune.751 akasse.908 "},
		{"kontaktgruppe", map[string]string{"kommune_kode": "997"}, "held"},
		{"person_tilhoersforhold", map[string]string{"kommune_kode": "751"}, ""},
	}
	for _, tt := range tests {
		table, ok := c.Table("public", tt.table)
		if !ok {
			t.Fatalf("no table %s", tt.table)
		}
		r := make(catalog.Row, len(table.Columns))
		for name, text := range tt.values {
			i, ok := table.Column(name)
			if !ok {
				t.Fatalf("no column %s.%s", tt.table, name)
			}
			r[i] = catalog.Value{Kind: catalog.Text, Text: []byte(text)}
		}
		if got := describe(c.Owners(table, r)); got != tt.want {
			t.Errorf("%s %v: got %q, want %q", tt.table, tt.values, got, tt.want)
		}
	}
}
