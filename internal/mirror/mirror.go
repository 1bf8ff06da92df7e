// Package mirror makes a synthetic mirror of DFDG: its schema, citizens who do not exist, and realistic traffic.
//
//	m, err := mirror.New(c)                 // c is a catalogue
//	err = m.Schema(ctx, conn)               // empty tables
//	filled, err := m.Fill(ctx, conn, mirror.FillOptions{Seed: 1, Citizens: 5000})
//	player, err := m.Player(mirror.PlayerOptions{Seed: 2, Rate: 50, Connect: connect})
//	err = player.Play(ctx)                  // until ctx ends
//
// Truth is the oracle of the product: the rows that a Bruger must have now, asked of the mirror in SQL written from the
// catalogue, without the router.
//
// Everything is derived from the catalogue's columns (role, type, length), so another catalogue fills too. Values of the
// same seed are the same on every machine; no clock is read.
//
// CPR numbers cannot belong to anybody: the day part is 32 to 60. No month has such a day, and replacement numbers, which
// authorities do hand out, have 61 to 91. Company numbers begin with 99 and telephone numbers with 00, which are not in use
// either, and mail addresses end in .invalid.
package mirror

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
	"supstream/testdata"
)

// NeverLeaves is a text that stands in every row and column that must not leave the mirror: free texts of drafts and of areas
// that are not open, and what Exclude adds. A test may search for it in everything that was ever written.
const NeverLeaves = "MAA-IKKE-FORLADE-SPEJLET"

// Mirror makes and changes mirrors of one catalogue. It is immutable and safe for concurrent use.
type Mirror struct {
	catalog     *catalog.Catalog
	words       *words
	tables      []*shape // in the catalogue's order
	corrections []Correction
}

// New prepares a mirror of a catalogue. It fails on a catalogue with a column whose values it cannot make.
func New(c *catalog.Catalog) (*Mirror, error) {
	words, err := loadWords(testdata.Files)
	if err != nil {
		return nil, fmt.Errorf("prepare the mirror: %w", err)
	}
	corrections, err := LoadCorrections(testdata.Files, "corrections.yaml")
	if err != nil {
		return nil, fmt.Errorf("prepare the mirror: %w", err)
	}
	m := &Mirror{catalog: c, words: words, corrections: corrections}
	for _, area := range c.Dataomraader() {
		for _, t := range area.Tables {
			s, err := newShape(t)
			if err != nil {
				return nil, fmt.Errorf("prepare the mirror: %w", err)
			}
			m.tables = append(m.tables, s)
		}
	}
	m.connectRefs()
	return m, nil
}

// Schema makes the tables of the catalogue in an empty database, with an index on each citizen column.
func (m *Mirror) Schema(ctx context.Context, conn *pgx.Conn) error {
	var b strings.Builder
	b.WriteString(catalog.DDL(m.catalog))
	for _, s := range m.tables {
		if s.person >= 0 {
			fmt.Fprintf(&b, "CREATE INDEX ON %s (%s);\n", s.name, s.cols[s.person].name)
		}
	}
	if err := execute(ctx, conn, b.String()); err != nil {
		return fmt.Errorf("make the schema of the mirror: %w", err)
	}
	return nil
}

// Exclude adds what the catalogue does not list: a column intern_note in every table about citizens and a table
// eindkomst_raa of a third party, both full of NeverLeaves. Call it after Schema; Fill fills what it added.
func (m *Mirror) Exclude(ctx context.Context, conn *pgx.Conn) error {
	var b strings.Builder
	for _, s := range m.tables {
		if s.person >= 0 {
			fmt.Fprintf(&b, "ALTER TABLE %s ADD COLUMN intern_note text DEFAULT '%s';\n", s.name, NeverLeaves)
		}
	}
	fmt.Fprintf(&b, "CREATE TABLE eindkomst_raa (id bigint PRIMARY KEY, indkomst numeric NOT NULL, tekst text NOT NULL);\n")
	fmt.Fprintf(&b, "INSERT INTO eindkomst_raa SELECT i, i * 1000.25, '%s' FROM generate_series(1, 100) i;\n", NeverLeaves)
	if err := execute(ctx, conn, b.String()); err != nil {
		return fmt.Errorf("add what is excluded: %w", err)
	}
	return nil
}

// execute runs statements as one transaction.
func execute(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}
