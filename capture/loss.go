package capture

import (
	"context"
	"slices"

	"supstream/catalog"
)

// mendLost repairs, by comparison, the areas whose stream was behind the slot,
// and returns what is to be read again all the same. Receivers keep what they
// have meanwhile and get what differs. That an area is not yet repaired is
// stored like an unfinished back-fill, so that a crash does not pass it over;
// what was repaired before it does not differ any more.
func (c *Capturer) mendLost(ctx context.Context, p *pump, jobs []loadJob) ([]loadJob, error) {
	if c.cfg.Mend == nil {
		return jobs, nil
	}
	var areas []*catalog.Dataomraade
	for _, j := range jobs {
		if j.reset && !slices.Contains(areas, j.table.Area) {
			areas = append(areas, j.table.Area)
		}
	}
	for _, area := range areas {
		if err := c.cfg.Mend(ctx, area); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			c.log.Error("the area could not be repaired by comparison and is read again", "dataomraade", area.Slug, "error", err)
			continue
		}
		for _, j := range jobs {
			if j.table.Area != area {
				continue
			}
			chunk := &Chunk{Table: j.table, State: LoadState{Done: true}}
			var failed error
			if err := p.do(ctx, func() { failed = p.pub.PublishChunk(ctx, chunk) }); err != nil {
				return nil, err
			}
			if failed != nil {
				return nil, failed
			}
			c.cfg.Metrics.loaded(j.table, 0, true)
		}
		jobs = slices.DeleteFunc(jobs, func(j loadJob) bool { return j.table.Area == area })
		c.log.Info("the area was repaired by comparison", "dataomraade", area.Slug)
	}
	return jobs, nil
}
