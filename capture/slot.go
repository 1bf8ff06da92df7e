package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"supstream/catalog"
)

var (
	// ErrSlotInUse: another process reads from the slot. It is the one that
	// runs; this one waits for it to end.
	ErrSlotInUse = errors.New("the replication slot is in use by another process")

	// ErrSlotLost: Postgres has thrown away log that the slot needed.
	ErrSlotLost = errors.New("the replication slot is lost: postgres removed log it still needed")
)

// SlotState is what Postgres says of the slot.
type SlotState struct {
	Exists    bool
	Active    bool
	Confirmed uint64 // everything before it may have been removed
	WALStatus string // reserved, extended, unreserved, lost
	Retained  int64  // bytes of log kept for it
	Safe      int64  // bytes until it may be lost; -1: no limit is set
}

// ReadSlot reads the slot's state.
func ReadSlot(ctx context.Context, conn *pgx.Conn, name string) (SlotState, error) {
	s := SlotState{Exists: true, Safe: -1}
	var confirmed pglogrepl.LSN
	var plugin, database string
	var here bool
	err := conn.QueryRow(ctx, `
		SELECT coalesce(plugin, ''), coalesce(database, ''), coalesce(database = current_database(), false), active,
		       coalesce(confirmed_flush_lsn, '0/0')::text, coalesce(wal_status, ''),
		       coalesce(pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint,
		       coalesce(safe_wal_size, -1)
		FROM pg_replication_slots WHERE slot_name = $1`, name).
		Scan(&plugin, &database, &here, &s.Active, &confirmed, &s.WALStatus, &s.Retained, &s.Safe)
	if errors.Is(err, pgx.ErrNoRows) {
		return SlotState{}, nil
	}
	if err != nil {
		return SlotState{}, fmt.Errorf("read slot %s: %w", name, err)
	}
	if plugin != "pgoutput" || !here {
		return SlotState{}, &SetupError{[]Finding{{Problem, "slot " + name,
			fmt.Sprintf("belongs to plug-in %q and database %q", plugin, database), "choose another postgres.slot"}}}
	}
	s.Confirmed = uint64(confirmed)
	return s, nil
}

// createSlot makes the slot and returns where its changes begin. It waits for
// transactions that were open before it.
func createSlot(ctx context.Context, conn *pgconn.PgConn, name string) (uint64, error) {
	res, err := pglogrepl.CreateReplicationSlot(ctx, conn, name, "pgoutput", pglogrepl.CreateReplicationSlotOptions{
		Mode: pglogrepl.LogicalReplication, SnapshotAction: "NOEXPORT_SNAPSHOT",
	})
	if err != nil {
		return 0, fmt.Errorf("create slot %s: %w", name, err)
	}
	lsn, err := pglogrepl.ParseLSN(res.ConsistentPoint)
	if err != nil {
		return 0, fmt.Errorf("create slot %s: %w", name, err)
	}
	return uint64(lsn), nil
}

