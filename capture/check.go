package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// Level is what a finding means for the start.
type Level uint8

const (
	OK      Level = iota + 1 // as it should be
	Info                     // worth knowing; stands in nobody's way
	Problem                  // capture would not start, or would not be safe
)

// Finding is something that was looked at before the start.
type Finding struct {
	Level   Level
	Subject string // what was looked at
	Text    string // what was found
	Fix     string // how to mend it; a Problem has one, the others may
}

// Preflight looks at everything in Postgres that can be known before capture
// starts, and changes nothing. An error means that it could not look; what was
// found until then is returned with it.
func Preflight(ctx context.Context, cfg *pgx.ConnConfig, c *catalog.Catalog, slot, publication string) ([]Finding, error) {
	conn, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p := &preflight{conn: conn, catalog: c}
	for _, look := range []func(context.Context) error{
		p.server,
		func(ctx context.Context) error { return p.room(ctx, slot) },
		p.role, p.rights, p.tables, p.leaves,
		func(ctx context.Context) error { return p.publication(ctx, publication) },
		func(ctx context.Context) error { return p.slot(ctx, slot) },
	} {
		if err := look(ctx); err != nil {
			return p.found, fmt.Errorf("look at postgres: %w", err)
		}
	}
	return p.found, nil
}

// SetupError is a mirror that cannot be captured as it is set up. Somebody has
// to change that.
type SetupError struct{ Problems []Finding }

// Error names each problem with its fix, one a line.
func (e *SetupError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, f := range e.Problems {
		lines[i] = fmt.Sprintf("%s: %s: %s", f.Subject, f.Text, f.Fix)
	}
	return strings.Join(lines, "\n")
}

// Permanent says that trying again does not help.
func (e *SetupError) Permanent() bool { return true }

// refuseSetup is a *SetupError when settings, role, privileges or the slot
// would stop capture later, or let it read less than there is.
func refuseSetup(ctx context.Context, conn *pgx.Conn, c *catalog.Catalog, slot string) error {
	p := &preflight{conn: conn, catalog: c}
	if _, err := ReadSlot(ctx, conn, slot); err != nil {
		return err
	}
	for _, look := range []func(context.Context) error{p.server, p.role, p.rights, p.leaves} {
		if err := look(ctx); err != nil {
			return err
		}
	}
	problems := slices.DeleteFunc(p.found, func(f Finding) bool { return f.Level != Problem })
	if len(problems) > 0 {
		return &SetupError{problems}
	}
	return nil
}

type preflight struct {
	conn    *pgx.Conn
	catalog *catalog.Catalog
	user    string // the role, quoted; known after role
	found   []Finding
}

func (p *preflight) add(level Level, subject, text, fix string) {
	p.found = append(p.found, Finding{level, subject, text, fix})
}

// note takes the problems of a *SetupError; other errors come back.
func (p *preflight) note(err error) error {
	var setup *SetupError
	if errors.As(err, &setup) {
		p.found = append(p.found, setup.Problems...)
		return nil
	}
	return err
}

// must adds a problem unless ok.
func (p *preflight) must(ok bool, subject, text, fix string) {
	if ok {
		p.add(OK, subject, text, "")
	} else {
		p.add(Problem, subject, text, fix)
	}
}

const oldestPostgres = 150000

func (p *preflight) server(ctx context.Context) error {
	var version int
	var text, level, encoding string
	err := p.conn.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('wal_level'),
		       current_setting('server_encoding')`).Scan(&version, &text, &level, &encoding)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	p.must(version >= oldestPostgres, "version", text, "Postgres 15 or later is needed")
	p.must(level == "logical", "wal_level", level, "ALTER SYSTEM SET wal_level = 'logical', then restart Postgres")
	p.must(encoding == "UTF8", "server_encoding", encoding, "the mirror's database must be made with ENCODING 'UTF8'")
	return nil
}

// room looks for a free slot and a free connection, unless the slot is there
// already: then both are taken by ourselves.
func (p *preflight) room(ctx context.Context, slot string) error {
	var slots, slotsUsed, senders, sendersUsed int
	var ours bool
	var keep string
	err := p.conn.QueryRow(ctx, `
		SELECT current_setting('max_replication_slots')::int, (SELECT count(*) FROM pg_replication_slots),
		       current_setting('max_wal_senders')::int, (SELECT count(*) FROM pg_stat_replication),
		       EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1), current_setting('max_slot_wal_keep_size')`, slot).
		Scan(&slots, &slotsUsed, &senders, &sendersUsed, &ours, &keep)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	p.must(ours || slotsUsed < slots, "max_replication_slots", fmt.Sprintf("%d of %d in use", slotsUsed, slots),
		"set max_replication_slots to a larger number, then restart Postgres")
	p.must(ours || sendersUsed < senders, "max_wal_senders", fmt.Sprintf("%d of %d in use", sendersUsed, senders),
		"set max_wal_senders to a larger number, then restart Postgres")
	if keep == "-1" {
		p.add(Info, "max_slot_wal_keep_size", "no limit: a slot that nobody reads fills the mirror's disk", "a limit, together with the alert on safe WAL, protects the mirror")
	} else {
		p.add(OK, "max_slot_wal_keep_size", keep, "")
	}
	return nil
}

func (p *preflight) role(ctx context.Context) error {
	var name string
	var replication bool
	err := p.conn.QueryRow(ctx, "SELECT rolname, rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&name, &replication)
	if err != nil {
		return fmt.Errorf("read role: %w", err)
	}
	p.user = catalog.QuoteIdentifier(name)
	if replication {
		p.add(OK, "role "+p.user, "may replicate", "")
	} else {
		p.add(Problem, "role "+p.user, "may not replicate", fmt.Sprintf("ALTER ROLE %s REPLICATION", p.user))
	}
	return nil
}

func (p *preflight) slot(ctx context.Context, name string) error {
	s, err := ReadSlot(ctx, p.conn, name)
	if err != nil {
		return p.note(err)
	}
	switch {
	case !s.Exists:
		p.add(Info, "slot "+name, "is made at the first start", "")
	case s.WALStatus == "lost":
		p.add(Problem, "slot "+name, "is lost: Postgres removed log that it still needed",
			"start supstream: it makes the slot anew and reads all areas again; then raise max_slot_wal_keep_size")
	default:
		state := "not in use"
		if s.Active {
			state = "in use"
		}
		p.add(OK, "slot "+name, fmt.Sprintf("%s, WAL %s, %d bytes of log kept for it", state, s.WALStatus, s.Retained), "")
	}
	return nil
}
