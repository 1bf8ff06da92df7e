package yamlfile_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"supstream/internal/yamlfile"
)

// level has a text form of its own.
type level int

func (l *level) UnmarshalText(text []byte) error {
	if string(text) != "high" {
		return errors.New("want high")
	}
	*l = 3
	return nil
}

type part struct {
	Name  string   `yaml:"name"`
	Codes []string `yaml:"codes"`
}

type file struct {
	Title   string            `yaml:"title"`
	Count   int8              `yaml:"count"`
	Size    uint64            `yaml:"size"`
	Share   float64           `yaml:"share"`
	On      bool              `yaml:"on"`
	Every   time.Duration     `yaml:"every"`
	Level   level             `yaml:"level"`
	Only    *part             `yaml:"only"`
	Parts   []part            `yaml:"parts"`
	Labels  map[string]string `yaml:"labels"`
	Default string
	hidden  string
}

func TestDecode(t *testing.T) {
	const text = `
title: Ørsted 2026-01-31   # a comment
count: -5
size: 18446744073709551615
share: 0.25
on: true
every: 14d
level: high
only: {name: 7, codes: [0101, "751", 2026-01-31, true]}
parts:
  - name: a
  - name: b
    codes: []
labels:
  x: "1"
  y: two words
`
	got := file{Default: "kept"}
	if _, err := yamlfile.Decode("a.yaml", []byte(text), &got); err != nil {
		t.Fatal(err)
	}
	want := file{
		Title: "Ørsted 2026-01-31", Count: -5, Size: 1<<64 - 1, Share: 0.25, On: true, Every: 14 * 24 * time.Hour, Level: 3,
		Only:    &part{Name: "7", Codes: []string{"0101", "751", "2026-01-31", "true"}},
		Parts:   []part{{Name: "a"}, {Name: "b", Codes: []string{}}},
		Labels:  map[string]string{"x": "1", "y": "two words"},
		Default: "kept",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	const keys = "count, default, every, labels, level, on, only, parts, share, size, title"
	tests := []struct{ name, in, want string }{
		{"empty", "", "a.yaml: the file is empty"},
		{"only a comment", "# nothing\n", "a.yaml: the file is empty"},
		{"null", "~\n", "a.yaml:1: the file has no value: give one or remove the key"},
		{"syntax", "title: a\ncount: [1\n", "a.yaml:2: not valid YAML: did not find expected ',' or ']'"},
		{"indentation", "title: a\nparts:\n  - name: b\n - name: c\n", "a.yaml:4: not valid YAML: did not find expected key"},
		{"tab", "title:\n\tx: 1\n", "a.yaml:2: not valid YAML: found character that cannot start any token"},
		{"not UTF-8", "title: \xff\n", "a.yaml: not valid YAML: invalid leading UTF-8 octet"},
		{"two documents", "title: a\n---\ntitle: b\n", "a.yaml:2: a second document begins here: only one is allowed"},
		{"not a mapping", "- title\n", "a.yaml:1: the file: want keys and values (key: value)"},
		{"unknown key", "title: a\ntitel: b\n", `a.yaml:2: unknown key "titel" in the file: want one of ` + keys},
		{"unexported field", "hidden: a\n", `a.yaml:1: unknown key "hidden" in the file: want one of ` + keys},
		{"nested unknown key", "parts:\n- name: a\n- nam: b\n", `a.yaml:3: unknown key "nam" in parts[1]: want one of codes, name`},
		{"key twice", "title: a\ncount: 1\ntitle: b\n", `a.yaml:3: key "title" is given twice in the file: first in line 1`},
		{"map key twice", "labels:\n  x: a\n  x: b\n", `a.yaml:3: key "x" is given twice in labels: first in line 2`},
		{"no value", "title:\n", "a.yaml:1: title has no value: give one or remove the key"},
		{"no element", "parts:\n-\n", "a.yaml:2: parts[0] has no value: give one or remove the key"},
		{"list for text", "title: [a]\n", "a.yaml:1: title: want a text"},
		{"text for list", "parts: a\n", "a.yaml:1: parts: want a list"},
		{"text for struct", "only: a\n", "a.yaml:1: only: want keys and values (key: value)"},
		{"text for number", "count: many\n", "a.yaml:1: count: want a whole number"},
		{"quoted number", "count: \"5\"\n", "a.yaml:1: count: want a whole number"},
		{"number too large", "count: 128\n", "a.yaml:1: count: want a whole number"},
		{"negative", "size: -1\n", "a.yaml:1: size: want a whole number from 0"},
		{"fraction", "count: 1.5\n", "a.yaml:1: count: want a whole number"},
		{"text for float", "share: half\n", "a.yaml:1: share: want a number"},
		{"yes for true", "on: yes\n", "a.yaml:1: on: want true or false"},
		{"duration without unit", "every: 5\n", "a.yaml:1: every: want a duration such as 90s, 1h30m or 14d"},
		{"days", "every: -3d\n", "a.yaml:1: every: want a duration such as 90s, 1h30m or 14d"},
		{"own type", "level: low\n", "a.yaml:1: level: want high"},
		{"own type, list", "level: [high]\n", "a.yaml:1: level: want a single value"},
		{"anchor", "title: &t a\n", "a.yaml:1: title: anchors and aliases are not allowed: write the value out"},
		{"alias", "labels: {x: &t a, y: *t}\n", "a.yaml:1: x: anchors and aliases are not allowed: write the value out\na.yaml:1: y: anchors and aliases are not allowed: write the value out"},
		{"merge", "labels:\n  <<: {x: a}\n", "a.yaml:2: labels: keys must be plain words"},
		{"tag", "title: !!binary YQ==\n", "a.yaml:1: title: tags are not allowed: remove !!binary"},
		{"all errors at once", "count: x\nparts:\n- codes: [[a]]\n- {nam: b, name: [c]}\nshare: y\n",
			"a.yaml:1: count: want a whole number\n" +
				"a.yaml:3: codes[0]: want a text\n" +
				"a.yaml:4: unknown key \"nam\" in parts[1]: want one of codes, name\n" +
				"a.yaml:4: name: want a text\n" +
				"a.yaml:5: share: want a number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := yamlfile.Decode("a.yaml", []byte(tt.in), new(file))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestErrorf(t *testing.T) {
	const text = `# first line
title: a
parts:
  - name: b
    codes:
      - "1"
      - "2"
  - name: c
`
	doc, err := yamlfile.Decode("a.yaml", []byte(text), new(file))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path []any
		line int
	}{
		{nil, 2},
		{[]any{"parts"}, 3},
		{[]any{"parts", 0}, 4},
		{[]any{"parts", 0, "codes"}, 5},
		{[]any{"parts", 0, "codes", 1}, 7},
		{[]any{"parts", 1, "codes", 1}, 8}, // has no codes: its parent
		{[]any{"parts", 2, "name"}, 3},
		{[]any{"title", "x"}, 2},
		{[]any{"missing"}, 2},
	}
	for _, tt := range tests {
		want := fmt.Sprintf("a.yaml:%d: wrong by 3", tt.line)
		if got := doc.Errorf(tt.path, "wrong by %d", 3).Error(); got != want {
			t.Errorf("%v: got %q, want %q", tt.path, got, want)
		}
	}
}

func TestJoin(t *testing.T) {
	at := func(file string, line int) error { return &yamlfile.Error{File: file, Line: line, Msg: "wrong"} }
	if err := yamlfile.Join(nil, yamlfile.Join()); err != nil {
		t.Errorf("joined nothing: %v", err)
	}
	err := yamlfile.Join(at("b", 2), nil, errors.Join(at("b", 10), yamlfile.Join(at("a", 7), at("b", 2))), errors.New("all wrong"), at("b", 0))
	if got, want := err.Error(), "all wrong\na:7: wrong\nb: wrong\nb:2: wrong\nb:10: wrong"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	var e *yamlfile.Error
	if !errors.As(err, &e) || e.File != "a" || e.Line != 7 {
		t.Errorf("errors.As found %+v", e)
	}
}

func TestErrorsHoldNoValues(t *testing.T) {
	const text = "count: hunter2\nshare: hunter2\non: hunter2\nevery: hunter2\nonly: hunter2\nparts: hunter2\nlabels: hunter2\n"
	_, err := yamlfile.Decode("a.yaml", []byte(text), new(file))
	if err == nil || strings.Count(err.Error(), "\n") != 6 {
		t.Errorf("want seven errors, have: %v", err)
	}
	if strings.Contains(fmt.Sprint(err), "hunter2") {
		t.Errorf("a value is repeated: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("title: a\nparts:\n- {name: b, codes: [c]}\n"))
	f.Add([]byte("a: &x [*x]\n<<: *x\n"))
	f.Add([]byte("? [a]\n: b\n--- !t\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := yamlfile.Decode("a.yaml", data, new(file))
		if doc == nil && err == nil {
			t.Error("neither a document nor an error")
		}
	})
}
