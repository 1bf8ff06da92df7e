package streams

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"supstream/capture"
	"supstream/catalog"
)

func TestAppendValue(t *testing.T) {
	text := func(s string) catalog.Value { return catalog.Value{Kind: catalog.Text, Text: []byte(s)} }
	cases := []struct {
		form catalog.Form
		in   string
		want string
	}{
		{catalog.FormInt, "0", "0"}, {catalog.FormInt, "-2147483648", "-2147483648"},
		{catalog.FormBigInt, "9223372036854775807", `"9223372036854775807"`},
		{catalog.FormNumeric, "0.10", `"0.10"`}, {catalog.FormNumeric, "NaN", `"NaN"`}, {catalog.FormNumeric, "-Infinity", `"-Infinity"`},
		{catalog.FormFloat, "0.1", "0.1"}, {catalog.FormFloat, "-0", "-0"}, {catalog.FormFloat, "1e+300", "1e+300"}, {catalog.FormFloat, "1e-05", "1e-05"},
		{catalog.FormFloat, "NaN", `"NaN"`}, {catalog.FormFloat, "Infinity", `"Infinity"`}, {catalog.FormFloat, "-Infinity", `"-Infinity"`},
		{catalog.FormBool, "t", "true"}, {catalog.FormBool, "f", "false"},
		{catalog.FormJSON, "{\"a\":\n\t1.0e999}", `{"a":  1.0e999}`}, {catalog.FormJSON, `"\u0041\n"`, `"\u0041\n"`},
		{catalog.FormDate, "2026-01-31", `"2026-01-31"`}, {catalog.FormDate, "0044-03-15 BC", `"-0043-03-15"`}, {catalog.FormDate, "0001-12-31 BC", `"0000-12-31"`},
		{catalog.FormDate, "4713-01-01 BC", `"-4712-01-01"`}, {catalog.FormDate, "5874897-12-31", `"+5874897-12-31"`}, {catalog.FormDate, "infinity", `"infinity"`},
		{catalog.FormTimestamp, "2026-01-31 08:00:00", `"2026-01-31T08:00:00"`}, {catalog.FormTimestamp, "2026-01-31 08:00:00.5", `"2026-01-31T08:00:00.5"`},
		{catalog.FormTimestamp, "0002-01-01 00:00:00.000001 BC", `"-0001-01-01T00:00:00.000001"`}, {catalog.FormTimestamp, "-infinity", `"-infinity"`},
		{catalog.FormTimestampTZ, "2026-01-31 08:00:00.123456+00", `"2026-01-31T08:00:00.123456Z"`}, {catalog.FormTimestampTZ, "0044-03-15 00:00:00+00 BC", `"-0043-03-15T00:00:00Z"`},
		{catalog.FormTimestampTZ, "294276-12-31 23:59:59.999999+00", `"+294276-12-31T23:59:59.999999Z"`},
		{catalog.FormString, "", `""`}, {catalog.FormString, "æøå \"\\/ \u2028 😀\u007f", "\"æøå \\\"\\\\/ \u2028 😀\u007f\""}, {catalog.FormString, "\x01\b\t\n\f\r\x1f", `"\u0001\u0008\t\n\u000c\r\u001f"`},
	}
	for _, c := range cases {
		got, err := appendValue(nil, c.form, text(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%d %q: %s, %v, want %s", c.form, c.in, got, err, c.want)
		}
		if !json.Valid(got) {
			t.Errorf("%s is not JSON", got)
		}
	}
	if got, err := appendValue(nil, catalog.FormInt, catalog.Value{Kind: catalog.Null}); err != nil || string(got) != "null" {
		t.Errorf("null: %s, %v", got, err)
	}
}

// What does not look like its type is an error that does not quote it; nothing is guessed.
func TestAppendValueRefuses(t *testing.T) {
	for form, texts := range map[catalog.Form][]string{
		catalog.FormInt:         {"", "-", "1.0", "0x1", "1e3", "secret", "１"},
		catalog.FormBool:        {"", "true", "T", "secret"},
		catalog.FormFloat:       {"", ".", "-", "nan", "secret", "0x1p3", "1,5"},
		catalog.FormDate:        {"", "31.01.2026", "01/31/2026", "2026-1-31", "secret", "2026-01-31 08:00:00", "26-01-31"},
		catalog.FormTimestamp:   {"", "2026-01-31", "Sat Jan 31 08:00:00 2026", "2026-01-31T08:00:00", "31.01.2026 08:00:00", "secret"},
		catalog.FormTimestampTZ: {"", "2026-01-31 08:00:00", "2026-01-31 08:00:00+01", "2026-01-31 08:00:00 CET", "2026-01-31 08:00:00+00:30", "secret"},
	} {
		for _, s := range texts {
			got, err := appendValue(nil, form, catalog.Value{Kind: catalog.Text, Text: []byte(s)})
			if err == nil {
				t.Errorf("form %d: %q was taken as %s", form, s, got)
			} else if len(s) > 5 && strings.Contains(err.Error(), s) {
				t.Errorf("form %d: the error quotes the value: %v", form, err)
			}
		}
	}
}

// Strings are as encoding/json reads them, for every legal text.
func TestAppendStringIsJSON(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		var b []byte
		for range rnd.IntN(20) {
			r := rune(rnd.IntN(0x80))
			switch rnd.IntN(4) {
			case 0:
				r = rune(rnd.IntN(0x20))
			case 1:
				r = rune(rnd.IntN(utf8.MaxRune))
			}
			if !utf8.ValidRune(r) {
				continue
			}
			b = utf8.AppendRune(b, r)
		}
		var back string
		got := appendString(nil, b)
		if err := json.Unmarshal(got, &back); err != nil || back != string(b) {
			t.Fatalf("%q: %s, %v", b, got, err)
		}
		for _, c := range got {
			if c < ' ' {
				t.Fatalf("%q holds a control character", got)
			}
		}
		if len(b) > 0 {
			plain, err := plainString(got)
			if strings.ContainsRune(string(got), '\\') != (err != nil) || err == nil && string(plain) != string(b) {
				t.Fatalf("plainString(%s): %q, %v", got, plain, err)
			}
		}
	}
}

// An error of a row names table and column and nothing of the row.
func TestValueError(t *testing.T) {
	cat, err := catalog.LoadDir("testdata/catalog")
	if err != nil {
		t.Fatal(err)
	}
	table, _ := cat.Table("public", "samtale")
	row := catalog.Row{{Kind: catalog.Text, Text: []byte("0101011234")}, {}, {}, {}, {}, {}}
	for i := 1; i < len(row); i++ {
		row[i] = catalog.Value{Kind: catalog.Text, Text: []byte("0101011234x")}
	}
	enc := newEncoder("m", nil)
	c := capture.Change{Table: table, Op: capture.Insert, New: row}
	if err := enc.begin(&c); err != nil {
		t.Fatal(err)
	}
	_, err = enc.event(nil, OpInsert, 0)
	var v *ValueError
	if !errors.As(err, &v) || v.Table != "public.samtale" || v.Column != "type" || strings.Contains(err.Error(), "0101") || !v.Permanent() {
		t.Errorf("error %v", err)
	}
	// A column of the key, or one that decides who gets the row, that was not sent.
	row[0] = catalog.Value{}
	if err := enc.begin(&c); !errors.As(err, &v) || v.Column != "id" {
		t.Errorf("error %v", err)
	}
}
