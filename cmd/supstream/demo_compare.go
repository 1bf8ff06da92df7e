package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/projections"
	"supstream/sinks"
)

// comparison is a table of a Bruger at a vendor against the mirror.
type comparison struct {
	vendor    string
	bruger    catalog.Bruger
	table     *catalog.Table
	rows      int // that the Bruger has in the mirror
	missing   int // not at the vendor
	surplus   int // only at the vendor
	different int // at both, with other values
}

func (c comparison) differences() int { return c.missing + c.surplus + c.different }

// String says what is wrong; it names no row.
func (c comparison) String() string {
	return fmt.Sprintf("%s, %s, %s %s: of %d rows %d are missing and %d have other values; %d rows are too many",
		c.vendor, c.bruger, c.table.Area.Slug, c.table.Slug, c.rows, c.missing, c.different, c.surplus)
}

// comparer compares what a vendor has loaded with the mirror. Both are read with SQL; the router and the files have no part in it.
type comparer struct {
	mirror  *mirror.Mirror
	catalog *catalog.Catalog
	truth   *pgx.Conn // of the mirror
	vendor  *pgx.Conn
	schema  string // of the vendor's tables
}

// compare compares every table of the chains of one vendor. strangers tells of rows that no chain gives.
func (c comparer) compare(ctx context.Context, chains []projections.Chain) (out []comparison, strangers []string, err error) {
	for _, chain := range chains {
		area, _ := c.catalog.Dataomraade(chain.Dataomraade)
		for _, t := range area.Tables {
			r, err := c.table(ctx, chain, t)
			if err != nil {
				return nil, nil, fmt.Errorf("compare %s of %s at %s: %w", t, chain.Bruger, chain.Opgaveloeser, err)
			}
			out = append(out, r)
		}
	}
	strangers, err = c.strangers(ctx, chains)
	return out, strangers, err
}

func (c comparer) table(ctx context.Context, chain projections.Chain, t *catalog.Table) (comparison, error) {
	out := comparison{vendor: chain.Opgaveloeser, bruger: chain.Bruger, table: t}
	owner := chain.Bruger
	if t.Everybody {
		owner = catalog.Bruger{Axis: catalog.Alle}
	}
	want, err := c.mirror.Truth(ctx, c.truth, t, owner)
	if err != nil {
		return out, err
	}
	have, err := c.loaded(ctx, chain, t)
	if err != nil {
		return out, err
	}
	out.rows = len(want)
	for key, row := range want {
		switch got, ok := have[key]; {
		case !ok:
			out.missing++
		case got != row:
			out.different++
		}
	}
	for key := range have {
		if _, ok := want[key]; !ok {
			out.surplus++
		}
	}
	return out, nil
}

// loaded are the rows that the vendor has of a table; none when it does not have the table.
func (c comparer) loaded(ctx context.Context, chain projections.Chain, t *catalog.Table) (map[string]string, error) {
	name := pgx.Identifier{c.schema, sinks.TableName(chain.Dataomraade, t.Slug)}.Sanitize()
	var there bool
	if err := c.vendor.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&there); err != nil || !there {
		return nil, err
	}
	columns := make([]string, len(t.Columns))
	for i, col := range t.Columns {
		columns[i] = pgx.Identifier{col.Name}.Sanitize()
	}
	// The code comes from the catalogue: letters, digits and a dot.
	return c.mirror.Rows(ctx, c.vendor, t, fmt.Sprintf("SELECT %s FROM %s WHERE _bruger = '%s'", strings.Join(columns, ", "), name, chain.Bruger))
}

// strangers finds rows of Brugere, and whole tables, that none of the chains is about.
func (c comparer) strangers(ctx context.Context, chains []projections.Chain) ([]string, error) {
	granted := map[string][]string{} // table → Brugere
	for _, chain := range chains {
		area, _ := c.catalog.Dataomraade(chain.Dataomraade)
		for _, t := range area.Tables {
			name := sinks.TableName(chain.Dataomraade, t.Slug)
			granted[name] = append(granted[name], chain.Bruger.String())
		}
	}
	rows, err := c.vendor.Query(ctx, "SELECT table_name::text FROM information_schema.columns WHERE table_schema = $1 AND column_name = '_bruger'", c.schema)
	if err != nil {
		return nil, fmt.Errorf("list the tables of a vendor: %w", err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list the tables of a vendor: %w", err)
	}
	slices.Sort(tables)
	var out []string
	for _, name := range tables {
		var n int64
		err := c.vendor.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{c.schema, name}.Sanitize()+" WHERE _bruger <> ALL($1)",
			append([]string{}, granted[name]...)).Scan(&n)
		if err != nil {
			return nil, fmt.Errorf("look for rows of others in %s: %w", name, err)
		}
		if n > 0 {
			out = append(out, fmt.Sprintf("table %s has %d rows of a Bruger that there is no grant for", name, n))
		}
	}
	return out, nil
}
