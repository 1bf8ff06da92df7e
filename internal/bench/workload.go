package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/capture"
	"supstream/catalog"
	"supstream/internal/pgtest"
)

// bench is one run of the program.
type bench struct {
	s      settings
	cat    *catalog.Catalog
	pg     *pgtest.Server
	dir    string
	runs   int
	report *report
}

const publication = "bench"

func newBench(ctx context.Context, s settings) (_ *bench, err error) {
	b := &bench{s: s}
	if b.cat, err = catalog.LoadDir(filepath.Join(s.data, "catalog")); err != nil {
		return nil, err
	}
	if b.report, err = newReport(s.out); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "supstream-bench-"); err != nil {
		return nil, err
	}
	if b.pg, err = pgtest.Start(ctx, pgtest.Options{Socket: true, Settings: map[string]string{"max_wal_size": "16GB"}}); err != nil {
		os.RemoveAll(b.dir)
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	if err := b.pg.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: postgres:", err)
	}
	os.RemoveAll(b.dir)
}

// workload is a loaded database.
type workload struct {
	name string
	db   string
	slot string // was made before the load; is never read
	rows int    // changes in the backlog, with the row that ends it
	end  string // a position behind the load and in front of the last row
}

// load makes a database with a backlog:
//
//	w1  inserts in transactions of 100
//	w2  updates in transactions of 10, the old rows are sent too
//	w3  inserts in one transaction
//	""  none
//
// One more row is inserted behind each: whoever has it has everything.
func (b *bench) load(ctx context.Context, name string, rows int) (w workload, err error) {
	w = workload{name: name, db: "bench_" + name, slot: "base_" + name, rows: rows + 1}
	if err := b.pg.CreateDatabase(ctx, w.db); err != nil {
		return w, err
	}
	schema, err := os.ReadFile(filepath.Join(b.s.data, "schema.sql"))
	if err != nil {
		return w, err
	}
	conn, err := b.pg.Connect(ctx, w.db)
	if err != nil {
		return w, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	exec := func(sql string) {
		if err != nil {
			return
		}
		if _, e := conn.PgConn().Exec(ctx, sql).ReadAll(); e != nil {
			err = fmt.Errorf("load %s: %w", name, e)
		}
	}
	begun := time.Now()
	exec("SET synchronous_commit = off")
	exec(string(schema))
	exec("ALTER TABLE aktivitet REPLICA IDENTITY FULL")
	if name == "w2" {
		exec(fmt.Sprintf("CALL indsaet(1, %d, 1000)", rows))
	}
	exec(capture.PublicationSQL(publication, b.cat))
	exec(fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", w.slot))
	switch name {
	case "w1":
		exec(fmt.Sprintf("CALL indsaet(1, %d, 100)", rows))
	case "w2":
		exec(fmt.Sprintf("CALL opdater(1, %d, 10)", rows))
	case "w3":
		exec(fmt.Sprintf("INSERT INTO aktivitet SELECT r.* FROM generate_series(1, %d) g CROSS JOIN LATERAL raekke(g) r", rows))
	}
	if err != nil {
		return w, err
	}
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&w.end); err != nil {
		return w, err
	}
	exec("SET synchronous_commit = on")
	exec(fmt.Sprintf("INSERT INTO aktivitet SELECT r.* FROM raekke(%d) r", rows+1))
	exec("CHECKPOINT")
	b.report.say("%s loaded: %d rows in %.1f s", name, rows, time.Since(begun).Seconds())
	return w, err
}

// unload drops the database and the slot.
func (b *bench) unload(ctx context.Context, w workload) error {
	if err := b.pg.Exec(ctx, w.db, "SELECT pg_drop_replication_slot('"+w.slot+"')"); err != nil {
		return err
	}
	return b.pg.Exec(ctx, "postgres", "DROP DATABASE "+w.db+" WITH (FORCE)")
}

// copySlot copies the workload's slot for one run; drop removes the copy.
func (b *bench) copySlot(ctx context.Context, w workload) (slot string, drop func() error, err error) {
	b.runs++
	slot = "run_" + strconv.Itoa(b.runs)
	err = b.pg.Exec(ctx, w.db, fmt.Sprintf("SELECT pg_copy_logical_replication_slot('%s', '%s')", w.slot, slot))
	return slot, func() error { return b.dropSlot(context.WithoutCancel(ctx), w, slot) }, err
}

// freshSlot makes a slot with an empty backlog.
func (b *bench) freshSlot(ctx context.Context, w workload) (slot string, drop func() error, err error) {
	b.runs++
	slot = "run_" + strconv.Itoa(b.runs)
	err = b.pg.Exec(ctx, w.db, fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", slot))
	return slot, func() error { return b.dropSlot(context.WithoutCancel(ctx), w, slot) }, err
}

// dropSlot waits for the walsender to let go of the slot, ends it if need be,
// and drops the slot.
func (b *bench) dropSlot(ctx context.Context, w workload, slot string) error {
	conn, err := b.pg.Connect(ctx, w.db)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for {
		_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = $1 AND active`, slot)
		if err != nil {
			return err
		}
		if _, err = conn.Exec(ctx, "SELECT pg_drop_replication_slot($1)", slot); err == nil {
			return nil
		}
		if _, failed := err.(interface{ SQLState() string }); !failed {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// url is where a workload is found over a kind of connection.
func (b *bench) url(w workload, conn string) string {
	if conn == "unix" {
		return b.pg.SocketURL(w.db)
	}
	return b.pg.URL(w.db)
}

// walsender is the process that serves a slot.
func walsender(ctx context.Context, conn *pgx.Conn, slot string) (pid int, err error) {
	for {
		err := conn.QueryRow(ctx, "SELECT coalesce(active_pid, 0) FROM pg_replication_slots WHERE slot_name = $1", slot).Scan(&pid)
		if err != nil || pid != 0 {
			return pid, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
