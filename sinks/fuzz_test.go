package sinks

import (
	"bytes"
	"io"
	"testing"

	"supstream/projections"
	"supstream/projections/durable/crashfs"
	"supstream/projections/sinktest"
)

// To fuzz longer: go test ./sinks -run - -fuzz FuzzManifest -fuzzminimizetime 10x

// Whatever stands in a manifest, reading it does not panic, and what is accepted can be written again to the same fields.
func FuzzManifest(f *testing.F) {
	fsys := crashfs.New()
	o := newOutbox(f, fsys, "outbox")
	publish(f, o, threeFiles(f, sinktest.Chain("a"))...)
	for name, content := range fsys.Files() {
		if bytes.HasSuffix([]byte(name), []byte(ManifestSuffix)) {
			f.Add([]byte(content))
		}
	}
	f.Add([]byte(`{"format":1,"signature":"` + "\"}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := DecodeManifest(b, publicKeys()); err == nil && m.Key != KeyID(publicKeys()[0]) {
			t.Fatal("accepted with another key")
		}
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		again, err := EncodeManifest(m, testKey())
		if err != nil {
			t.Fatal(err)
		}
		m2, err := parseManifest(again)
		if err != nil || m2.Name() != m.Name() {
			t.Fatalf("written again: %v", err)
		}
	})
}

// Whatever stands in a line, reading it does not panic, and a row that is accepted survives writing and reading.
func FuzzDecoder(f *testing.F) {
	for _, r := range []projections.Row{sinktest.Row('I', "a", "æøå"), sinktest.Row('D', "a", ""), sinktest.Row('T', "", ""), realisticRow(1)} {
		f.Add(AppendRow(nil, &r))
	}
	f.Add([]byte(`{"op":"I","table":"x","key":{},"row":{},"time":"2026-01-01T00:00:00Z","xid":1,"changes":1,"more":[]}`))
	f.Add([]byte(`{"op":"D","table":"x","key":"","time":1e9}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var d Decoder
		if d.parse(line) != nil || !slugPattern.MatchString(d.row.Table) {
			return
		}
		if y := d.row.Time.Year(); y < 1 || y > 9999 {
			return
		}
		text := AppendRow(nil, &d.row)
		var again Decoder
		if err := again.parse(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !bytes.Equal(AppendRow(nil, &again.row), text) {
			t.Fatalf("%s became %s", text, AppendRow(nil, &again.row))
		}
	})
}

func TestDecoderRefusesWhatIsNotCompressed(t *testing.T) {
	d, err := NewDecoder(bytes.NewReader([]byte("not zstd at all")))
	if err == nil {
		_, err = d.Next()
		d.Close()
	}
	if err == nil || err == io.EOF {
		t.Errorf("error %v", err)
	}
}
