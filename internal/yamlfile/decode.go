package yamlfile

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decoder fills Go values from nodes and collects what is wrong.
type decoder struct {
	file string
	errs []error
}

func (d *decoder) errorf(n *yaml.Node, format string, args ...any) {
	d.errs = append(d.errs, &Error{File: d.file, Line: n.Line, Msg: fmt.Sprintf(format, args...)})
}

func (d *decoder) document(n *yaml.Node, into any) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		panic(fmt.Sprintf("yamlfile: cannot decode into %T: want a pointer", into))
	}
	d.value(n, v.Elem(), "the file")
}

var durationType = reflect.TypeFor[time.Duration]()

// value decodes n into v; what names it in messages.
func (d *decoder) value(n *yaml.Node, v reflect.Value, what string) {
	switch {
	case n.Anchor != "" || n.Kind == yaml.AliasNode:
		d.errorf(n, "%s: anchors and aliases are not allowed: write the value out", what)
		return
	case n.Style&yaml.TaggedStyle != 0:
		d.errorf(n, "%s: tags are not allowed: remove %s", what, n.Tag)
		return
	case n.Tag == "!!null":
		d.errorf(n, "%s has no value: give one or remove the key", what)
		return
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), what)
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if d.scalar(n, what, "a single value") {
			if err := u.UnmarshalText([]byte(n.Value)); err != nil {
				d.errorf(n, "%s: %v", what, err)
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, what)
	case reflect.Map:
		d.mapping(n, v, what)
	case reflect.Slice:
		d.sequence(n, v, what)
	case reflect.String:
		if d.scalar(n, what, "a text") {
			v.SetString(n.Value)
		}
	default:
		if d.scalar(n, what, want(v)) && !setScalar(n, v) {
			d.errorf(n, "%s: want %s", what, want(v))
		}
	}
}

// scalar tells whether n is a single value, and complains if it is not.
func (d *decoder) scalar(n *yaml.Node, what, want string) bool {
	if n.Kind != yaml.ScalarNode {
		d.errorf(n, "%s: want %s", what, want)
		return false
	}
	return true
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, what string) {
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if tag == "" {
				tag = strings.ToLower(f.Name)
			}
			fields[tag] = v.Field(i)
		}
	}
	d.pairs(n, what, func(key string, k, val *yaml.Node) {
		f, ok := fields[key]
		if !ok {
			known := slices.Sorted(maps.Keys(fields))
			d.errorf(k, "unknown key %q in %s: want one of %s", key, what, strings.Join(known, ", "))
			return
		}
		d.value(val, f, key)
	})
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, what string) {
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, what, func(key string, _, val *yaml.Node) {
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(val, e, key)
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), e)
	})
}

// pairs calls do for the pairs of a mapping, and complains if n is none or has
// a key twice.
func (d *decoder) pairs(n *yaml.Node, what string, do func(key string, k, val *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.errorf(n, "%s: want keys and values (key: value)", what)
		return
	}
	first := map[string]int{}
	for i := 0; i < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode || k.Anchor != "" || k.Tag == "!!merge" {
			d.errorf(k, "%s: keys must be plain words", what)
			continue
		}
		if line, twice := first[k.Value]; twice {
			d.errorf(k, "key %q is given twice in %s: first in line %d", k.Value, what, line)
			continue
		}
		first[k.Value] = k.Line
		do(k.Value, k, val)
	}
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, what string) {
	if n.Kind != yaml.SequenceNode {
		d.errorf(n, "%s: want a list", what)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, e := range n.Content {
		d.value(e, v.Index(i), fmt.Sprintf("%s[%d]", what, i))
	}
}

// setScalar sets a duration, bool or number, if n is one that fits.
func setScalar(n *yaml.Node, v reflect.Value) bool {
	if v.Type() == durationType {
		t, err := ParseDuration(n.Value)
		v.SetInt(int64(t))
		return err == nil
	}
	// Not left to the YAML library, which takes 010 for 8 and "yes" for true.
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(n.Value == "true")
		return n.Tag == "!!bool" && (n.Value == "true" || n.Value == "false")
	case v.CanInt():
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		v.SetInt(i)
		return n.Tag == "!!int" && err == nil
	case v.CanUint():
		u, err := strconv.ParseUint(n.Value, 10, v.Type().Bits())
		v.SetUint(u)
		return n.Tag == "!!int" && err == nil
	default:
		f, err := strconv.ParseFloat(n.Value, v.Type().Bits())
		v.SetFloat(f)
		return (n.Tag == "!!int" || n.Tag == "!!float") && err == nil
	}
}

func want(v reflect.Value) string {
	switch k := v.Kind(); {
	case v.Type() == durationType:
		return "a duration such as 90s, 1h30m or 14d"
	case k == reflect.Bool:
		return "true or false"
	case v.CanInt():
		return "a whole number"
	case v.CanUint():
		return "a whole number from 0"
	case v.CanFloat():
		return "a number"
	}
	panic(fmt.Sprintf("yamlfile: cannot decode into %s", v.Type()))
}

// ParseDuration reads a Go duration or a whole number of days such as 14d.
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number of days such as 14d", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	return time.ParseDuration(s)
}
