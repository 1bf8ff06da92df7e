package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// LiveColumn is a column of the database as pg_catalog describes it: Type is
// format_type(atttypid, atttypmod).
type LiveColumn struct {
	Name      string
	Type      string
	NotNull   bool
	Generated bool // attgenerated is not empty
}

// LiveTable is a table of the database. Columns are the columns in order, Key
// the names of the primary key's columns in the order of the key. Identity is
// the replica identity as a catalogue writes it, "nothing" for none, and
// IdentityColumns are the columns of its index (for default, of the primary
// key).
type LiveTable struct {
	Columns         []LiveColumn
	Key             []string
	Identity        string
	IdentityColumns []string
}

// Drift is the kind of a difference between catalogue and database.
type Drift uint8

const (
	TableMissing    Drift = iota + 1 // the database has no such table
	ColumnMissing                    // a column of the catalogue is gone
	ColumnAdded                      // a column the catalogue does not list; it is not carried
	ColumnGenerated                  // a column is generated; replication leaves such columns out
	TypeChanged                      // a column has another type
	NullAllowed                      // a column may be null, the catalogue says it may not
	NullRefused                      // a column may not be null, the catalogue says it may
	KeyChanged                       // the primary key has other columns
	IdentityChanged                  // old rows do not tell what routing needs
	TableReplaced                    // another table has the name now; what became of the old one's rows was not told
	Unpublished                      // the publication leaves the table out, so its changes are not sent
)

var drifts = [...]string{
	"", "table_missing", "column_missing", "column_added", "column_generated", "type_changed",
	"null_allowed", "null_refused", "key_changed", "identity_changed", "table_replaced", "unpublished",
}

// String returns the kind as it stands in logs and metrics.
func (d Drift) String() string { return nameOf(drifts[:], uint8(d), "drift") }

// DriftError is one difference between the catalogue and the database. Column
// is empty when the difference concerns the table as a whole. Want and Have
// are what the catalogue says and what the database has.
type DriftError struct {
	Table      *Table
	Column     string
	Kind       Drift
	Want, Have string
}

// Info tells whether the difference is only for information: it takes nothing
// from what the catalogue promises. Every other difference must hold the area.
func (e *DriftError) Info() bool { return e.Kind == ColumnAdded || e.Kind == NullRefused }

// Error says what differs and what to do.
func (e *DriftError) Error() string {
	switch e.Kind {
	case TableMissing:
		return fmt.Sprintf("table %s is not in the database: create it or take it out of the catalogue", e.Table)
	case ColumnMissing:
		return fmt.Sprintf("table %s has no column %s: restore it or take it out of the catalogue", e.Table, e.Column)
	case ColumnAdded:
		return fmt.Sprintf("table %s has a column %s that the catalogue does not list: it is not carried", e.Table, e.Column)
	case ColumnGenerated:
		return fmt.Sprintf("table %s, column %s is generated and cannot be replicated: take it out of the catalogue", e.Table, e.Column)
	case TypeChanged:
		return fmt.Sprintf("table %s, column %s is %s, the catalogue says %s: change the catalogue and raise the area's version", e.Table, e.Column, e.Have, e.Want)
	case NullAllowed:
		return fmt.Sprintf("table %s, column %s may be null, the catalogue says it may not: say nullable: true", e.Table, e.Column)
	case NullRefused:
		return fmt.Sprintf("table %s, column %s is never null: nullable: true may go from the catalogue", e.Table, e.Column)
	case KeyChanged:
		return fmt.Sprintf("table %s has the primary key (%s), the catalogue says (%s): change the catalogue and raise the area's version", e.Table, e.Have, e.Want)
	case TableReplaced:
		return fmt.Sprintf("table %s is another one than before: it is read again", e.Table)
	case Unpublished:
		return fmt.Sprintf("table %s is not in the publication: its owner can add it (ALTER PUBLICATION … ADD TABLE %s); it is read again then", e.Table, e.Table.SQL())
	default:
		return fmt.Sprintf("table %s has replica identity %s, want %s: %s", e.Table, e.Have, e.Want, e.remedy())
	}
}

func (e *DriftError) remedy() string {
	if index, named := strings.CutPrefix(e.Table.Identity, "index:"); named {
		return fmt.Sprintf("make a unique index over the key and the columns that decide who owns a row, then ALTER TABLE %s REPLICA IDENTITY USING INDEX %s", e.Table.SQL(), QuoteIdentifier(index))
	}
	identity := strings.ToUpper(e.Table.Identity)
	if e.Table.Identity == "default" && e.Have == unusableDefault {
		identity = "FULL, or make the primary key not deferrable"
	}
	return fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY %s", e.Table.SQL(), identity)
}

// unusableDefault is the default identity of a table where Postgres does not
// see a primary key.
const unusableDefault = "default without a primary key that is not deferrable"

// Check compares a table of the catalogue with the database. live is nil if
// the database has no such table. The differences come in the order of the
// catalogue's columns, then added columns, key and identity; none is nil.
//
// A replica identity that tells more than the catalogue asks for is accepted:
// full always, and an index of any name if it has the key and all columns that
// decide who owns a row.
func Check(t *Table, live *LiveTable) []*DriftError {
	if live == nil {
		return []*DriftError{{Table: t, Kind: TableMissing}}
	}
	var found []*DriftError
	add := func(kind Drift, column, want, have string) {
		found = append(found, &DriftError{Table: t, Column: column, Kind: kind, Want: want, Have: have})
	}
	for _, want := range t.Columns {
		i := slices.IndexFunc(live.Columns, func(c LiveColumn) bool { return c.Name == want.Name })
		if i < 0 {
			add(ColumnMissing, want.Name, want.Type, "")
			continue
		}
		have := live.Columns[i]
		if have.Generated {
			add(ColumnGenerated, want.Name, "", "")
		}
		if have.Type != want.Type {
			add(TypeChanged, want.Name, want.Type, have.Type)
		}
		switch {
		case !have.NotNull && !want.Nullable:
			add(NullAllowed, want.Name, "not null", "null")
		case have.NotNull && want.Nullable:
			add(NullRefused, want.Name, "null", "not null")
		}
	}
	for _, have := range live.Columns {
		if _, listed := t.Column(have.Name); !listed {
			add(ColumnAdded, have.Name, "", have.Type)
		}
	}
	if key := t.names(t.Key); !slices.Equal(key, live.Key) {
		add(KeyChanged, "", strings.Join(key, ", "), strings.Join(live.Key, ", "))
	}
	if !t.identified(live) {
		have := live.Identity
		if have == "default" && len(live.IdentityColumns) == 0 {
			have = unusableDefault
		}
		add(IdentityChanged, "", t.Identity, have)
	}
	return found
}

// identified tells whether the old rows of the database hold what routing and
// keys need.
func (t *Table) identified(live *LiveTable) bool {
	if live.Identity == "full" {
		return true
	}
	for _, name := range append(t.names(t.Key), t.names(t.Routing())...) {
		if !slices.Contains(live.IdentityColumns, name) {
			return false
		}
	}
	return live.Identity == "default" || strings.HasPrefix(live.Identity, "index:")
}

func (t *Table) names(columns []int) []string {
	names := make([]string, len(columns))
	for n, i := range columns {
		names[n] = t.Columns[i].Name
	}
	return names
}
