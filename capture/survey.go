package capture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// survey is how the mirror's tables were at a moment, compared with the
// catalogue.
type survey struct {
	lsn    uint64 // end of the log before the look
	tables map[*catalog.Table]surveyed
}

// surveyed is one table.
type surveyed struct {
	seen
	drifts []*catalog.DriftError // those that hold the area
}

// seen is what can be asked of a table cheaply.
type seen struct {
	oid       uint32 // 0: there is no such table
	member    uint32 // its entry in the publication; 0: published without one, or not at all
	published bool
	looks     string // everything that could make a difference
}

// same reports whether a and b are the same to capture.
func (a surveyed) same(b surveyed) bool {
	return a.oid == b.oid && a.member == b.member && a.published == b.published &&
		slices.EqualFunc(a.drifts, b.drifts, func(d, e *catalog.DriftError) bool { return *d == *e })
}

// look reads what the published tables look like, in one query: it is asked
// every few seconds.
func look(ctx context.Context, conn *pgx.Conn, c *catalog.Catalog, publication string) (map[*catalog.Table]seen, error) {
	tables := published(c)
	schemas, names := make([]string, len(tables)), make([]string, len(tables))
	for i, t := range tables {
		schemas[i], names[i] = t.Schema, t.Name
	}
	rows, err := conn.Query(ctx, `
		WITH p AS MATERIALIZED (SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = $3)
		SELECT w.n, coalesce(c.oid, 0), coalesce(r.oid, 0), p.tablename IS NOT NULL, concat_ws(' | ', c.relreplident,
		       (SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attgenerated), ', ' ORDER BY attnum)
		        FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
		       (SELECT string_agg(concat_ws(' ', indexrelid::regclass, indkey, indisprimary, indisreplident, indimmediate), ', ' ORDER BY indexrelid)
		        FROM pg_index WHERE indrelid = c.oid AND (indisprimary OR indisreplident)))
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY w(schema, name, n)
		LEFT JOIN (pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace AND c.relkind IN ('r', 'p')) ON s.nspname = w.schema AND c.relname = w.name
		LEFT JOIN p ON p.schemaname = w.schema AND p.tablename = w.name
		LEFT JOIN pg_publication_rel r ON r.prrelid = c.oid AND r.prpubid = (SELECT oid FROM pg_publication WHERE pubname = $3)`,
		schemas, names, publication)
	if err != nil {
		return nil, fmt.Errorf("look at the tables: %w", err)
	}
	found := map[*catalog.Table]seen{}
	var n int
	var s seen
	_, err = pgx.ForEachRow(rows, []any{&n, &s.oid, &s.member, &s.published, &s.looks}, func() error {
		found[tables[n-1]] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at the tables: %w", err)
	}
	return found, nil
}

// takeSurvey compares every table that leaves with the catalogue.
func (c *Capturer) takeSurvey(ctx context.Context, conn *pgx.Conn) (*survey, error) {
	var end pglogrepl.LSN
	err := conn.QueryRow(ctx, `
		SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END::text`).Scan(&end)
	if err != nil {
		return nil, fmt.Errorf("read log position: %w", err)
	}
	s := &survey{lsn: uint64(end), tables: map[*catalog.Table]surveyed{}}
	tables, err := look(ctx, conn, c.cfg.Catalog, c.cfg.Publication)
	if err != nil {
		return nil, err
	}
	for t, now := range tables {
		s.tables[t] = surveyed{seen: now}
	}
	found, err := CheckTables(ctx, conn, c.cfg.Catalog)
	if err != nil {
		return nil, err
	}
	for _, d := range found {
		if !d.Info() {
			s.add(d)
		}
	}
	for t := range s.tables {
		if c.unpublishable[t] && s.tables[t].oid != 0 && !s.tables[t].published {
			s.add(&catalog.DriftError{Table: t, Kind: catalog.Unpublished})
		}
	}
	return s, nil
}

func (s *survey) add(d *catalog.DriftError) {
	t := s.tables[d.Table]
	t.drifts = append(t.drifts, d)
	s.tables[d.Table] = t
}

// refuse is an error with all differences.
func (s *survey) refuse(c *catalog.Catalog) error {
	var errs []error
	for _, t := range published(c) {
		for _, d := range s.tables[t].drifts {
			errs = append(errs, d)
		}
	}
	return errors.Join(errs...)
}

// errMirrorChanged ends a session so that the next one takes another survey.
var errMirrorChanged = errors.New("the mirror's tables have changed")

const surveyEvery = 10 * time.Second

// watchTables looks every few seconds whether the tables are still as the
// session found them: what becomes of a table shows in the stream only with
// its next row, or never. It says so at once, and ends the session when the
// stream has passed that moment.
func (c *Capturer) watchTables(ctx context.Context, begun *survey, pub Publisher) error {
	conn, err := connect(ctx, c.cfg.Postgres)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	every := c.cfg.SurveyEvery
	if every == 0 {
		every = surveyEvery
	}
	var last map[*catalog.Table]seen
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
		now, err := look(ctx, conn, c.cfg.Catalog, c.cfg.Publication)
		if err != nil {
			return err
		}
		if maps.Equal(last, now) {
			continue
		}
		s, err := c.takeSurvey(ctx, conn)
		if err != nil {
			return err
		}
		if !maps.EqualFunc(begun.tables, s.tables, surveyed.same) {
			c.tell(s)
			return c.passed(ctx, pub, s.lsn)
		}
		last = now
	}
}

// passed waits until everything before the position is stored, because a
// change of before should be published in the words of before. The stream may
// show the difference first.
func (c *Capturer) passed(ctx context.Context, pub Publisher, lsn uint64) error {
	const header = 40 // of a page of the log; an idle server does not report it as read
	for pub.Durable().LSN+header < lsn {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tickEvery):
		}
	}
	return errMirrorChanged
}
