package streams

import (
	"context"

	"supstream/capture"
	"supstream/catalog"
)

// Look says which changes a read of the mirror has seen.
type Look = capture.Look

// MirrorReader reads tables of the mirror as events: what a back-fill that saw
// the whole table at one moment would publish.
type MirrorReader struct {
	catalog *catalog.Catalog
	scanner *capture.Scanner
	enc     *encoder
}

// NewMirrorReader returns a reader. key is the secret of the key hashes.
func NewMirrorReader(c *catalog.Catalog, s *capture.Scanner, key []byte) *MirrorReader {
	return &MirrorReader{catalog: c, scanner: s, enc: newEncoder("", key)}
}

// Position is the end of the mirror's log now.
func (m *MirrorReader) Position(ctx context.Context) (uint64, error) { return m.scanner.Position(ctx) }

// Read calls yield with one read event for every row and owner, in no
// particular order; its XID is the transaction that has touched the row since.
// The event is valid during the call. With counts, the rows of each Bruger as
// Postgres counts them come back too.
func (m *MirrorReader) Read(ctx context.Context, t *catalog.Table, counts bool, yield func(*Event) error) (*Look, map[catalog.Bruger]int64, error) {
	e := Event{Dataomraade: t.Area.Slug, Table: t.Slug, Op: OpRead}
	change := capture.Change{Table: t, Op: capture.Read}
	each := func(row catalog.Row, xmax uint32) error {
		owners := m.catalog.Owners(t, row)
		if owners.Len() == 0 {
			return nil
		}
		change.New, e.XID = row, xmax
		var err error
		if e.Key, e.Row, err = m.enc.both(&change); err != nil {
			return err
		}
		for i := range owners.Len() {
			e.Bruger = owners.At(i)
			if err := yield(&e); err != nil {
				return err
			}
		}
		return nil
	}
	if !counts {
		look, err := m.scanner.Scan(ctx, t, each, nil)
		return look, nil, err
	}
	counted := map[catalog.Bruger]int64{}
	look, err := m.scanner.Scan(ctx, t, each, func(a catalog.Axis, code []byte, rows int64) {
		b, known := catalog.Bruger{Axis: a}, a == catalog.Alle
		if !known {
			b, known = m.catalog.Bruger(a, code)
		}
		if known {
			counted[b] += rows
		}
	})
	return look, counted, err
}

// Pseudonym is the subject of the events of a row, from its key as they have it.
func (m *MirrorReader) Pseudonym(t *catalog.Table, key []byte) string {
	m.enc.text = m.enc.table(t)
	m.enc.sum(key)
	return m.enc.keyHash()
}

// both encodes key and row of a change that has a row.
func (e *encoder) both(c *capture.Change) (key, row []byte, err error) {
	if err := e.begin(c); err != nil {
		return nil, nil, err
	}
	if err := e.row(); err != nil {
		return nil, nil, err
	}
	const name, next = `"key":`, `,"row":`
	return e.data[len(name):e.keyEnd], e.data[e.keyEnd+len(next):], nil
}
