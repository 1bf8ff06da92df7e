package capture

import (
	"fmt"
	"slices"

	"supstream/catalog"
)

// ahead is an error when a stream holds changes that the mirror has not made:
// the mirror was restored from a backup, or it is another one. What it does
// from here on would have positions that the streams have seen, and would be
// taken for known.
func ahead(areas []AreaState, end uint64) error {
	for _, a := range areas {
		if a.Position.LSN > end {
			return &HistoryError{Dataomraade: a.Dataomraade, Stream: a.Position, Mirror: Position{LSN: end}}
		}
	}
	return nil
}

// HistoryError is a mirror whose log ends before what a stream has of it.
type HistoryError struct {
	Dataomraade    string
	Stream, Mirror Position
}

func (e *HistoryError) Error() string {
	return fmt.Sprintf("the stream of %s is at %s, the mirror's log ends at %s: the mirror was restored from a backup or is another one; "+
		"see \"Restoring\" in docs/OPERATIONS.md before anything is written", e.Dataomraade, e.Stream, e.Mirror)
}

// Permanent says that somebody has to decide what to do.
func (e *HistoryError) Permanent() bool { return true }

// jobs lists the tables to read: those not read to their end, and all of an
// area whose stream is behind the slot, because Postgres may not have the
// changes in between any more. lost: it is not known who had rows whose owners
// are found via a person table.
func (c *Capturer) jobs(areas []AreaState, from uint64, created, lost bool) []loadJob {
	var jobs []loadJob
	known := false // a stream goes on from the slot
	for _, a := range areas {
		area, ok := c.cfg.Catalog.Dataomraade(a.Dataomraade)
		if !ok {
			continue
		}
		fresh := a.Position == Position{}
		behind := !fresh && (created || a.Position.LSN < from || lost && slices.ContainsFunc(area.Tables, (*catalog.Table).Via))
		if behind {
			c.log.Error("the stream is behind the slot; the area is read again", "dataomraade", a.Dataomraade)
		}
		pending := 0
		for _, t := range area.Tables {
			state := a.Loads[t.Slug]
			if state.Done && !behind {
				continue
			}
			pending++
			jobs = append(jobs, loadJob{table: t, state: state, reset: behind || state.Reset})
		}
		c.cfg.Metrics.loadTables.WithLabelValues(area.Slug).Set(float64(pending))
		known = known || !fresh
	}
	if created && known {
		c.cfg.Metrics.lost.Inc()
	}
	return jobs
}
