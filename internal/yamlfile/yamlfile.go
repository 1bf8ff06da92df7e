// Package yamlfile reads YAML files strictly and says where an error is.
//
// Decode refuses everything that is not certainly meant: unknown keys, the
// same key twice, keys without a value, wrong types, anchors and aliases,
// several documents. All errors of a file are reported together, one per line,
// each as "file:line: what is wrong". Values are never repeated in an error,
// for they may be secrets.
//
//	var f struct {
//		Listen  string        `yaml:"listen"`
//		Timeout time.Duration `yaml:"timeout"`
//	}
//	doc, err := yamlfile.Decode("supstream.yaml", data, &f)
//	...
//	var errs []error
//	if f.Timeout < time.Second {
//		errs = append(errs, doc.Errorf([]any{"timeout"}, "must be at least 1s"))
//	}
//	return yamlfile.Join(errs...)
//
// Field names come from the yaml tag, else from the name in lower case. The
// types that can be read are structs, maps with string keys, slices, pointers,
// string, bool, the integers, floats, time.Duration and every type with
// UnmarshalText. A number or a date may stand where a string is wanted and is
// taken as written ("0101" stays "0101"). A Duration is a Go duration or whole
// days: 90s, 1h30m, 14d. Fields whose key is missing keep the value they had,
// which is how defaults are given.
package yamlfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Error is one thing that is wrong in a file. Line is 0 when the error
// concerns the file as a whole.
type Error struct {
	File string
	Line int
	Msg  string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return e.File + ":" + strconv.Itoa(e.Line) + ": " + e.Msg
}

// Document knows where the parts of a decoded file stand.
type Document struct {
	name string
	root *yaml.Node
}

// Decode reads the one YAML document in data into the struct, map or slice
// that into points at. name is the file name used in errors. The Document is
// nil if data is not one well-formed YAML document; otherwise it is returned
// along with any error, so that a caller may add errors of its own.
func Decode(name string, data []byte, into any) (*Document, error) {
	doc, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	d := decoder{file: name}
	d.document(doc.root, into)
	return doc, Join(d.errs...)
}

func parse(name string, data []byte) (*Document, error) {
	in := yaml.NewDecoder(bytes.NewReader(data))
	var root yaml.Node
	if err := in.Decode(&root); errors.Is(err, io.EOF) {
		return nil, &Error{File: name, Msg: "the file is empty"}
	} else if err != nil {
		return nil, syntaxError(name, err)
	}
	var next yaml.Node
	switch err := in.Decode(&next); {
	case err == nil:
		return nil, &Error{File: name, Line: next.Line, Msg: "a second document begins here: only one is allowed"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(name, err)
	}
	return &Document{name: name, root: root.Content[0]}, nil
}

var (
	yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	// The YAML library counts lines from 0 in these errors, from 1 in others.
	fromZero = regexp.MustCompile(`^did not find expected (<|'|key|node)`)
)

func syntaxError(name string, err error) error {
	e := &Error{File: name, Msg: err.Error()}
	if m := yamlError.FindStringSubmatch(e.Msg); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		if m[1] != "" && fromZero.MatchString(m[2]) {
			e.Line++
		}
		e.Msg = "not valid YAML: " + m[2]
	}
	return e
}

// Errorf returns an *Error at the place of path: string steps are keys of
// maps, int steps are indices of lists. If the path ends in something that the
// file does not have, the error stands at the deepest part that it has.
func (d *Document) Errorf(path []any, format string, args ...any) error {
	return &Error{File: d.name, Line: d.Line(path...), Msg: fmt.Sprintf(format, args...)}
}

// Line returns the line of a path; see Errorf.
func (d *Document) Line(path ...any) int {
	node, line := d.root, d.root.Line
	for _, step := range path {
		at, next := child(node, step)
		if next == nil {
			break
		}
		node, line = next, at.Line
	}
	return line
}

// child returns the node where a step stands and the node it leads to.
func child(node *yaml.Node, step any) (at, next *yaml.Node) {
	switch s := step.(type) {
	case string:
		if node.Kind == yaml.MappingNode {
			for i := 0; i < len(node.Content); i += 2 {
				if node.Content[i].Value == s {
					return node.Content[i], node.Content[i+1]
				}
			}
		}
	case int:
		if node.Kind == yaml.SequenceNode && s >= 0 && s < len(node.Content) {
			return node.Content[s], node.Content[s]
		}
	}
	return nil, nil
}

// Join returns the errors as one, in the order of files and lines, after those
// that name no file; a repeated text stands once. It opens up errors that Join or errors.Join made, leaves out nil, and
// returns nil when nothing is left. errors.As finds each *Error in it.
func Join(errs ...error) error {
	var flat []error
	for _, err := range errs {
		flat = flatten(flat, err)
	}
	slices.SortStableFunc(flat, func(a, b error) int {
		x, y := whereOf(a), whereOf(b)
		return cmp.Or(strings.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line))
	})
	flat = slices.CompactFunc(flat, func(a, b error) bool { return a.Error() == b.Error() })
	if len(flat) == 1 {
		return flat[0]
	}
	return errors.Join(flat...)
}

// whereOf returns the place of an error; one without a place comes first.
func whereOf(err error) Error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return *e
	}
	return Error{}
}

func flatten(flat []error, err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			flat = flatten(flat, e)
		}
		return flat
	}
	if err != nil {
		flat = append(flat, err)
	}
	return flat
}
