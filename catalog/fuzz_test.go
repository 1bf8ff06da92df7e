package catalog_test

import (
	"testing"

	"supstream/catalog"
)

// FuzzLoad asks that whatever stands in an area file, loading either fails or
// gives a catalogue that keeps what other packages rely on.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(areaYAML))
	f.Add([]byte(alleYAML))
	f.Add([]byte("slug: a\ntables:\n- {name: a, key: [b], columns: [{name: b, type: 'numeric(7,2)[]'}]}\n"))
	f.Add([]byte("state: internal\ntables: [{owners: {kommune: {column: x, only: {column: y, in: [1]}}}, draft: {column: z}}]\n"))
	f.Fuzz(func(t *testing.T, area []byte) {
		c, err := catalog.Load(folder(map[string]string{"brugere.yaml": brugereYAML, "a.yaml": string(area)}))
		if (c == nil) == (err == nil) {
			t.Fatalf("catalogue %v with error %v", c, err)
		}
		if err != nil {
			return
		}
		for _, d := range c.Dataomraader() {
			for _, table := range d.Tables {
				wide := make(catalog.Row, len(table.Columns))
				c.Route(table, wide, nil)
				for _, i := range append(table.Routing(), table.Key...) {
					if i >= len(table.Columns) {
						t.Errorf("column %d of %d", i, len(table.Columns))
					}
				}
				if len(table.Key) == 0 || table.Slug == "" {
					t.Errorf("table %q without key or slug", table)
				}
				if d.Open() && !table.Everybody && len(table.Owners) == 0 {
					t.Errorf("open table %q without owners", table)
				}
			}
		}
		if catalog.DDL(c) == "" || c.Version() == "" {
			t.Error("no DDL or no version")
		}
	})
}
