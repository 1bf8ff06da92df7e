package capture

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"supstream/catalog"
)

// A table that differs from the catalogue holds its area: for as long as that
// lasts, the area's changes are kept as they were sent, beside its stream, and
// everything else goes on. Whether an area is held is decided where a session
// begins, from what the tables look like then, and holds for all changes that
// its stream does not have yet; a difference that comes up later ends the
// session, and the next one begins at once.
//
// Where the stream shows a table otherwise than the catalogue, and the table
// itself is as the catalogue says, the rows are from the past: their shape
// came and went. They cannot be told in the catalogue's words. The table is
// taken away and read again, and such rows are left out, because what is read
// is newer than they are.

// driftFound is a difference that the stream showed.
type driftFound struct{ *catalog.DriftError }

func (e *driftFound) Unwrap() error { return e.DriftError }

// holding is an area that is held in this session.
type holding struct {
	area *catalog.Dataomraade
	from Position // changes up to it are stored or kept
}

// finding is what the stream showed of a table.
type finding struct {
	drift *catalog.DriftError
	times int  // in this process
	again bool // the table is still to be read again
}

// changed reports whether a session ended because the mirror's tables have
// changed, and says so.
func (c *Capturer) changed(err error) bool {
	var f *driftFound
	switch {
	case errors.As(err, &f):
		c.found(f.DriftError)
		c.log.Warn("the stream shows a table otherwise than the catalogue", "dataomraade", f.Table.Area.Slug,
			"table", f.Table.String(), "column", f.Column, "kind", f.Kind.String())
		return true
	case errors.Is(err, errMirrorChanged):
		c.log.Info("the mirror's tables have changed; they are compared with the catalogue again")
		return true
	}
	return false
}

// tableMoved reports whether Postgres did not find a table or a column that
// was there before.
func tableMoved(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "42703")
}

// patience is how often a table is read again because of what the stream
// shows, while the table itself is as it should be.
const patience = 3

// found remembers for the next session what this one ended with.
func (c *Capturer) found(d *catalog.DriftError) {
	f := c.findings[d.Table]
	if f == nil {
		f = &finding{}
		c.findings[d.Table] = f
	}
	f.drift, f.again = d, true
	f.times++
}

// holds tells which areas are held, and says so.
func (c *Capturer) holds(s *survey, areas []AreaState) map[*catalog.Dataomraade]*holding {
	held := map[*catalog.Dataomraade]*holding{}
	for _, t := range published(c.cfg.Catalog) {
		drifts := s.tables[t].drifts
		if f := c.findings[t]; f != nil {
			switch {
			case len(drifts) > 0:
				delete(c.findings, t) // its rows are kept
			case f.times > patience:
				s.add(f.drift)
				drifts, f.again = s.tables[t].drifts, false
			}
		}
		for _, d := range drifts {
			held[t.Area] = &holding{area: t.Area}
			c.log.Error("the dataområde is held: the mirror differs from the catalogue", "dataomraade", t.Area.Slug,
				"table", t.String(), "column", d.Column, "kind", d.Kind.String(), "error", d)
		}
	}
	c.tell(s)
	for _, a := range areas {
		for area, h := range held {
			if area.Slug == a.Dataomraade {
				h.from = a.Position
				if a.HeldLast.Compare(h.from) > 0 {
					h.from = a.HeldLast
				}
			}
		}
	}
	return held
}

// tell shows in the metrics what holds which areas.
func (c *Capturer) tell(s *survey) {
	c.cfg.Metrics.drift.Reset()
	for t, now := range s.tables {
		for _, d := range now.drifts {
			c.cfg.Metrics.drift.WithLabelValues(t.Area.Slug, d.Kind.String()).Set(1)
		}
	}
}

// again tells why a table has to be read again; reset: and its rows taken
// away first, because some may have gone without a word.
func (c *Capturer) again(t *catalog.Table, state LoadState, now surveyed) (reason string, reset bool) {
	if f := c.findings[t]; f != nil && f.again {
		return "its changes had a shape that the catalogue does not describe", true
	}
	if !state.begun() {
		return "", false
	}
	switch {
	case now.oid == 0: // held
	case state.OID != 0 && state.OID != now.oid:
		return "it is another table than before", true
	case !now.published:
		return "it was out of the publication", true
	case state.Member != 0 && now.member != 0 && state.Member != now.member:
		return "it was out of the publication", true
	}
	if key, columns := shape(t); state.Shape != "" && state.Shape != key+columns {
		return "the catalogue describes it otherwise", state.Shape[:len(key)] != key
	}
	return "", false
}

// shape identifies the key and the columns of a table in the catalogue.
func shape(t *catalog.Table) (key, columns string) {
	sum := func(list []int) string {
		h := sha256.New()
		for _, i := range list {
			fmt.Fprintf(h, "%q %q\n", t.Columns[i].Name, t.Columns[i].Type)
		}
		return hex.EncodeToString(h.Sum(nil)[:8])
	}
	all := make([]int, len(t.Columns))
	for i := range all {
		all[i] = i
	}
	return sum(t.Key), sum(all)
}

// publish adds the tables to the publication that it lacks. What they have
// missed must have been noted as to be read again before.
func (c *Capturer) publish(ctx context.Context, conn *pgx.Conn, s *survey) error {
	tables, err := look(ctx, conn, c.cfg.Catalog, c.cfg.Publication)
	if err != nil {
		return err
	}
	added := false
	for _, t := range published(c.cfg.Catalog) {
		if now := tables[t]; now.oid == 0 || now.published || c.unpublishable[t] {
			continue
		}
		err := addTable(ctx, conn, c.cfg.Publication, t)
		var pg *pgconn.PgError
		if errors.As(err, &pg) {
			c.unpublishable[t] = true
			c.log.Error("the table cannot be added to the publication", "table", t.String(), "error", err)
			return errMirrorChanged // the next survey finds it
		}
		if err != nil {
			return err
		}
		added = true
	}
	if added {
		if tables, err = look(ctx, conn, c.cfg.Catalog, c.cfg.Publication); err != nil {
			return err
		}
	}
	for t, now := range s.tables {
		now.member, now.published = tables[t].member, tables[t].published
		s.tables[t] = now
	}
	return nil
}
