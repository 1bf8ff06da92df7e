package capture

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// tables compares the catalogue with the mirror.
func (p *preflight) tables(ctx context.Context) error {
	good, all := 0, published(p.catalog)
	for _, t := range all {
		live, err := ReadTable(ctx, p.conn, t)
		if err != nil {
			return err
		}
		differs := false
		for _, d := range catalog.Check(t, live) {
			if d.Info() {
				p.add(Info, "catalogue", d.Error(), "")
				continue
			}
			differs = true
			text, fix, _ := strings.Cut(d.Error(), ": ")
			p.add(Problem, "catalogue", text, fix)
		}
		if !differs {
			good++
		}
	}
	if good > 0 {
		p.add(OK, "catalogue", fmt.Sprintf("%d of %d tables are as it says, replica identity included", good, len(all)), "")
	}
	return nil
}

// rights asks for the privilege to read what the catalogue lists, and whether
// row security would hide rows.
func (p *preflight) rights(ctx context.Context) error {
	var schemas, names, columns []string
	for _, t := range published(p.catalog) {
		for _, c := range t.Columns {
			schemas, names, columns = append(schemas, t.Schema), append(names, t.Name), append(columns, c.Name)
		}
	}
	rows, err := p.conn.Query(ctx, `
		SELECT w.schema, w.name, has_schema_privilege(n.oid, 'USAGE'), bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT')), row_security_active(c.oid)
		FROM unnest($1::text[], $2::text[], $3::text[]) w(schema, name, col)
		JOIN pg_namespace n ON n.nspname = w.schema
		JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p')
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = w.col AND a.attnum > 0 AND NOT a.attisdropped
		GROUP BY w.schema, w.name, n.oid, c.oid ORDER BY w.schema, w.name`, schemas, names, columns)
	if err != nil {
		return fmt.Errorf("read privileges: %w", err)
	}
	type right struct {
		Schema, Name        string
		Enter, Read, Hidden bool
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[right])
	if err != nil {
		return fmt.Errorf("read privileges: %w", err)
	}
	var closed, unread, hidden []string
	for _, r := range list {
		table := catalog.QuoteIdentifier(r.Schema) + "." + catalog.QuoteIdentifier(r.Name)
		if schema := catalog.QuoteIdentifier(r.Schema); !r.Enter && !slices.Contains(closed, schema) {
			closed = append(closed, schema)
		}
		if !r.Read {
			unread = append(unread, table)
		}
		if r.Hidden {
			hidden = append(hidden, table)
		}
	}
	if len(closed) > 0 {
		p.add(Problem, "role "+p.user, "may not use schema "+some(closed), fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", strings.Join(closed, ", "), p.user))
	}
	if len(unread) > 0 {
		p.add(Problem, "role "+p.user, "may not read "+some(unread), fmt.Sprintf("GRANT SELECT ON %s TO %s", strings.Join(unread, ", "), p.user))
	}
	if len(hidden) > 0 {
		p.add(Problem, "role "+p.user, "row-level security hides rows of "+some(hidden), fmt.Sprintf("ALTER ROLE %s BYPASSRLS", p.user))
	}
	return nil
}

// leaves looks at the partitions of the catalogue's tables: it is their
// replica identity that counts, not that of the table they belong to.
func (p *preflight) leaves(ctx context.Context) error {
	for _, t := range published(p.catalog) {
		rows, err := p.conn.Query(ctx, `
			SELECT l.oid, l.oid::regclass::text, l.relreplident::text
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_partition_tree(c.oid) x JOIN pg_class l ON l.oid = x.relid
			WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'p' AND l.relkind = 'r'`, t.Schema, t.Name)
		if err != nil {
			return fmt.Errorf("table %s: read partitions: %w", t, err)
		}
		type leaf struct {
			OID            uint32
			Name, Identity string
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[leaf])
		if err != nil {
			return fmt.Errorf("table %s: read partitions: %w", t, err)
		}
		for _, l := range list {
			live := &catalog.LiveTable{Identity: identityName(l.Identity[0])}
			if err := readIdentityColumns(ctx, p.conn, l.OID, live); err != nil {
				return fmt.Errorf("table %s: read partition %s: %w", t, l.Name, err)
			}
			if live.Identity == "index" {
				live.Identity = "index:" // its name does not matter
			}
			for _, d := range catalog.Check(t, live) {
				if d.Kind == catalog.IdentityChanged {
					p.add(Problem, "catalogue", fmt.Sprintf("partition %s of table %s has replica identity %s, want %s", l.Name, t, live.Identity, t.Identity),
						fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL", l.Name))
				}
			}
		}
	}
	return nil
}

// publication looks whether it leaves something out, can be made or completed,
// and lets the owner of the tables go on to change them.
func (p *preflight) publication(ctx context.Context, name string) error {
	for _, pub := range publications(name, p.catalog) {
		if err := p.onePublication(ctx, pub.name, pub.tables); err != nil {
			return err
		}
	}
	return nil
}

func (p *preflight) onePublication(ctx context.Context, name string, tables []*catalog.Table) error {
	pub, err := ReadPublication(ctx, p.conn, name)
	if err != nil {
		return err
	}
	subject := "publication " + name
	var missing []string
	for _, t := range tables {
		if !pub.AllTables && !slices.Contains(pub.Tables, t.String()) {
			missing = append(missing, t.SQL())
		}
	}
	if pub.Exists {
		if err := p.note(pub.Usable()); err != nil {
			return err
		}
		if err := p.unidentified(ctx, subject, name); err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		p.add(OK, subject, fmt.Sprintf("%d tables, all of the catalogue among them", len(pub.Tables)), "")
		return nil
	}
	what, sql := fmt.Sprintf("%d tables are added at the start", len(missing)),
		fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s", catalog.QuoteIdentifier(name), strings.Join(missing, ", "))
	if !pub.Exists {
		what, sql = "is made at the first start", publicationSQL(name, tables)
	}
	may, err := p.mayPublish(ctx, pub, tables)
	if err != nil {
		return err
	}
	if may {
		p.add(Info, subject, what, "")
	} else {
		p.add(Problem, subject, what+", but role "+p.user+" has not the right to do it", "the owner of the tables must run: "+sql)
	}
	return nil
}

// mayPublish tells whether the role may make the publication or add to it.
func (p *preflight) mayPublish(ctx context.Context, pub Publication, tables []*catalog.Table) (may bool, err error) {
	var schemas, names []string
	for _, t := range tables {
		if !slices.Contains(pub.Tables, t.String()) {
			schemas, names = append(schemas, t.Schema), append(names, t.Name)
		}
	}
	err = p.conn.QueryRow(ctx, `
		SELECT CASE WHEN $1 THEN (SELECT pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = $2)
		            ELSE has_database_privilege(current_database(), 'CREATE') END
		   AND coalesce((SELECT bool_and(pg_has_role(c.relowner, 'USAGE'))
		                 FROM unnest($3::text[], $4::text[]) w(schema, name) JOIN pg_namespace n ON n.nspname = w.schema
		                 JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name), true)`,
		pub.Exists, pub.Name, schemas, names).Scan(&may)
	if err != nil {
		return false, fmt.Errorf("publication %s: read privileges: %w", pub.Name, err)
	}
	return may, nil
}

// unidentified finds tables that nobody can update or delete from while they
// are in the publication, because Postgres could not say which row it was.
func (p *preflight) unidentified(ctx context.Context, subject, name string) error {
	rows, err := p.conn.Query(ctx, `
		WITH root AS (
			SELECT c.oid FROM pg_publication_tables t JOIN pg_namespace n ON n.nspname = t.schemaname
			JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename WHERE t.pubname = $1),
		member AS (SELECT oid FROM root UNION SELECT x.relid FROM root, pg_partition_tree(root.oid) x)
		SELECT c.oid::regclass::text FROM member JOIN pg_class c USING (oid)
		WHERE c.relkind = 'r' AND c.relreplident <> 'f'
		  AND (SELECT pubupdate OR pubdelete FROM pg_publication WHERE pubname = $1)
		  AND (c.relreplident = 'n'
		       OR c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate)
		       OR c.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident))
		ORDER BY 1`, name)
	if err != nil {
		return fmt.Errorf("publication %s: read replica identities: %w", name, err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("publication %s: read replica identities: %w", name, err)
	}
	for _, t := range tables {
		p.add(Problem, subject, fmt.Sprintf("holds %s, which has no replica identity: Postgres refuses every UPDATE and DELETE of it", t),
			fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL, or take it out of the publication", t))
	}
	return nil
}

// some names a few of a list.
func some(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
