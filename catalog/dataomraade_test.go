package catalog_test

import (
	"testing"
	"time"

	"supstream/catalog"
)

func TestOpen(t *testing.T) {
	tests := []struct {
		state      catalog.State
		thirdParty bool
		decision   string
		want       bool
	}{
		{catalog.Planned, false, "", false},
		{catalog.Test, false, "", true},
		{catalog.Production, false, "", true},
		{catalog.Closing, false, "", true},
		{catalog.Closed, false, "", false},
		{catalog.Internal, false, "", false},
		{0, false, "", false},
		{catalog.Production, true, "", false},
		{catalog.Production, true, "forum 2025-03", true},
		{catalog.Closed, true, "forum 2025-03", false},
	}
	for _, tt := range tests {
		d := catalog.Dataomraade{State: tt.state, ThirdParty: tt.thirdParty, Decision: tt.decision}
		if got := d.Open(); got != tt.want {
			t.Errorf("%s, third party %v, decision %q: open is %v", tt.state, tt.thirdParty, tt.decision, got)
		}
	}
}

func TestAudience(t *testing.T) {
	tests := []struct {
		audience        []catalog.Axis
		kommune, akasse bool
	}{
		{nil, false, false},
		{[]catalog.Axis{catalog.Kommune}, true, false},
		{[]catalog.Axis{catalog.Kommune, catalog.Akasse}, true, true},
		{[]catalog.Axis{catalog.Alle}, true, true},
	}
	for _, tt := range tests {
		d := catalog.Dataomraade{Audience: tt.audience}
		if d.HasAudience(catalog.Kommune) != tt.kommune || d.HasAudience(catalog.Akasse) != tt.akasse {
			t.Errorf("audience %v: kommune %v, akasse %v", tt.audience, d.HasAudience(catalog.Kommune), d.HasAudience(catalog.Akasse))
		}
	}
}

func TestFrequency(t *testing.T) {
	at := func(s string) time.Time {
		m, err := time.Parse("2006-01-02 15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	tests := []struct{ text, name, after, next string }{
		{"four_times_daily", "four_times_daily", "2026-01-31 05:59:59", "2026-01-31 06:00:00"},
		{"four_times_daily", "four_times_daily", "2026-01-31 18:00:00", "2026-02-01 00:00:00"},
		{"daily", "daily", "2026-01-31 00:00:00", "2026-02-01 00:00:00"},
		{"weekly", "weekly", "2026-01-31 12:00:00", "2026-02-02 00:00:00"}, // a Monday
		{"monthly", "monthly", "2026-01-31 12:00:00", "2026-02-01 00:00:00"},
		{"monthly", "monthly", "2026-12-01 00:00:00", "2027-01-01 00:00:00"},
		{"90m", "1h30m0s", "2026-01-31 01:30:00", "2026-01-31 03:00:00"},
		{"5s", "5s", "2026-01-31 01:30:04", "2026-01-31 01:30:05"},
		{"2d", "48h0m0s", "2026-01-31 01:30:04", "2026-02-02 00:00:00"},
	}
	for _, tt := range tests {
		f, err := catalog.ParseFrequency(tt.text)
		if err != nil || f.String() != tt.name {
			t.Errorf("ParseFrequency(%q) = %s, %v", tt.text, f, err)
		}
		if again, err := catalog.ParseFrequency(f.String()); err != nil || again != f {
			t.Errorf("%s does not read back: %v, %v", f, again, err)
		}
		if got := f.Next(at(tt.after)); !got.Equal(at(tt.next)) {
			t.Errorf("%s after %s: %v, want %s", tt.text, tt.after, got, tt.next)
		}
		copenhagen := at(tt.after).In(time.FixedZone("CET", 3600))
		if got := f.Next(copenhagen); !got.Equal(at(tt.next)) {
			t.Errorf("%s after %s depends on the time zone: %v", tt.text, tt.after, got)
		}
	}
	var never catalog.Frequency
	if never.String() != "never" || !never.Next(at("2026-01-31 00:00:00")).IsZero() {
		t.Errorf("the zero frequency is %s, next %v", never, never.Next(time.Time{}))
	}
}
