package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"supstream/catalog"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func TestBruger(t *testing.T) {
	for _, tt := range []struct {
		text string
		want catalog.Bruger
	}{
		{"kommune.751", catalog.Bruger{Axis: catalog.Kommune, Kode: "751"}},
		{"akasse.067", catalog.Bruger{Axis: catalog.Akasse, Kode: "067"}},
		{"akasse.a1", catalog.Bruger{Axis: catalog.Akasse, Kode: "a1"}},
		{"alle", catalog.Bruger{Axis: catalog.Alle}},
	} {
		got, err := catalog.ParseBruger(tt.text)
		if err != nil || got != tt.want || got.String() != tt.text {
			t.Errorf("ParseBruger(%q) = %v, %v", tt.text, got, err)
		}
	}
	for _, text := range []string{"", "kommune", "kommune.", "kommune.A1", "kommune.7.5", "kommune.000", "region.1", "alle.", "alle.1", "akasse.12345678901234567", "kommune.ø"} {
		if b, err := catalog.ParseBruger(text); err == nil {
			t.Errorf("ParseBruger(%q) = %v", text, b)
		}
	}
}

func TestBrugerCompare(t *testing.T) {
	want := []string{"kommune.101", "kommune.751", "akasse.101", "akasse.908", "alle"}
	var brugere []catalog.Bruger
	for _, s := range want {
		b, err := catalog.ParseBruger(s)
		if err != nil {
			t.Fatal(err)
		}
		brugere = append(brugere, b)
	}
	slices.Reverse(brugere)
	slices.SortFunc(brugere, catalog.Bruger.Compare)
	for i, b := range brugere {
		if b.String() != want[i] {
			t.Errorf("%d: %s, want %s", i, b, want[i])
		}
	}
}

func TestBrugere(t *testing.T) {
	c := small(t)
	if got := c.Brugere(catalog.Kommune); len(got) != 2 || got[0].Kode != "101" || got[1].Kode != "751" {
		t.Errorf("kommuner: %v", got)
	}
	if got := c.Brugere(catalog.Alle); len(got) != 1 || got[0].String() != "alle" {
		t.Errorf("alle: %v", got)
	}
	if got := c.Brugere(catalog.Axis(9)); got != nil {
		t.Errorf("an axis that is none: %v", got)
	}
	for text, want := range map[string]string{"kommune.751": "Aarhus", "akasse.908": "Faglig Fælles A-kasse", "alle": "alle", "kommune.908": ""} {
		b, err := catalog.ParseBruger(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.BrugerName(b); got != want {
			t.Errorf("name of %s is %q, want %q", b, got, want)
		}
	}
	if _, ok := c.Bruger(catalog.Axis(9), []byte("751")); ok {
		t.Error("an axis that is none knows a code")
	}
	if b, ok := c.Bruger(catalog.Kommune, []byte(" 0751 ")); !ok || b.String() != "kommune.751" {
		t.Errorf("0751 is %v, %v", b, ok)
	}
}
