package capture

import (
	"context"
	"encoding/binary"
	"slices"

	"golang.org/x/time/rate"

	"supstream/catalog"
)

// A back-fill reads tables while their changes go on being streamed. A chunk
// is watched from before it is read: the changes of its table are noted, and
// where the chunk's snapshot cannot see one, the change is newer than the row
// read and the row is dropped. The rest is published once the stream has
// passed the end of the log as it was after the read, so that everything the
// chunk has seen comes before it.

// watch is a chunk on its way and the changes of its table meanwhile. It
// belongs to the goroutine that publishes.
type watch struct {
	table     *catalog.Table
	changed   map[string]uint32   // last transaction that changed a key
	older     map[string][]uint32 // transactions before it
	truncated []uint32            // transactions that emptied the table
	streamed  map[uint32]struct{} // transactions since the watch began, of all tables
	read      *chunkRead          // nil until it was read
	turn      *turn               // of an order; nil: of a load
	done      chan bool           // gets whether it was published; false: read again
}

func newWatch(t *catalog.Table) *watch {
	return &watch{table: t, changed: map[string]uint32{}, older: map[string][]uint32{}, streamed: map[uint32]struct{}{}, done: make(chan bool, 1)}
}

// note records a change of the watched table.
func (w *watch) note(c *Change) {
	if c.Op == Truncate {
		w.truncated = append(w.truncated, c.XID)
		return
	}
	row := c.New
	if c.Op == Delete {
		row = c.Old
	}
	key := rowKey(c.Table, row)
	if last, ok := w.changed[key]; ok && last != c.XID {
		w.older[key] = append(w.older[key], last)
	}
	w.changed[key] = c.XID
}

// rowKey is a row's key as a string: each value behind its length.
func rowKey(t *catalog.Table, row catalog.Row) string {
	var b []byte
	for _, at := range t.Key {
		b = binary.AppendUvarint(b, uint64(len(row[at].Text)))
		b = append(b, row[at].Text...)
	}
	return string(b)
}

// stale reports whether the chunk has to be read again: a transaction that was
// streamed before the watch began was not yet visible to the chunk. Such a one
// may also lie behind the snapshot's end, which is the end of those that are
// over, not of those that have begun.
func (w *watch) stale(streamed *xidSet) bool {
	before := func(xid uint32) bool {
		_, since := w.streamed[xid]
		return !since && streamed.has(xid)
	}
	s := &w.read.snapshot
	return slices.ContainsFunc(s.running, func(xid uint64) bool { return before(uint32(xid)) }) ||
		streamed.from(uint32(s.xmax), before)
}

// rest drops the rows that a later change has overtaken.
func (w *watch) rest() []catalog.Row {
	unseen := func(xid uint32) bool { return !w.read.snapshot.sees(xid) }
	if slices.ContainsFunc(w.truncated, unseen) {
		return nil
	}
	return slices.DeleteFunc(w.read.chunk.Rows, func(row catalog.Row) bool {
		key := rowKey(w.table, row)
		last, ok := w.changed[key]
		return ok && (unseen(last) || slices.ContainsFunc(w.older[key], unseen))
	})
}

// backfill reads tables one after the other and hands their chunks to the
// pump, reading ahead while one waits for the stream to pass it.
type backfill struct {
	loader   *loader
	pump     *pump
	limit    int
	throttle func(ctx context.Context, rows int) error
	metrics  *Metrics
	progress func(LoadProgress)
}

// LoadProgress is how far a table's back-fill is.
type LoadProgress struct {
	Table    string
	Rows     int64
	Estimate int64 // of the table's rows, by the planner; 0 unknown
	Done     bool
}

// loadJob is a table to be read from a state onwards.
type loadJob struct {
	table *catalog.Table
	state LoadState
	reset bool
}

func (b *backfill) run(ctx context.Context, jobs []loadJob) error {
	for _, j := range jobs {
		if err := b.table(ctx, j); err != nil {
			return err
		}
	}
	return nil
}

func (b *backfill) table(ctx context.Context, j loadJob) error {
	estimate, err := b.loader.estimate(ctx, j.table)
	if err != nil {
		return err
	}
	if j.reset {
		j.state = LoadState{}
		w := newWatch(j.table)
		end, err := b.loader.position(ctx)
		if err != nil {
			return err
		}
		w.read = &chunkRead{chunk: Chunk{Table: j.table, Reset: true, State: j.state}, end: end}
		if err := b.pump.do(ctx, b.pump.watch(w)); err != nil {
			return err
		}
		if _, err := w.wait(ctx, b.pump); err != nil {
			return err
		}
	}
	for state := j.state; !state.Done; {
		w := newWatch(j.table)
		if err := b.pump.do(ctx, b.pump.watch(w)); err != nil {
			return err
		}
		read, err := b.loader.read(ctx, j.table, filter{}, state, b.limit)
		if err != nil {
			return err
		}
		if err := b.pump.do(ctx, func(context.Context) error { w.read = read; return nil }); err != nil {
			return err
		}
		published, err := w.wait(ctx, b.pump)
		if err != nil {
			return err
		}
		if !published {
			continue
		}
		rows := int(read.chunk.State.Rows - state.Rows)
		state = read.chunk.State
		b.metrics.loaded(j.table, rows, state.Done)
		if b.progress != nil {
			b.progress(LoadProgress{Table: j.table.String(), Rows: state.Rows, Estimate: estimate, Done: state.Done})
		}
		if err := b.throttle(ctx, rows); err != nil {
			return err
		}
	}
	return nil
}

// wait waits until the pump has published the chunk or refused it.
func (w *watch) wait(ctx context.Context, p *pump) (published bool, err error) {
	select {
	case published = <-w.done:
		return published, nil
	case <-p.ended:
		return false, errPumpEnded
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// chunkRows is the most rows read at once.
func (c *Capturer) chunkRows(pub Publisher) int {
	if c.cfg.ChunkRows > 0 {
		return min(pub.ChunkRows(), c.cfg.ChunkRows)
	}
	return pub.ChunkRows()
}

// throttle bounds the rows read per second.
func throttle(perSecond, burst int) func(context.Context, int) error {
	if perSecond == 0 {
		return func(context.Context, int) error { return nil }
	}
	limiter := rate.NewLimiter(rate.Limit(perSecond), burst)
	return limiter.WaitN
}
