package catalog

import (
	"fmt"
	"log/slog"
)

// Kind tells what a Value is.
type Kind uint8

const (
	Absent    Kind = iota // not sent, as in the old row of an index identity
	Null                  // SQL NULL
	Text                  // a value; Value.Text is its text form
	Unchanged             // a large value that Postgres left out because it did not change
)

// String returns "absent", "null", "text" or "unchanged".
func (k Kind) String() string {
	switch k {
	case Absent:
		return "absent"
	case Null:
		return "null"
	case Text:
		return "text"
	case Unchanged:
		return "unchanged"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Value is one column value as Postgres wrote it in text form.
// Text is set only when Kind is Text. Printing or logging a Value shows its
// Kind and never its content.
type Value struct {
	Kind Kind
	Text []byte
}

// Format writes the kind of the value, for every verb.
func (v Value) Format(s fmt.State, _ rune) { fmt.Fprint(s, v.Kind.String()) }

// LogValue is the kind of the value.
func (v Value) LogValue() slog.Value { return slog.StringValue(v.Kind.String()) }

// Row holds one Value per Table.Columns, in the same order. A nil Row means
// that there is no row (the old row of an insert, the new row of a delete).
// Printing or logging a Row shows its width and never its content.
type Row []Value

// Format writes the width of the row, for every verb.
func (r Row) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }

// LogValue is the width of the row.
func (r Row) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String returns the width of the row, such as "row(14 columns)".
func (r Row) String() string {
	if r == nil {
		return "no row"
	}
	return fmt.Sprintf("row(%d columns)", len(r))
}

// at returns the value of a column; a column beyond the row is Absent.
func (r Row) at(column int) Value {
	if column >= len(r) {
		return Value{}
	}
	return r[column]
}
