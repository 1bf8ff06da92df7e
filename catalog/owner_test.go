package catalog_test

import (
	"fmt"
	"testing"

	"supstream/catalog"
)

// row makes a row of samtaler: null for "-", not sent for "?", unchanged
// for "~", else the text.
func row(values ...string) catalog.Row {
	r := make(catalog.Row, len(values))
	for i, s := range values {
		switch s {
		case "-":
			r[i] = catalog.Value{Kind: catalog.Null}
		case "?":
			r[i] = catalog.Value{Kind: catalog.Absent}
		case "~":
			r[i] = catalog.Value{Kind: catalog.Unchanged}
		default:
			r[i] = catalog.Value{Kind: catalog.Text, Text: []byte(s)}
		}
	}
	return r
}

func describe(o catalog.Owners) string {
	s := ""
	for i := range o.Len() {
		s += o.At(i).String() + " "
	}
	if o.Held() {
		s += "held"
	}
	return s
}

func TestOwners(t *testing.T) {
	c := small(t)
	samtale, _ := c.Table("public", "samtale")
	kode, _ := c.Table("public", "kode")
	tests := []struct {
		name  string
		table *catalog.Table
		row   catalog.Row
		want  string
	}{
		{"both axes", samtale, row("1", "751", "908", "7", "aktiv", "x"), "kommune.751 akasse.908 "},
		{"leading zeros", samtale, row("1", "0751", "0908", "7", "aktiv", "x"), "kommune.751 akasse.908 "},
		{"padded", samtale, row("1", "751  ", " 908", "7", "aktiv", "x"), "kommune.751 akasse.908 "},
		{"not insured", samtale, row("1", "751", "-", "7", "aktiv", "x"), "kommune.751 "},
		{"unknown fund is no owner", samtale, row("1", "751", "999", "7", "aktiv", "x"), "kommune.751 "},
		{"kommune null", samtale, row("1", "-", "908", "7", "aktiv", "x"), "akasse.908 held"},
		{"kommune unknown", samtale, row("1", "997", "-", "7", "aktiv", "x"), "held"},
		{"kommune empty", samtale, row("1", "", "-", "7", "aktiv", "x"), "held"},
		{"kommune zero", samtale, row("1", "000", "-", "7", "aktiv", "x"), "held"},
		{"kommune not sent", samtale, row("1", "?", "908", "7", "aktiv", "x"), "akasse.908 held"},
		{"a code of the other axis", samtale, row("1", "908", "751", "7", "aktiv", "x"), "held"},
		{"filtered for the fund", samtale, row("1", "751", "908", "9", "aktiv", "x"), "kommune.751 "},
		{"filter null", samtale, row("1", "751", "908", "-", "aktiv", "x"), "kommune.751 "},
		{"filter not sent", samtale, row("1", "751", "908", "?", "aktiv", "x"), "kommune.751 "},
		{"draft", samtale, row("1", "751", "908", "7", "kladde", "x"), ""},
		{"draft, padded", samtale, row("1", "751", "908", "7", "kladde  ", "x"), ""},
		{"draft marker null", samtale, row("1", "751", "908", "7", "-", "x"), ""},
		{"draft marker not sent", samtale, row("1", "751", "908", "7", "?", "x"), ""},
		{"draft marker unchanged", samtale, row("1", "751", "908", "7", "~", "x"), ""},
		{"draft without kommune is not held", samtale, row("1", "-", "-", "7", "kladde", "x"), ""},
		{"short row", samtale, row("1", "751"), ""},
		{"no row", samtale, nil, ""},
		{"everybody", kode, row("type", "7"), "alle "},
		{"everybody, no row", kode, nil, ""},
	}
	for _, tt := range tests {
		if got := describe(c.Owners(tt.table, tt.row)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRoute(t *testing.T) {
	c := small(t)
	table, _ := c.Table("public", "samtale")
	here := row("1", "751", "908", "7", "aktiv", "x")
	moved := row("1", "101", "908", "7", "aktiv", "x")
	draft := row("1", "751", "908", "7", "kladde", "x")
	lost := row("1", "-", "908", "7", "aktiv", "x")
	tests := []struct {
		name          string
		old, new      catalog.Row
		before, after string
	}{
		{"insert", nil, here, "", "kommune.751 akasse.908 "},
		{"update", here, here, "kommune.751 akasse.908 ", "kommune.751 akasse.908 "},
		{"delete", here, nil, "kommune.751 akasse.908 ", ""},
		{"move", here, moved, "kommune.751 akasse.908 ", "kommune.101 akasse.908 "},
		{"publish a draft", draft, here, "", "kommune.751 akasse.908 "},
		{"withdraw to draft", here, draft, "kommune.751 akasse.908 ", ""},
		{"kommune lost", here, lost, "kommune.751 akasse.908 ", "akasse.908 held"},
		{"kommune found", lost, here, "akasse.908 held", "kommune.751 akasse.908 "},
		{"nothing", nil, nil, "", ""},
	}
	for _, tt := range tests {
		before, after := c.Route(table, tt.old, tt.new)
		if describe(before) != tt.before || describe(after) != tt.after {
			t.Errorf("%s: got %q -> %q, want %q -> %q", tt.name, describe(before), describe(after), tt.before, tt.after)
		}
	}
	before, after := c.Route(table, here, moved)
	b751 := catalog.Bruger{Axis: catalog.Kommune, Kode: "751"}
	if !before.Has(b751) || after.Has(b751) || before == after {
		t.Error("Has or == tell the wrong owners")
	}
}

func TestRouteAllocatesNothing(t *testing.T) {
	c := small(t)
	table, _ := c.Table("public", "samtale")
	here, moved := row("1", "0751", "908 ", "8", "aktiv", "x"), row("1", "101", "-", "9", "aktiv", "x")
	if n := testing.AllocsPerRun(1000, func() { c.Route(table, here, moved) }); n != 0 {
		t.Errorf("Route allocates %v times", n)
	}
}

func TestRowsHideContent(t *testing.T) {
	r := row("0101701234", "-")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got, want := fmt.Sprintf(format, r), "row(2 columns)"; got != want {
			t.Errorf("%s of a row is %q, want %q", format, got, want)
		}
		if got, want := fmt.Sprintf(format, r[0]), "text"; got != want {
			t.Errorf("%s of a value is %q, want %q", format, got, want)
		}
		if got, want := fmt.Sprintf(format, struct{ R catalog.Row }{r}), "row(2 columns)"; !contains(got, want) || contains(got, "0101") {
			t.Errorf("%s of a struct with a row is %q", format, got)
		}
	}
	if got := r.LogValue().String() + ", " + r[1].LogValue().String() + ", " + catalog.Row(nil).String(); got != "row(2 columns), null, no row" {
		t.Errorf("logged as %q", got)
	}
}

func BenchmarkRoute(b *testing.B) {
	c := small(b)
	table, _ := c.Table("public", "samtale")
	here, moved := row("1", "751", "908", "7", "aktiv", "x"), row("1", "101", "908", "7", "aktiv", "x")
	b.ReportAllocs()
	for b.Loop() {
		c.Route(table, here, moved)
	}
}

func BenchmarkOwners(b *testing.B) {
	c := small(b)
	samtale, _ := c.Table("public", "samtale")
	kode, _ := c.Table("public", "kode")
	for name, bench := range map[string]struct {
		table *catalog.Table
		row   catalog.Row
	}{
		"two":  {samtale, row("1", "751", "908", "7", "aktiv", "x")},
		"alle": {kode, row("type", "7")},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Owners(bench.table, bench.row)
			}
		})
	}
}
