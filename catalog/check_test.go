package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"supstream/catalog"
)

// liveOf describes a database that is exactly as the catalogue says.
func liveOf(table *catalog.Table) *catalog.LiveTable {
	live := &catalog.LiveTable{Identity: table.Identity}
	for _, c := range table.Columns {
		live.Columns = append(live.Columns, catalog.LiveColumn{Name: c.Name, Type: c.Type, NotNull: !c.Nullable})
	}
	for _, i := range table.Key {
		live.Key = append(live.Key, table.Columns[i].Name)
	}
	if live.Identity == "default" {
		live.IdentityColumns = live.Key
	}
	return live
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name   string
		table  string
		change func(live *catalog.LiveTable)
		want   string // kind, whether it is information, and the message
	}{
		{"the same", "samtale", func(*catalog.LiveTable) {}, ""},
		{"the same, default identity", "kode", func(*catalog.LiveTable) {}, ""},
		{"column missing", "samtale", func(l *catalog.LiveTable) { l.Columns = l.Columns[:5] },
			"column_missing: table public.samtale has no column tekst: restore it or take it out of the catalogue"},
		{"column renamed", "samtale", func(l *catalog.LiveTable) { l.Columns[5].Name = "text" },
			"column_missing: table public.samtale has no column tekst: restore it or take it out of the catalogue\n" +
				"column_added (info): table public.samtale has a column text that the catalogue does not list: it is not carried"},
		{"column added", "samtale", func(l *catalog.LiveTable) {
			l.Columns = append(l.Columns, catalog.LiveColumn{Name: "ny", Type: "text"})
		}, "column_added (info): table public.samtale has a column ny that the catalogue does not list: it is not carried"},
		{"columns in another order", "samtale", func(l *catalog.LiveTable) { slices.Reverse(l.Columns) }, ""},
		{"column generated", "samtale", func(l *catalog.LiveTable) { l.Columns[3].Generated = true },
			"column_generated: table public.samtale, column type is generated and cannot be replicated: take it out of the catalogue"},
		{"added column generated", "samtale", func(l *catalog.LiveTable) {
			l.Columns = append(l.Columns, catalog.LiveColumn{Name: "ny", Type: "text", Generated: true})
		}, "column_added (info): table public.samtale has a column ny that the catalogue does not list: it is not carried"},
		{"type changed", "samtale", func(l *catalog.LiveTable) { l.Columns[3].Type = "integer" },
			"type_changed: table public.samtale, column type is integer, the catalogue says smallint: change the catalogue and raise the area's version"},
		{"type widened", "samtale", func(l *catalog.LiveTable) { l.Columns[4].Type = "character varying(20)" },
			"type_changed: table public.samtale, column status is character varying(20), the catalogue says character varying(12): change the catalogue and raise the area's version"},
		{"type and null", "samtale", func(l *catalog.LiveTable) { l.Columns[3].Type, l.Columns[3].NotNull = "integer", false },
			"type_changed: table public.samtale, column type is integer, the catalogue says smallint: change the catalogue and raise the area's version\n" +
				"null_allowed: table public.samtale, column type may be null, the catalogue says it may not: say nullable: true"},
		{"null refused", "samtale", func(l *catalog.LiveTable) { l.Columns[1].NotNull = true },
			"null_refused (info): table public.samtale, column kommune_kode is never null: nullable: true may go from the catalogue"},
		{"key changed", "samtale", func(l *catalog.LiveTable) { l.Key = []string{"id", "type"} },
			"key_changed: table public.samtale has the primary key (id, type), the catalogue says (id): change the catalogue and raise the area's version"},
		{"no key", "samtale", func(l *catalog.LiveTable) { l.Key = nil },
			"key_changed: table public.samtale has the primary key (), the catalogue says (id): change the catalogue and raise the area's version"},
		{"order of the key", "kode", func(l *catalog.LiveTable) { slices.Reverse(l.Key) },
			"key_changed: table public.kode has the primary key (kode, liste), the catalogue says (liste, kode): change the catalogue and raise the area's version"},
		{"identity default for full", "samtale", func(l *catalog.LiveTable) { l.Identity, l.IdentityColumns = "default", []string{"id"} },
			`identity_changed: table public.samtale has replica identity default, want full: ALTER TABLE "public"."samtale" REPLICA IDENTITY FULL`},
		{"identity index with all that routes", "samtale", func(l *catalog.LiveTable) {
			l.Identity, l.IdentityColumns = "index:rute", []string{"id", "kommune_kode", "akasse_kode", "type", "status"}
		}, ""},
		{"identity index without the filter", "samtale", func(l *catalog.LiveTable) {
			l.Identity, l.IdentityColumns = "index:rute", []string{"id", "kommune_kode", "akasse_kode", "status"}
		}, `identity_changed: table public.samtale has replica identity index:rute, want full: ALTER TABLE "public"."samtale" REPLICA IDENTITY FULL`},
		{"full for default", "kode", func(l *catalog.LiveTable) { l.Identity = "full" }, ""},
		{"identity nothing", "kode", func(l *catalog.LiveTable) { l.Identity, l.IdentityColumns = "nothing", nil },
			`identity_changed: table public.kode has replica identity nothing, want default: ALTER TABLE "public"."kode" REPLICA IDENTITY DEFAULT`},
		{"deferrable primary key for default", "kode", func(l *catalog.LiveTable) { l.IdentityColumns = nil },
			`identity_changed: table public.kode has replica identity default without a primary key that is not deferrable, want default: ` +
				`ALTER TABLE "public"."kode" REPLICA IDENTITY FULL, or make the primary key not deferrable`},
		{"identity of a named index", "referat", func(l *catalog.LiveTable) { l.Identity, l.IdentityColumns = "default", []string{"id"} },
			`identity_changed: table public.referat has replica identity default, want index:rute: make a unique index over the key and the columns that decide who owns a row, then ALTER TABLE "public"."referat" REPLICA IDENTITY USING INDEX "rute"`},
	}
	referat := strings.NewReplacer("slug: samtaler", "slug: referater", "samtale", "referat", "identity: full", "identity: index:rute", "nullable: true, ", "").Replace(areaYAML)
	c := load(t, map[string]string{"brugere.yaml": brugereYAML, "a.yaml": areaYAML, "b.yaml": alleYAML, "c.yaml": referat})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table, ok := c.Table("public", tt.table)
			if !ok {
				t.Fatalf("no table %s", tt.table)
			}
			live := liveOf(table)
			tt.change(live)
			if got := drifts(catalog.Check(table, live)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	table, _ := c.Table("public", "samtale")
	if got, want := drifts(catalog.Check(table, nil)), "table_missing: table public.samtale is not in the database: create it or take it out of the catalogue"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func drifts(found []*catalog.DriftError) string {
	var lines []string
	for _, e := range found {
		kind := e.Kind.String()
		if e.Info() {
			kind += " (info)"
		}
		lines = append(lines, kind+": "+e.Error())
	}
	return strings.Join(lines, "\n")
}
