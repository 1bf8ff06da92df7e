package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"supstream/catalog"
)

// Config is what a Capturer is made with.
type Config struct {
	Postgres    *pgx.ConnConfig
	Catalog     *catalog.Catalog
	Slot        string
	Publication string
	MarkEvery   time.Duration // how often a quiet stream says how far it is

	ChunkRows     int // rows read at once by a back-fill; 0: as many as a batch takes
	RowsPerSecond int // limit of back-fills; 0: none

	// Open makes a publisher that goes on where the streams end. The one
	// before it, if any, was closed.
	Open func(ctx context.Context) (Publisher, error)

	// Mend makes receivers' rows of an area what the mirror has, by comparison
	// and Repair. With nil, or when it fails, an area whose stream was behind
	// the slot is emptied and read again.
	Mend func(ctx context.Context, area *catalog.Dataomraade) error

	Progress func(LoadProgress) // may be nil
	Log      *slog.Logger
	Metrics  *Metrics
}

// Capturer reads a mirror's changes and hands them to a publisher.
type Capturer struct {
	cfg  Config
	log  *slog.Logger
	live atomic.Pointer[pump] // of the session that has the slot, nil between sessions
}

// New returns a capturer; Run makes it work.
func New(cfg Config) *Capturer { return &Capturer{cfg: cfg, log: cfg.Log} }

