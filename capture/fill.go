package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"supstream/catalog"
)

// At the start of a session the map of persons is read from the mirror, in one
// snapshot. The stream begins earlier: at what the slot has confirmed. Rows
// that changed in between belonged to whoever the person belonged to then, and
// who has them can only be told from that. So the map is taken back: the log
// behind the confirmed position is read for changes of person tables (a peek,
// which confirms nothing), and those that the snapshot sees are undone, the
// last one first. What remains is the map at the confirmed position, and from
// there the stream keeps it, in order, as if there had been no restart.
//
// Where nothing was routed before, and where that log cannot be had (the slot is
// new, a person table was truncated), the map stays as the snapshot sees it and
// passes over changes that the snapshot saw. Then rows go to where they belong
// now, some moments early, and areas that had rows before are read again.

// personsRead is a map at the start of a session.
type personsRead struct {
	*Persons
	today Day
	since uint64 // end of the log after the snapshot
	lost  bool   // who had rows before cannot be told
}

// readPersons reads the map; nil when no table finds its owners via another.
// The slot must not be in use.
func (c *Capturer) readPersons(ctx context.Context, conn *pgx.Conn, slot SlotState, created bool) (*personsRead, error) {
	if len(c.cfg.Catalog.PersonTables()) == 0 {
		return nil, nil
	}
	if slot.Active {
		return nil, fmt.Errorf("slot %s: %w", c.cfg.Slot, ErrSlotInUse)
	}
	begun := time.Now()
	var state OwnersState
	var err error
	if c.cfg.Owners != nil {
		if state, err = c.cfg.Owners(ctx); err != nil {
			return nil, err
		}
	}
	r := &personsRead{}
	if r.today, err = readDay(ctx, conn); err != nil {
		return nil, err
	}
	day, known := state.at(Position{LSN: slot.Confirmed})
	if !known {
		day = r.today
	}
	r.Persons = NewPersons(c.cfg.Catalog, day)
	snap, err := r.fill(ctx, conn, c)
	if err != nil {
		return nil, err
	}
	if known && !created && slot.Confirmed >= state.Since {
		err := r.takeBack(ctx, conn, c, snap)
		if err == nil {
			c.log.Info("persons are read", "persons", r.Count(), "took", time.Since(begun))
			return r, nil
		}
		var gone *undoError
		if !errors.As(err, &gone) {
			return nil, err
		}
		c.log.Error("whose persons were at the slot's position cannot be told; the areas that depend on it are read again", "error", err)
		r.Persons = NewPersons(c.cfg.Catalog, day)
		if snap, err = r.fill(ctx, conn, c); err != nil {
			return nil, err
		}
	}
	r.lost = len(state.Days) > 0
	r.seen, r.seenEnd = snap, r.since
	c.log.Info("persons are read", "persons", r.Count(), "took", time.Since(begun))
	return r, nil
}

// undoError: the log does not tell what the map was at the slot's position.
type undoError struct{ error }

// readDay is the day in Denmark by the clock of Postgres.
func readDay(ctx context.Context, conn *pgx.Conn) (Day, error) {
	var text string
	if err := conn.QueryRow(ctx, "SELECT to_char(clock_timestamp() AT TIME ZONE 'Europe/Copenhagen', 'YYYY-MM-DD')").Scan(&text); err != nil {
		return 0, fmt.Errorf("read the day of postgres: %w", err)
	}
	return ParseDay(text)
}