func startReplication(ctx context.Context, conn *pgconn.PgConn, slot, publication string) error {
	err := pglogrepl.StartReplication(ctx, conn, catalog.QuoteIdentifier(slot), 0, pglogrepl.StartReplicationOptions{
		Mode:       pglogrepl.LogicalReplication,
		PluginArgs: []string{"proto_version '1'", "publication_names " + literal(catalog.QuoteIdentifier(publication))},
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "55006" {
		return fmt.Errorf("slot %s: %w", slot, ErrSlotInUse)
	}
	if errors.As(err, &pg) && pg.Code == "55000" {
		return fmt.Errorf("slot %s: %w: %s", slot, ErrSlotLost, pg.Message)
	}
	if err != nil {
		return fmt.Errorf("start replication from slot %s: %w", slot, err)
	}
	return nil
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// published lists the tables the catalogue lets leave.
func published(c *catalog.Catalog) []*catalog.Table {
	var tables []*catalog.Table
	for _, area := range c.Dataomraader() {
		if area.Open() {
			tables = append(tables, area.Tables...)
		}
	}
	return tables
}

// PublicationSQL is the statement that makes the publication of a catalogue.
func PublicationSQL(name string, c *catalog.Catalog) string {
	var names []string
	for _, t := range published(c) {
		names = append(names, t.SQL())
	}
	return fmt.Sprintf("CREATE PUBLICATION %s FOR TABLE %s WITH (publish_via_partition_root = true)", catalog.QuoteIdentifier(name), strings.Join(names, ", "))
}

// ensurePublication makes the publication, or adds the tables that are missing
// from it. Tables that the catalogue does not list may stay in it: their
// changes are read and passed over. A publication that leaves changes, rows or
// columns out is refused, because nobody would notice.
func ensurePublication(ctx context.Context, conn *pgx.Conn, name string, c *catalog.Catalog) error {
	p, err := ReadPublication(ctx, conn, name)
	if err != nil {
		return err
	}
	if !p.Exists {
		if _, err := conn.Exec(ctx, PublicationSQL(name, c)); err != nil {
			return fmt.Errorf("create publication %s: %w: the owner of the tables can make it; `supstream check` prints the statement", name, err)
		}
		return nil
	}
	if err := p.Usable(); err != nil {
		return err
	}
	if p.AllTables {
		return nil
	}
	for _, t := range published(c) {
		if slices.Contains(p.Tables, t.String()) {
			continue
		}
		if err := addTable(ctx, conn, name, t); err != nil {
			return err
		}
	}
	return nil
}

func addTable(ctx context.Context, conn *pgx.Conn, publication string, t *catalog.Table) error {
	if _, err := conn.Exec(ctx, fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE %s", catalog.QuoteIdentifier(publication), t.SQL())); err != nil {
		return fmt.Errorf("add table %s to publication %s: %w: the owner of the table can do it; `supstream check` prints the statement", t, publication, err)
	}
	return nil
}

// Publication is what Postgres says of the publication.
type Publication struct {
	Name              string
	Exists, AllTables bool
	Complete, ViaRoot bool     // publishes all kinds of changes; partitions as their root
	Filtered          []string // tables with a row filter or a column list
	Tables            []string // schema.name
}

// Usable is a *SetupError when the publication leaves something out.
func (p Publication) Usable() error {
	name := catalog.QuoteIdentifier(p.Name)
	e := &SetupError{}
	refuse := func(text, fix string) {
		e.Problems = append(e.Problems, Finding{Problem, "publication " + p.Name, text, fix})
	}
	if !p.Complete {
		refuse("leaves out inserts, updates, deletes or truncates", fmt.Sprintf("ALTER PUBLICATION %s SET (publish = 'insert, update, delete, truncate')", name))
	}
	if !p.ViaRoot {
		refuse("shows partitions instead of their table", fmt.Sprintf("ALTER PUBLICATION %s SET (publish_via_partition_root = true)", name))
	}
	if len(p.Filtered) > 0 {
		refuse("has a row filter or a column list on "+strings.Join(p.Filtered, ", "), "drop the table from it and add it again without")
	}
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

// ReadPublication reads the publication's state.
func ReadPublication(ctx context.Context, conn *pgx.Conn, name string) (Publication, error) {
	p := Publication{Name: name, Exists: true}
	err := conn.QueryRow(ctx, `
		SELECT puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot
		FROM pg_publication WHERE pubname = $1`, name).Scan(&p.AllTables, &p.Complete, &p.ViaRoot)
	if errors.Is(err, pgx.ErrNoRows) {
		return Publication{Name: name}, nil
	}
	if err == nil {
		err = conn.QueryRow(ctx, `
			SELECT coalesce(array_agg(schemaname || '.' || tablename), '{}') FROM pg_publication_tables WHERE pubname = $1`, name).Scan(&p.Tables)
	}
	if err == nil {
		err = conn.QueryRow(ctx, `
			SELECT coalesce(array_agg(r.prrelid::regclass::text), '{}')
			FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
			WHERE p.pubname = $1 AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)`, name).Scan(&p.Filtered)
	}
	if err != nil {
		return p, fmt.Errorf("read publication %s: %w", name, err)
	}
	return p, nil
}
