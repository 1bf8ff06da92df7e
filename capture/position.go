package capture

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Position orders all changes of a mirror: by the commit position of the
// transaction, then by the change's ordinal within it, counted from 1.
//
// {L, 0} lies after every change committed before L and before every change of
// a transaction committed at L; it reads "everything before L".
type Position struct {
	LSN     uint64
	Ordinal uint32
}

// positionLen is the length of a position's text.
const positionLen = 16 + 1 + 8

// Compare returns -1, 0 or +1.
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.LSN, q.LSN); c != 0 {
		return c
	}
	return cmp.Compare(p.Ordinal, q.Ordinal)
}

// Boundary reports whether p lies between two transactions.
func (p Position) Boundary() bool { return p.Ordinal == 0 }

// String is the fixed-width text of p; texts sort as positions do.
func (p Position) String() string {
	return string(p.Append(make([]byte, 0, positionLen)))
}

// Append appends the text of p to b.
func (p Position) Append(b []byte) []byte {
	b = AppendHex(b, p.LSN, 16)
	b = append(b, '-')
	return AppendHex(b, uint64(p.Ordinal), 8)
}

// MarshalText and UnmarshalText make a Position its text in JSON and YAML.
func (p Position) MarshalText() ([]byte, error) { return p.Append(nil), nil }

// UnmarshalText parses what MarshalText wrote.
func (p *Position) UnmarshalText(b []byte) error {
	q, err := ParsePosition(string(b))
	if err == nil {
		*p = q
	}
	return err
}

// ParsePosition parses the text that String gives; it accepts nothing else.
func ParsePosition(s string) (Position, error) {
	if len(s) != positionLen || s[16] != '-' {
		return Position{}, fmt.Errorf("position %q: want 16 and 8 hexadecimal digits with a dash between", strings.Clone(s))
	}
	lsn, err1 := strconv.ParseUint(s[:16], 16, 64)
	ord, err2 := strconv.ParseUint(s[17:], 16, 32)
	p := Position{LSN: lsn, Ordinal: uint32(ord)}
	var text [positionLen]byte
	if err1 != nil || err2 != nil || string(p.Append(text[:0])) != s {
		return Position{}, fmt.Errorf("position %q: want upper-case hexadecimal digits", strings.Clone(s))
	}
	return p, nil // the clones above keep s from being copied to the heap by callers that have bytes
}

const hexDigits = "0123456789ABCDEF"

// AppendHex appends v as width upper-case hexadecimal digits.
func AppendHex(b []byte, v uint64, width int) []byte {
	for i := (width - 1) * 4; i >= 0; i -= 4 {
		b = append(b, hexDigits[v>>i&15])
	}
	return b
}
