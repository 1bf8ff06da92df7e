package streams

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"supstream/capture"
)

// Decode reads a structured CloudEvent of ours into e; e's slices point into
// data. It takes the attributes in any order and passes over unknown ones, as
// CloudEvents allows. Seq and Bruger come from the message, not from the data.
func (e *Event) Decode(data []byte) error {
	// The names are mostly those of the event before.
	*e = Event{Seq: e.Seq, Bruger: e.Bruger, Dataomraade: e.Dataomraade, Table: e.Table}
	var typ, sequence []byte
	err := eachField(data, func(name, value []byte) (err error) {
		switch string(name) {
		case "id":
			var id []byte
			id, err = plainString(value)
			e.ID = string(id)
		case "sequence":
			sequence, err = plainString(value)
		case "type":
			typ, err = plainString(value)
		case "time":
			var t []byte
			if t, err = plainString(value); err == nil {
				e.Time, err = time.Parse(time.RFC3339Nano, string(t))
			}
		case "xid":
			var text []byte
			if text, err = plainString(value); err == nil {
				var xid uint64
				xid, err = strconv.ParseUint(string(text), 10, 32)
				e.XID = uint32(xid)
			}
		case "data":
			return eachField(value, func(name, value []byte) error {
				switch string(name) {
				case "key":
					e.Key = value
				case "row":
					e.Row = value
				}
				return nil
			})
		}
		if err != nil {
			return fmt.Errorf("attribute %s is malformed", name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	if len(sequence) < len("0000000000000000-00000000") {
		return errors.New("event: attribute sequence is missing or too short")
	}
	if e.Position, err = capture.ParsePosition(string(sequence[:25])); err != nil {
		return fmt.Errorf("event: attribute sequence: %w", err)
	}
	return e.decodeType(typ)
}

// decodeType takes "dk.dfdg.<dataomraade>.<tabel>.<op>" apart.
func (e *Event) decodeType(typ []byte) error {
	rest, ok := bytes.CutPrefix(typ, []byte("dk.dfdg."))
	area, rest, ok2 := bytes.Cut(rest, []byte("."))
	table, op, ok3 := bytes.Cut(rest, []byte("."))
	if !ok || !ok2 || !ok3 {
		return fmt.Errorf("event %s: type %q: want dk.dfdg.<dataomraade>.<tabel>.<op>", e.ID, typ)
	}
	if e.Dataomraade != string(area) {
		e.Dataomraade = string(area)
	}
	if e.Table != string(table) {
		e.Table = string(table)
	}
	if e.Op, ok = parseOp(op); !ok {
		return fmt.Errorf("event %s: unknown kind of event %q", e.ID, op)
	}
	if e.Op != OpTruncate && e.Key == nil || e.Op.HasRow() != (e.Row != nil) {
		return fmt.Errorf("event %s: key or row is missing, or there is a row too many", e.ID)
	}
	return nil
}

var errJSON = errors.New("not a JSON object")

// eachField calls yield with the name and the raw value of each field of a
// JSON object. Names with escapes do not occur among those we look for.
func eachField(b []byte, yield func(name, value []byte) error) error {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return errJSON
	}
	i = skipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return nil
	}
	for {
		end := skipString(b, i)
		if end < 0 {
			return errJSON
		}
		name := b[i+1 : end-1]
		i = skipSpace(b, end)
		if i >= len(b) || b[i] != ':' {
			return errJSON
		}
		i = skipSpace(b, i+1)
		end = skipValue(b, i)
		if end < 0 {
			return errJSON
		}
		if err := yield(name, b[i:end]); err != nil {
			return err
		}
		i = skipSpace(b, end)
		if i >= len(b) {
			return errJSON
		}
		if b[i] == '}' {
			return nil
		}
		if b[i] != ',' {
			return errJSON
		}
		i = skipSpace(b, i+1)
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// skipString returns the index behind the string that starts at i, or -1.
func skipString(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for i++; ; {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		end := i + n
		escapes := end
		for escapes > i && b[escapes-1] == '\\' {
			escapes--
		}
		i = end + 1
		if (end-escapes)%2 == 0 { // the quote itself is not escaped
			return i
		}
	}
}

// skipValue returns the index behind the value that starts at i, or -1. It
// matches brackets and strings and leaves finer checks to whoever reads on.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '{', '[':
				depth++
			case '}', ']':
				depth--
				if depth == 0 {
					return i + 1
				}
			case '"':
				if i = skipString(b, i); i < 0 {
					return -1
				}
				continue
			}
			i++
		}
		return -1
	}
	start := i
	for i < len(b) && !ends(b[i]) {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// ends says that c comes behind a number or a word.
func ends(c byte) bool {
	return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\t' || c == '\r' || c == '\n'
}

// plainString is the content of a JSON string without escapes.
func plainString(b []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' || bytes.IndexByte(b, '\\') >= 0 {
		return nil, errJSON
	}
	return b[1 : len(b)-1], nil
}
