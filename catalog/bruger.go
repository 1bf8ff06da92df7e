package catalog

import (
	"cmp"
	"fmt"
	"strings"
)

// Axis is the kind of authority that owns rows.
type Axis uint8

const (
	Kommune Axis = iota + 1
	Akasse
	Alle
)

// String returns "kommune", "akasse" or "alle".
func (a Axis) String() string {
	switch a {
	case Kommune:
		return "kommune"
	case Akasse:
		return "akasse"
	case Alle:
		return "alle"
	}
	return fmt.Sprintf("axis(%d)", uint8(a))
}

// ParseAxis is the inverse of Axis.String.
func ParseAxis(s string) (Axis, error) {
	for _, a := range []Axis{Kommune, Akasse, Alle} {
		if s == a.String() {
			return a, nil
		}
	}
	return 0, fmt.Errorf("unknown axis %q: want kommune, akasse or alle", s)
}

// UnmarshalText is ParseAxis.
func (a *Axis) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAxis(string(text))
	return err
}

// Bruger is an authority that may receive rows: a kommune, an a-kasse, or
// Alle, which stands for reference data that everybody may have and has no
// Kode. The zero Bruger is nobody. Bruger is comparable.
type Bruger struct {
	Axis Axis
	Kode string
}

// String returns "kommune.751", "akasse.908" or "alle".
func (b Bruger) String() string {
	if b.Axis == Alle {
		return b.Axis.String()
	}
	return b.Axis.String() + "." + b.Kode
}

// ParseBruger is the inverse of Bruger.String. It accepts every well-formed
// Bruger, known to a catalogue or not.
func ParseBruger(s string) (Bruger, error) {
	axis, kode, dotted := strings.Cut(s, ".")
	a, err := ParseAxis(axis)
	if err != nil || dotted == (a == Alle) || dotted && !validKode(kode) {
		return Bruger{}, fmt.Errorf("bruger %q: want kommune.<kode>, akasse.<kode> or alle, where kode is digits or lower-case letters", s)
	}
	return Bruger{Axis: a, Kode: kode}, nil
}

// Compare orders by axis (kommune, akasse, alle), then by Kode as text.
func (b Bruger) Compare(other Bruger) int {
	return cmp.Or(cmp.Compare(b.Axis, other.Axis), strings.Compare(b.Kode, other.Kode))
}

// validKode tells whether s can stand in a subject, a folder name and a file
// name: 1 to 16 digits or lower-case ASCII letters, and not only zeros.
func validKode(s string) bool {
	if len(s) > 16 || strings.Trim(s, "0") == "" {
		return false
	}
	for _, r := range s {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return true
}

// bareKode is the form in which codes are compared: without blanks around it
// and without leading zeros, because registers write the same kommunekode as
// 101 and as 0101. The result shares memory with code.
func bareKode(code []byte) []byte {
	for len(code) > 0 && (code[0] == ' ' || code[0] == '0') {
		code = code[1:]
	}
	for len(code) > 0 && code[len(code)-1] == ' ' {
		code = code[:len(code)-1]
	}
	return code
}
