package projections

import (
	"errors"
	"fmt"
	"time"

	"supstream/catalog"
	"supstream/streams"
)

// FormatVersion is the version of the file contract, docs/FILES.md.
const FormatVersion = 1

// Manifest describes one file of a chain. It is the chain's checkpoint when it is the newest. Everything in it follows from the
// stream, the catalogue and the files before it. The fields are explained in docs/FILES.md.
type Manifest struct {
	Format        int             `json:"format"`
	Kind          Kind            `json:"kind"`
	Opgaveloeser  string          `json:"opgaveloeser"`
	Bruger        string          `json:"bruger"`
	Dataomraade   string          `json:"dataomraade"`
	SchemaVersion int             `json:"schema_version"`
	Catalog       string          `json:"catalog_version"`
	Sequence      uint64          `json:"sequence"`
	AppliesAfter  *uint64         `json:"applies_after,omitempty"` // not for deltas: the sequence of the file before
	Previous      *Reference      `json:"previous,omitempty"`
	Period        Period          `json:"period"`
	From          Point           `json:"from"`
	To            Point           `json:"to"`
	Incarnation   string          `json:"incarnation"`
	Data          DataFile        `json:"data"`
	Tables        []TableContents `json:"tables"`
	Key           string          `json:"key"`
}

// Reference names another manifest of the chain.
type Reference struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// Period is the time of the transactions in the file, on the clock of Postgres. Start is there for deltas.
type Period struct {
	Start *time.Time `json:"start,omitempty"`
	End   time.Time  `json:"end"`
}

// Point is a place in a stream. Position is fixed-width text: everything committed before it is included.
type Point struct {
	Position       string `json:"position"`
	StreamSequence uint64 `json:"stream_sequence"`
}

// DataFile is the file beside the manifest.
type DataFile struct {
	File         string `json:"file"`
	Bytes        int64  `json:"bytes"`
	ContentBytes int64  `json:"content_bytes"`
	SHA256       string `json:"sha256"`
	Rows         int64  `json:"rows"`
}

// TableContents is the schema of a table and what the file holds of it.
type TableContents struct {
	Table   string           `json:"table"`
	Key     []string         `json:"key"`
	Columns []ManifestColumn `json:"columns"`
	Rows    OpCounts         `json:"rows"`
	NetZero int64            `json:"net_zero"`
}

// ManifestColumn is one column of a table.
type ManifestColumn struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Nullable bool   `json:"nullable,omitempty"`
}

// OpCounts are rows per op.
type OpCounts struct {
	I int64 `json:"I"`
	U int64 `json:"U"`
	D int64 `json:"D"`
	O int64 `json:"O"`
	T int64 `json:"T"`
}

// Add counts n rows of an op.
func (c *OpCounts) Add(op Op, n int64) error {
	switch op {
	case OpInsert:
		c.I += n
	case OpUpdate:
		c.U += n
	case OpDelete:
		c.D += n
	case OpScopeOut:
		c.O += n
	case OpTruncate:
		c.T += n
	default:
		return fmt.Errorf("op %q is not one of I U D O T", op)
	}
	return nil
}

// Sum is the number of rows of all ops.
func (c OpCounts) Sum() int64 { return c.I + c.U + c.D + c.O + c.T }

// PointOf is a mark as a manifest writes it.
func PointOf(m streams.Mark) Point {
	return Point{Position: m.Position.String(), StreamSequence: m.Seq}
}

// End is the mark at which the file ends: where the next one begins.
func (m *Manifest) End() (streams.Mark, error) {
	mark := streams.Mark{Seq: m.To.StreamSequence, Time: m.Period.End, Incarnation: m.Incarnation}
	if err := mark.Position.UnmarshalText([]byte(m.To.Position)); err != nil {
		return mark, fmt.Errorf("manifest %d: %w", m.Sequence, err)
	}
	return mark, nil
}

// Chain is the chain that the manifest belongs to.
func (m *Manifest) Chain() (Chain, error) {
	b, err := catalog.ParseBruger(m.Bruger)
	if err != nil {
		return Chain{}, fmt.Errorf("manifest %d: %w", m.Sequence, err)
	}
	return Chain{Opgaveloeser: m.Opgaveloeser, Bruger: b, Dataomraade: m.Dataomraade, Version: m.SchemaVersion}, nil
}

// Name is the name of the file without its endings: sequence, from, to and kind. A listing of a chain is its history.
func (m *Manifest) Name() string {
	return fmt.Sprintf("%08d-%s-%s.%s", m.Sequence, m.From.Position, m.To.Position, m.Kind.Letter())
}

// NewManifest begins the manifest of the file after last, which is nil for the first of a chain. It checks that d continues the
// chain; what is in the file is for the sink to fill in.
func NewManifest(d *Delta, last *Manifest, lastRef *Reference) (*Manifest, error) {
	m := &Manifest{
		Format: FormatVersion, Kind: d.Kind, Opgaveloeser: d.Chain.Opgaveloeser, Bruger: d.Chain.Bruger.String(),
		Dataomraade: d.Chain.Dataomraade, SchemaVersion: d.Chain.Version, Catalog: d.Catalog, Sequence: 1,
		Period: Period{End: d.To.Time.UTC()}, From: PointOf(d.From), To: PointOf(d.To), Incarnation: d.To.Incarnation,
		Previous: lastRef, Tables: schema(d.Area),
	}
	if last != nil {
		m.Sequence = last.Sequence + 1
	}
	if d.Kind.Replaces() {
		after := m.Sequence - 1
		m.AppliesAfter = &after
		m.From = PointOf(streams.Mark{})
		return m, nil
	}
	start := d.From.Time.UTC()
	m.Period.Start = &start
	switch {
	case last == nil:
		return nil, fmt.Errorf("%s: %w: it has no file, and begins with a full load", d.Chain, ErrNotContiguous)
	case last.To != m.From:
		return nil, fmt.Errorf("%s: %w: it ends at %s, the delta begins at %s", d.Chain, ErrNotContiguous, last.To.Position, m.From.Position)
	case last.Incarnation != d.To.Incarnation:
		return nil, fmt.Errorf("%s: %w: it speaks of another life of the stream", d.Chain, ErrNotContiguous)
	case m.To.Position < m.From.Position:
		return nil, errors.New("the delta ends before it begins")
	}
	return m, nil
}

// Repeats tells whether d is the delta that m already describes.
func (m *Manifest) Repeats(d *Delta) bool {
	same := m.Kind == d.Kind && m.To == PointOf(d.To) && m.Incarnation == d.To.Incarnation && m.Period.End.Equal(d.To.Time)
	return same && (d.Kind.Replaces() || m.From == PointOf(d.From))
}

// schema is the empty contents of every table of an area, by table slug.
func schema(area *catalog.Dataomraade) []TableContents {
	out := make([]TableContents, 0, len(area.Tables))
	for _, t := range area.Tables {
		c := TableContents{Table: t.Slug, Key: []string{}, Columns: make([]ManifestColumn, len(t.Columns))}
		for _, k := range t.Key {
			c.Key = append(c.Key, t.Columns[k].Name)
		}
		for i, col := range t.Columns {
			c.Columns[i] = ManifestColumn{Name: col.Name, Type: col.Type, Nullable: col.Nullable}
		}
		out = append(out, c)
	}
	return out
}