// Run captures until ctx ends. It tries again for as long as an error can go
// away by itself: a server that restarts, a network that fails, another
// process that has the slot. It returns any other error.
func (c *Capturer) Run(ctx context.Context) error {
	wait := minBackoff
	for {
		c.cfg.Metrics.restarts.Inc()
		c.cfg.Metrics.setState(StateStarting)
		begun := time.Now()
		err := c.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		kind := classify(err)
		c.cfg.Metrics.errors.WithLabelValues(kind).Inc()
		if kind == kindPermanent {
			c.cfg.Metrics.setState(StateFailed)
			return err
		}
		if time.Since(begun) > time.Minute {
			wait = minBackoff
		}
		if kind == kindStandby {
			c.cfg.Metrics.setState(StateStandby)
			c.log.Info("waiting for the replication slot", "slot", c.cfg.Slot)
			wait = time.Second
		} else {
			c.cfg.Metrics.setState(StateFailed)
			c.log.Warn("capture stopped, trying again", "error", err, "in", wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, maxBackoff)
	}
}

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Kinds of errors, as the label of supstream_capture_errors_total.
const (
	kindTransient = "transient"
	kindStandby   = "standby"
	kindPermanent = "permanent"
)

// classify tells whether trying again can help. What came from Postgres with
// a code tells it by its class; what is not understood is permanent only when
// it is about the data, the catalogue or the settings.
func classify(err error) string {
	var drift *catalog.DriftError
	var pg *pgconn.PgError
	var perm interface{ Permanent() bool }
	switch {
	case errors.Is(err, ErrSlotInUse):
		return kindStandby
	case errors.Is(err, ErrSlotLost):
		return kindTransient // the next session makes it anew
	case errors.As(err, &perm) && perm.Permanent(), errors.As(err, &drift):
		return kindPermanent
	case errors.As(err, &pg):
		switch pg.Code[:2] {
		case "08", "53", "57", "58", "40", "XX": // connection, resources, operator, system, rollback, internal
			return kindTransient
		}
		if pg.Code == "55006" || pg.Code == "55P03" { // in use, locked
			return kindTransient
		}
		return kindPermanent
	}
	return kindTransient
}

// MessageError is a message of the replication stream that was not understood.
// Nothing behind it is published.
type MessageError struct {
	Position Position // of the last change before it
	Err      error
}

func (e *MessageError) Error() string {
	return fmt.Sprintf("replication message behind %s: %v", e.Position, e.Err)
}

func (e *MessageError) Unwrap() error { return e.Err }

// Permanent says that the same message will come again.
func (e *MessageError) Permanent() bool { return true }

// session is one connection's worth of capturing.
func (c *Capturer) session(ctx context.Context) error {
	conn, err := connect(ctx, c.cfg.Postgres)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := refuseSetup(ctx, conn, c.cfg.Catalog, c.cfg.Slot); err != nil {
		return err
	}
	if err := refuseDrift(ctx, conn, c.cfg.Catalog); err != nil {
		return err
	}
	if err := ensurePublication(ctx, conn, c.cfg.Publication, c.cfg.Catalog); err != nil {
		return err
	}
	repl, err := connectReplication(ctx, c.cfg.Postgres)
	if err != nil {
		return err
	}
	defer repl.Close(context.WithoutCancel(ctx))
	slot, created, err := c.slot(ctx, conn, repl)
	if err != nil {
		return err
	}
	// Only the process that gets the slot may write to the streams.
	if err := startReplication(ctx, repl, c.cfg.Slot, c.cfg.Publication); err != nil {
		return err
	}
	if !created { // until now another process may have moved it
		if slot, err = ReadSlot(ctx, conn, c.cfg.Slot); err != nil {
			return err
		}
	}
	pub, err := c.cfg.Open(ctx)
	if err != nil {
		return err
	}
	if closer, ok := pub.(interface{ Close() }); ok {
		defer closer.Close()
	}
	return c.stream(ctx, conn, repl, pub, slot.Confirmed, created)
}

// slot finds the slot, or makes it.
func (c *Capturer) slot(ctx context.Context, conn *pgx.Conn, repl *pgconn.PgConn) (s SlotState, created bool, err error) {
	if s, err = ReadSlot(ctx, conn, c.cfg.Slot); err != nil {
		return s, false, err
	}
	if s.Exists && s.WALStatus == "lost" {
		c.log.Error("the replication slot is lost and is made anew; all areas are repaired", "slot", c.cfg.Slot)
		if _, err := conn.Exec(ctx, "SELECT pg_drop_replication_slot($1)", c.cfg.Slot); err != nil {
			return s, false, fmt.Errorf("drop lost slot %s: %w", c.cfg.Slot, err)
		}
		s.Exists = false
	}
	if s.Exists {
		return s, false, nil
	}
	if s.Confirmed, err = createSlot(ctx, repl, c.cfg.Slot); err != nil {
		return s, false, err
	}
	c.log.Info("replication slot made", "slot", c.cfg.Slot)
	return s, true, nil
}

// stream runs the receiver, the pump, the back-fill and the watch over the
// slot until the first of them fails or ctx ends.
func (c *Capturer) stream(ctx context.Context, conn *pgx.Conn, repl *pgconn.PgConn, pub Publisher, from uint64, created bool) error {
	var clock time.Time
	var end pglogrepl.LSN
	if err := conn.QueryRow(ctx, `
		SELECT clock_timestamp(), CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text`).Scan(&clock, &end); err != nil {
		return fmt.Errorf("read the clock of postgres: %w", err)
	}
	areas := pub.Areas()
	if err := ahead(areas, uint64(end)); err != nil {
		return err
	}
	jobs := c.jobs(areas, from, created)
	// That an area has to be read again must be stored before its stream says
	// that it is where the slot is.
	for _, j := range jobs {
		if !j.reset || j.state.Reset {
			continue
		}
		if err := pub.PublishChunk(ctx, &Chunk{Table: j.table, Time: clock.UTC(), State: LoadState{Reset: true}}); err != nil {
			return err
		}
	}
	if err := pub.Advance(ctx, Position{LSN: from}, clock.UTC()); err != nil {
		return err
	}
	q := newQueue()
	recv := &receiver{conn: repl, queue: q, durable: func() uint64 { return pub.Durable().LSN }, confirmed: from}
	dec := newDecoder(c.cfg.Catalog)
	dec.typeName, dec.reread = typeNamer(conn), rereader(conn)
	p := &pump{
		queue: q, decoder: dec, pub: pub, ask: recv.askPosition, metrics: c.cfg.Metrics, mark: c.cfg.MarkEvery,
		boundary: Position{LSN: from}, commands: make(chan func()), ended: make(chan struct{}),
	}
	c.cfg.Metrics.setState(StateStreaming)
	c.live.Store(p)
	defer c.live.Store(nil)

	g, gctx := errgroup.WithContext(ctx)
	// The receiver ends after the pump, so that what the pump stored last is
	// still confirmed.
	recvCtx, endRecv := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer endRecv()
		return p.run(gctx)
	})
	g.Go(func() error {
		err := recv.run(recvCtx)
		if recvCtx.Err() != nil {
			return nil
		}
		return err
	})
	g.Go(func() error { return c.load(gctx, p, jobs) })
	g.Go(func() error { return c.watchSlot(gctx) })
	return g.Wait()
}

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
// changes in between any more.
func (c *Capturer) jobs(areas []AreaState, from uint64, created bool) []loadJob {
	var jobs []loadJob
	known := false // a stream goes on from the slot
	for _, a := range areas {
		area, ok := c.cfg.Catalog.Dataomraade(a.Dataomraade)
		if !ok {
			continue
		}
		fresh := a.Position == Position{}
		behind := !fresh && (created || a.Position.LSN < from)
		if behind {
			c.log.Error("the stream is behind the slot; the area is repaired", "dataomraade", a.Dataomraade)
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

// load reads the tables of jobs while the stream goes on.
func (c *Capturer) load(ctx context.Context, p *pump, jobs []loadJob) error {
	if len(jobs) == 0 {
		return nil
	}
	c.cfg.Metrics.setState(StateLoading)
	conn, err := connect(ctx, c.cfg.Postgres)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	l, err := newLoader(ctx, conn)
	if err != nil {
		return err
	}
	if err := l.settle(ctx, c.log); err != nil {
		return err
	}
	if jobs, err = c.mendLost(ctx, p, jobs); err != nil {
		return err
	}
	limit := p.pub.ChunkRows()
	if c.cfg.ChunkRows > 0 {
		limit = min(limit, c.cfg.ChunkRows)
	}
	b := &backfill{loader: l, pump: p, limit: limit, throttle: throttle(c.cfg.RowsPerSecond, limit), metrics: c.cfg.Metrics, progress: c.cfg.Progress}
	c.log.Info("reading tables", "tables", len(jobs))
	if err := b.run(ctx, jobs); err != nil {
		return err
	}
	c.log.Info("all tables are read", "tables", len(jobs))
	c.cfg.Metrics.setState(StateStreaming)
	return nil
}

// throttle bounds the rows read per second.
func throttle(perSecond, burst int) func(context.Context, int) error {
	if perSecond == 0 {
		return func(context.Context, int) error { return nil }
	}
	limiter := rate.NewLimiter(rate.Limit(perSecond), burst)
	return limiter.WaitN
}

const slotEvery = 5 * time.Second

// watchSlot keeps the slot's metrics up to date.
func (c *Capturer) watchSlot(ctx context.Context) error {
	conn, err := connect(ctx, c.cfg.Postgres)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for {
		s, err := ReadSlot(ctx, conn, c.cfg.Slot)
		if err != nil {
			return err
		}
		c.cfg.Metrics.slotSeen(s)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(slotEvery):
		}
	}
}
