package capture

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// plan is what a session does with the areas and their tables.
type plan struct {
	jobs    []loadJob // of all areas, also of those that are held
	holds   map[*catalog.Dataomraade]*holding
	replays []*catalog.Dataomraade // were held and are no longer
	known   map[uint32]*catalog.Table
	oids    map[*catalog.Table]uint32
	stale   map[*catalog.Table]uint64
}

// prepare compares the mirror with the catalogue before the slot is taken. The
// first start wants everything to be right; later nothing but the areas that
// differ is stopped.
func (c *Capturer) prepare(ctx context.Context, conn *pgx.Conn) (*survey, error) {
	slot, err := ReadSlot(ctx, conn, c.cfg.Slot)
	if err != nil {
		return nil, err
	}
	s, err := c.takeSurvey(ctx, conn)
	if err != nil {
		return nil, err
	}
	if slot.Exists {
		p, err := ReadPublication(ctx, conn, c.cfg.Publication)
		if err != nil {
			return nil, err
		}
		if p.Exists {
			return s, p.Usable()
		}
	}
	if err := s.refuse(c.cfg.Catalog); err != nil {
		return nil, err
	}
	if err := ensurePublication(ctx, conn, c.cfg.Publication, c.cfg.Catalog); err != nil {
		return nil, err
	}
	if slot.Exists { // what happened without a publication was not sent
		return s, nil
	}
	return c.takeSurvey(ctx, conn)
}

// plan says which areas are held, and which tables are read: those not read to
// their end, those that are not what was read, and all of an area whose stream
// is behind the slot, because Postgres may not have the changes in between any
// more.
func (c *Capturer) plan(s *survey, areas []AreaState, from uint64, created bool) *plan {
	p := &plan{holds: c.holds(s, areas), known: map[uint32]*catalog.Table{}, oids: map[*catalog.Table]uint32{}, stale: map[*catalog.Table]uint64{}}
	known := false // a stream goes on from the slot
	for _, a := range areas {
		area, ok := c.cfg.Catalog.Dataomraade(a.Dataomraade)
		if !ok {
			continue
		}
		fresh := a.covered() == Position{}
		behind := !fresh && (created || a.covered().LSN < from)
		if behind {
			c.log.Error("the stream is behind the slot; the area is read again", "dataomraade", a.Dataomraade)
		}
		pending := 0
		for _, t := range area.Tables {
			j := c.job(t, a.Loads[t.Slug], s.tables[t], behind)
			if j.reset {
				p.stale[t] = s.lsn
			}
			if !j.state.Done || j.reset {
				pending++
				p.jobs = append(p.jobs, j)
			}
			p.note(t, a.Loads[t.Slug].OID)
		}
		c.cfg.Metrics.loadTables.WithLabelValues(area.Slug).Set(float64(pending))
		if a.Held && p.holds[area] == nil {
			p.replays = append(p.replays, area)
		}
		known = known || !fresh
	}
	for _, t := range published(c.cfg.Catalog) {
		p.note(t, s.tables[t].oid)
	}
	if created && known {
		c.cfg.Metrics.lost.Inc()
	}
	return p
}

// note remembers a table's number; the newest counts.
func (p *plan) note(t *catalog.Table, oid uint32) {
	if oid != 0 {
		p.known[oid], p.oids[t] = t, oid
	}
}

// job is what is to be read of a table; nothing if the state is done.
func (c *Capturer) job(t *catalog.Table, state LoadState, now surveyed, behind bool) loadJob {
	j := loadJob{table: t, state: state, reset: behind || state.Reset}
	reason, reset := c.again(t, state, now)
	if reason != "" {
		c.log.Warn("the table is read again", "dataomraade", t.Area.Slug, "table", t.String(), "reason", reason)
		j.state, j.reset, j.note = LoadState{}, j.reset || reset, true
	}
	j.note = j.note || j.reset && !state.Reset
	key, columns := shape(t)
	j.state.OID, j.state.Member, j.state.Shape = now.oid, now.member, key+columns
	return j
}

// settlePlan does what comes before the first change: areas are held, and that
// a table has to be read again is stored before its stream says that it is
// where the slot is, and before its changes come.
func (c *Capturer) settlePlan(ctx context.Context, conn *pgx.Conn, pub Publisher, p *plan, s *survey, clock time.Time) error {
	var held []*catalog.Dataomraade
	for _, area := range c.cfg.Catalog.Dataomraader() {
		if p.holds[area] != nil {
			held = append(held, area)
		}
	}
	if err := pub.Hold(ctx, held); err != nil {
		return err
	}
	for _, j := range p.jobs {
		if j.note {
			if err := pub.PublishChunk(ctx, &Chunk{Table: j.table, Time: clock, State: LoadState{Reset: j.reset}}); err != nil {
				return err
			}
		}
		if f := c.findings[j.table]; f != nil {
			f.again = false
		}
	}
	if err := c.publish(ctx, conn, s); err != nil {
		return err
	}
	for i := range p.jobs {
		p.jobs[i].state.Member = s.tables[p.jobs[i].table].member
	}
	return nil
}

// load lists what is read in this session.
func (p *plan) load() []loadJob {
	return slices.DeleteFunc(slices.Clone(p.jobs), func(j loadJob) bool { return p.holds[j.table.Area] != nil })
}