// fill reads all persons in one snapshot. Rows are taken as they come; none is
// kept.
func (r *personsRead) fill(ctx context.Context, conn *pgx.Conn, c *Capturer) (*snapshot, error) {
	l, err := newLoader(ctx, conn)
	if err != nil {
		return nil, err
	}
	if err := l.settle(ctx, c.log); err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("read persons: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // nothing was written
	for t := range r.tables {
		if _, err := tx.Exec(ctx, "LOCK TABLE "+t.SQL()+" IN ACCESS SHARE MODE"); err != nil {
			return nil, fmt.Errorf("table %s: read persons: %w", t, err)
		}
	}
	var text string
	if err := tx.QueryRow(ctx, "SELECT pg_current_snapshot()::text").Scan(&text); err != nil {
		return nil, fmt.Errorf("read persons: %w", err)
	}
	snap, err := parseSnapshot(text)
	if err != nil {
		return nil, fmt.Errorf("read persons: %w", err)
	}
	for t := range r.tables {
		if err := r.fillTable(ctx, tx, t); err != nil {
			return nil, fmt.Errorf("table %s: read persons: %w", t, withoutValues(err))
		}
	}
	if err := tx.Commit(ctx); err != nil {
		return nil, fmt.Errorf("read persons: %w", err)
	}
	if r.since, err = l.position(ctx); err != nil {
		return nil, err
	}
	return &snap, nil
}

func (r *personsRead) fillTable(ctx context.Context, tx pgx.Tx, t *catalog.Table) error {
	var names []string
	columns := t.Routing()
	for _, i := range columns {
		names = append(names, catalog.QuoteIdentifier(t.Columns[i].Name))
	}
	sql := "SELECT " + strings.Join(names, ", ") + " FROM " + t.SQL()
	if to := t.Persons.To; to >= 0 { // periods that are over do not come back
		name := catalog.QuoteIdentifier(t.Columns[to].Name)
		sql += fmt.Sprintf(" WHERE %s IS NULL OR %s >= date '%s'", name, name, r.day)
	}
	people, row := r.tables[t], make(catalog.Row, len(t.Columns))
	res := tx.Conn().PgConn().ExecParams(ctx, sql, nil, nil, nil, nil)
	for res.NextRow() {
		for n, b := range res.Values() {
			row[columns[n]] = textValue(b)
		}
		key, ok := personOf(t, row)
		if !ok {
			continue
		}
		period, err := r.period(t, row)
		if err != nil {
			return errors.Join(err, closeResult(res))
		}
		people.add(key, period, r.day)
	}
	r.count.Store(r.total())
	return closeResult(res)
}

func closeResult(res *pgconn.ResultReader) error {
	_, err := res.Close()
	return err
}

// takeBack undoes what person tables were told behind the slot's position.
func (r *personsRead) takeBack(ctx context.Context, conn *pgx.Conn, c *Capturer, snap *snapshot) error {
	if err := flushed(ctx, conn, r.since); err != nil {
		return err
	}
	changes, err := c.peek(ctx, conn)
	if err != nil {
		return err
	}
	for _, ch := range slices.Backward(changes) {
		if !snap.sees(ch.XID) {
			continue // the stream will bring it
		}
		if ch.Op == Truncate {
			return &undoError{fmt.Errorf("table %s was truncated", ch.Table)}
		}
		if err := r.replace(ch.Table, ch.New, ch.Old); err != nil {
			return &undoError{err}
		}
	}
	return nil
}

// flushed waits until the log is on disk up to lsn: what others see may be
// there a moment later, and only what is there can be peeked at.
func flushed(ctx context.Context, conn *pgx.Conn, lsn uint64) error {
	for {
		var ok bool
		err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery() OR pg_current_wal_flush_lsn() - '0/0' >= $1::numeric", fmt.Sprint(lsn)).Scan(&ok)
		if err != nil {
			return fmt.Errorf("read the end of the log: %w", err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery / 10):
		}
	}
}

// peek reads the changes of person tables behind the slot's position, and
// confirms nothing.
func (c *Capturer) peek(ctx context.Context, conn *pgx.Conn) (collected, error) {
	names, err := connect(ctx, c.cfg.Postgres) // types are looked up while rows arrive
	if err != nil {
		return nil, err
	}
	defer names.Close(context.WithoutCancel(ctx))
	dec := newDecoder(c.cfg.Catalog)
	dec.typeName = typeNamer(names)
	dec.reread = func(context.Context, *catalog.Table, catalog.Row) error { return nil } // no large value is needed
	var all collected
	rows, err := conn.Query(ctx, `
		SELECT data FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2)`,
		c.cfg.Slot, catalog.QuoteIdentifier(personsPublication(c.cfg.Publication)))
	var data []byte
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&data}, func() error { return dec.decode(ctx, data, &all) })
	}
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return all, nil
	case errors.As(err, &pg) && pg.Code == "55006":
		return nil, fmt.Errorf("slot %s: %w", c.cfg.Slot, ErrSlotInUse)
	case errors.As(err, &pg) && (pg.Code == "42704" || pg.Code == "55000"): // no such publication then; a slot that lost its log
		return nil, &undoError{err}
	}
	return nil, fmt.Errorf("read persons: look at the slot %s: %w", c.cfg.Slot, withoutValues(err))
}

// collected implements handler: it keeps changes with their rows.
type collected []Change

func (l *collected) change(_ context.Context, c *Change) error {
	if c.Table.Persons == nil {
		return nil
	}
	kept := *c
	kept.Old, kept.New = keptRow(c.Table, c.Old), keptRow(c.Table, c.New)
	*l = append(*l, kept)
	return nil
}

func (l *collected) advance(context.Context, boundary) error { return nil }

// keptRow copies what a person table says.
func keptRow(t *catalog.Table, row catalog.Row) catalog.Row {
	if row == nil {
		return nil
	}
	kept := make(catalog.Row, len(row))
	for _, i := range t.Routing() {
		kept[i] = catalog.Value{Kind: row[i].Kind, Text: slices.Clone(row[i].Text)}
	}
	return kept
}
