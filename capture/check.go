package capture

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// Finding is something that was looked at before the start.
type Finding struct {
	OK      bool   // false: capture would not start, or would not be safe
	Subject string // what was looked at
	Text    string // what was found
	Fix     string // how to mend it; empty when OK
}

// Preflight looks at everything in Postgres that can be known before capture
// starts, and changes nothing. An error means that it could not look.
func Preflight(ctx context.Context, cfg *pgx.ConnConfig, c *catalog.Catalog, slot, publication string) ([]Finding, error) {
	conn, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p := &preflight{conn: conn, catalog: c}
	for _, look := range []func(context.Context) error{
		p.server, p.role,
		p.tables,
		func(ctx context.Context) error { return p.publication(ctx, publication) },
		func(ctx context.Context) error { return p.slot(ctx, slot) },
	} {
		if err := look(ctx); err != nil {
			return p.found, err
		}
	}
	return p.found, nil
}

type preflight struct {
	conn    *pgx.Conn
	catalog *catalog.Catalog
	found   []Finding
}

func (p *preflight) add(ok bool, subject, text, fix string) {
	if ok {
		fix = ""
	}
	p.found = append(p.found, Finding{ok, subject, text, fix})
}

const oldestPostgres = 150000

func (p *preflight) server(ctx context.Context) error {
	var version, slots, slotsUsed, senders, sendersUsed int
	var text, level, encoding, keep string
	err := p.conn.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('wal_level'),
		       current_setting('server_encoding'), current_setting('max_slot_wal_keep_size'),
		       current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots),
		       current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_replication)`).
		Scan(&version, &text, &level, &encoding, &keep, &slots, &slotsUsed, &senders, &sendersUsed)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	p.add(version >= oldestPostgres, "postgres version", text, "Postgres 15 or later is needed")
	p.add(level == "logical", "wal_level", level, "ALTER SYSTEM SET wal_level = 'logical', then restart Postgres")
	p.add(encoding == "UTF8", "server_encoding", encoding, "the mirror's database must be made with ENCODING 'UTF8'")
	p.add(slotsUsed < slots, "max_replication_slots", fmt.Sprintf("%d of %d in use", slotsUsed, slots),
		"ALTER SYSTEM SET max_replication_slots to a larger number, then restart Postgres")
	p.add(sendersUsed < senders, "max_wal_senders", fmt.Sprintf("%d of %d in use", sendersUsed, senders),
		"ALTER SYSTEM SET max_wal_senders to a larger number, then restart Postgres")
	text = keep
	if keep == "-1" {
		text = "no limit: a slot that nobody reads can fill the disk; a limit, with the alert on safe WAL, protects the mirror"
	}
	p.add(true, "max_slot_wal_keep_size", text, "")
	return nil
}

func (p *preflight) role(ctx context.Context) error {
	var name string
	var replication bool
	err := p.conn.QueryRow(ctx, "SELECT rolname, rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&name, &replication)
	if err != nil {
		return fmt.Errorf("read role: %w", err)
	}
	p.add(replication, "role", name, fmt.Sprintf("ALTER ROLE %s REPLICATION", catalog.QuoteIdentifier(name)))
	return nil
}

// tables compares the catalogue with the mirror and asks for the privilege to
// read. Row security that would hide rows is an error of the read itself.
func (p *preflight) tables(ctx context.Context) error {
	for _, t := range published(p.catalog) {
		live, err := ReadTable(ctx, p.conn, t)
		if err != nil {
			return err
		}
		ok := true
		for _, d := range catalog.Check(t, live) {
			p.add(d.Info(), "table "+t.String(), d.Error(), "see docs/CATALOG.md, or change the table as the message says")
			ok = false
		}
		if live == nil {
			continue
		}
		var may, hidden bool
		if err := p.conn.QueryRow(ctx, "SELECT has_table_privilege($1::text, 'SELECT'), row_security_active($1::text)", t.SQL()).Scan(&may, &hidden); err != nil {
			return fmt.Errorf("table %s: read privileges: %w", t, err)
		}
		if !may {
			p.add(false, "table "+t.String(), "may not be read", fmt.Sprintf("GRANT SELECT ON %s TO the role of supstream", t.SQL()))
		}
		if hidden {
			p.add(false, "table "+t.String(), "row-level security hides rows from this role", "ALTER ROLE … BYPASSRLS for the role of supstream")
		}
		if ok && may && !hidden {
			p.add(true, "table "+t.String(), "as the catalogue says; replica identity "+live.Identity, "")
		}
	}
	return nil
}

func (p *preflight) publication(ctx context.Context, name string) error {
	pub, err := ReadPublication(ctx, p.conn, name)
	if err != nil {
		return err
	}
	subject := "publication " + name
	if !pub.Exists {
		p.add(true, subject, "does not exist; it is made at the start, which takes the right to do so: "+PublicationSQL(name, p.catalog), "")
		return nil
	}
	if err := pub.Usable(); err != nil {
		p.add(false, subject, err.Error(), "as the message says")
		return nil
	}
	missing := 0
	for _, t := range published(p.catalog) {
		if !pub.AllTables && !slices.Contains(pub.Tables, t.String()) {
			missing++
		}
	}
	p.add(true, subject, fmt.Sprintf("%d tables, %d to be added at the start", len(pub.Tables), missing), "")
	return nil
}

func (p *preflight) slot(ctx context.Context, name string) error {
	s, err := ReadSlot(ctx, p.conn, name)
	if err != nil {
		p.add(false, "slot "+name, err.Error(), "choose another postgres.slot")
		return nil
	}
	switch {
	case !s.Exists:
		p.add(true, "slot "+name, "does not exist; it is made at the start", "")
	case s.WALStatus == "lost":
		p.add(false, "slot "+name, "is lost: Postgres removed log it needed", "start supstream: it makes the slot anew and reads all areas again; then raise max_slot_wal_keep_size")
	default:
		p.add(true, "slot "+name, fmt.Sprintf("%s, %d bytes of log kept", s.WALStatus, s.Retained), "")
	}
	return nil
}
