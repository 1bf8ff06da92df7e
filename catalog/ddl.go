package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// DDL returns the SQL that makes an empty mirror for the catalogue: schemas,
// tables with primary keys, and replica identities. Nothing in it is
// conditional but CREATE SCHEMA, so running it on a database that already has
// one of the tables fails and changes nothing. Types that are not built in
// must exist before.
func DDL(c *Catalog) string {
	var b strings.Builder
	b.WriteString("BEGIN;\n")
	var schemas []string
	for _, d := range c.areas {
		for _, t := range d.Tables {
			schemas = append(schemas, t.Schema)
		}
	}
	slices.Sort(schemas)
	for _, s := range slices.Compact(schemas) {
		if s != "public" { // exists, and its owner need not be ours
			fmt.Fprintf(&b, "CREATE SCHEMA IF NOT EXISTS %s;\n", QuoteIdentifier(s))
		}
	}
	for _, d := range c.areas {
		fmt.Fprintf(&b, "\n-- %s\n", d.Slug)
		for _, t := range d.Tables {
			t.ddl(&b)
		}
	}
	b.WriteString("\nCOMMIT;\n")
	return b.String()
}

func (t *Table) ddl(b *strings.Builder) {
	fmt.Fprintf(b, "CREATE TABLE %s (\n", t.SQL())
	for _, c := range t.Columns {
		null := " NOT NULL"
		if c.Nullable {
			null = ""
		}
		fmt.Fprintf(b, "    %s %s%s,\n", QuoteIdentifier(c.Name), c.Type, null)
	}
	fmt.Fprintf(b, "    PRIMARY KEY (%s)\n);\n", t.columnList(t.Key))
	switch index, named := strings.CutPrefix(t.Identity, "index:"); {
	case named:
		columns := slices.Clone(t.Key)
		for _, i := range t.Routing() {
			if !slices.Contains(columns, i) {
				columns = append(columns, i)
			}
		}
		index = QuoteIdentifier(index)
		fmt.Fprintf(b, "CREATE UNIQUE INDEX %s ON %s (%s);\n", index, t.SQL(), t.columnList(columns))
		fmt.Fprintf(b, "ALTER TABLE %s REPLICA IDENTITY USING INDEX %s;\n", t.SQL(), index)
	default:
		fmt.Fprintf(b, "ALTER TABLE %s REPLICA IDENTITY %s;\n", t.SQL(), strings.ToUpper(t.Identity))
	}
}

// SQL returns the quoted name of the table for use in statements.
func (t *Table) SQL() string { return QuoteIdentifier(t.Schema) + "." + QuoteIdentifier(t.Name) }

func (t *Table) columnList(columns []int) string {
	names := t.names(columns)
	for i := range names {
		names[i] = QuoteIdentifier(names[i])
	}
	return strings.Join(names, ", ")
}

// QuoteIdentifier quotes a name for SQL, whatever it holds.
func QuoteIdentifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
