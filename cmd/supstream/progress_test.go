package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	p := &progress{w: &out, label: "samtale", unit: "rows", now: func() time.Time { return now }}
	steps := []struct {
		after       time.Duration
		done, total int64
		want        string
	}{
		{0, 0, 2_000_000, "\rsamtale [························]   0% 0/2,000,000 rows"},
		{50 * time.Millisecond, 100, 2_000_000, ""}, // too soon to draw again
		{950 * time.Millisecond, 500_000, 2_000_000, "\rsamtale [██████··················]  25% 500,000/2,000,000 rows, 500,000/s, 3s left"},
		{3 * time.Second, 2_000_000, 2_000_000, "\rsamtale [████████████████████████] 100% 2,000,000/2,000,000 rows, 500,000/s       "},
		{0, 2_000_000, 2_000_000, "\rsamtale [████████████████████████] 100% 2,000,000/2,000,000 rows, 500,000/s"},
		{time.Second, 2_500_000, 0, "\rsamtale 2,500,000 rows, 500,000/s" + strings.Repeat(" ", 42)},
	}
	for i, s := range steps {
		now = now.Add(s.after)
		out.Reset()
		p.set(s.done, s.total)
		if out.String() != s.want {
			t.Errorf("step %d: got  %q\nwant %q", i, out.String(), s.want)
		}
	}
	out.Reset()
	p.finish()
	p.finish()
	if out.String() != "\n" {
		t.Errorf("finish: got %q", out.String())
	}
}

// TestProgressElsewhere: no bar in a file, a pipe or a buffer.
func TestProgressElsewhere(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if p := newProgress(f, "x", "rows"); p != nil {
		t.Error("a bar in a file")
	}
	p := newProgress(&strings.Builder{}, "x", "rows")
	p.set(1, 2)
	p.finish()
	if p != nil {
		t.Error("a bar in a buffer")
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 123456: "123,456", 1234567890: "1,234,567,890"} {
		if got := thousands(n); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
