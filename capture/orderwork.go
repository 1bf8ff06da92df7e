package capture

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// orderWorker reads the chunks of orders, one after the other, each order in
// its turn. What goes wrong with an order's table fails the order; the stream
// goes on.
type orderWorker struct {
	orders   *orders
	pump     *pump
	postgres *pgx.ConnConfig
	limit    int
	log      *slog.Logger

	conn    *pgx.Conn
	loader  *loader
	settled bool
}

// run works until ctx or the pump ends. loaded is closed when the first load,
// which has precedence, is done.
func (w *orderWorker) run(ctx context.Context, loaded <-chan struct{}) error {
	defer w.close()
	select {
	case <-loaded:
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		var t *turn
		var wait time.Duration
		turnCtx, cancel := context.WithCancel(ctx)
		err := w.pump.do(ctx, func(ctx context.Context) (err error) {
			if t, wait, err = w.orders.next(ctx, time.Now()); t != nil {
				t.run.stop = cancel
			}
			return err
		})
		if err == nil && t == nil {
			err = w.idle(ctx, wait)
		}
		if err == nil && t != nil {
			err = w.turn(ctx, turnCtx, t)
		}
		cancel()
		if err != nil {
			return err
		}
	}
}

// idle waits for work.
func (w *orderWorker) idle(ctx context.Context, wait time.Duration) error {
	var later <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		later = timer.C
	} else {
		w.close()
	}
	select {
	case <-w.orders.wake:
	case <-later:
	case <-w.pump.ended:
		return errPumpEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (w *orderWorker) close() {
	if w.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		w.conn.Close(ctx)
		w.conn, w.loader = nil, nil
	}
}

// turn reads and publishes one chunk. turnCtx ends when the order is paused or
// cancelled meanwhile. An error ends the session.
func (w *orderWorker) turn(ctx, turnCtx context.Context, t *turn) error {
	watch := newWatch(t.table)
	watch.turn = t
	read, err := w.read(turnCtx, t, watch)
	if err == nil {
		if err := w.pump.do(ctx, func(context.Context) error { watch.read = read; return nil }); err != nil {
			return err
		}
		_, err = watch.wait(ctx, w.pump) // not published: another turn
		return err
	}
	if errors.Is(err, errPumpEnded) || ctx.Err() != nil {
		return err
	}
	if w.conn != nil && w.conn.IsClosed() {
		w.close()
	}
	return w.pump.do(ctx, func(ctx context.Context) error {
		if err := w.pump.forget(watch)(ctx); err != nil {
			return err
		}
		var connect *ConnectError
		switch {
		case turnCtx.Err() != nil: // paused or cancelled
			return nil
		case errors.As(err, &connect) || classify(err) == kindTransient && !errors.Is(err, errNoRow):
			w.log.Warn("back-fill order waits", "order", t.order.ID, "dataomraade", t.order.Dataomraade, "error", err, "in", retryOrder)
			w.orders.retry(t.run, err.Error(), time.Now())
			return nil
		}
		return w.orders.fail(ctx, t.run, err.Error(), time.Now())
	})
}

// errNoRow is the order of a row that the mirror does not have. A back-fill
// gives rows and takes none away: who might have this one is not known.
var errNoRow = errors.New("no row of the mirror has this key; an order gives rows and takes none away")

// read reads the chunk. The watch is on its way before that.
func (w *orderWorker) read(ctx context.Context, t *turn, watch *watch) (*chunkRead, error) {
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	if !w.settled {
		if err := w.loader.settle(ctx, w.log); err != nil {
			return nil, err
		}
		w.settled = true
	}
	if t.order.Scope.Kind == ScopeAll && t.order.Rows == 0 {
		if err := w.estimate(ctx, t); err != nil {
			return nil, err
		}
	}
	if err := w.pump.do(ctx, w.pump.watch(watch)); err != nil {
		return nil, err
	}
	limit := w.limit
	if per := t.order.RowsPerSecond; per > 0 {
		limit = min(limit, per)
	}
	read, err := w.loader.read(ctx, t.table, t.order.Scope.filter(t.table), LoadState{After: t.order.After}, limit)
	if err == nil && t.order.Scope.Kind == ScopeKey && len(read.chunk.Rows) == 0 && t.order.After == nil {
		err = fmt.Errorf("table %s: %w", t.table, errNoRow)
	}
	return read, err
}

// connect opens the connection if there is none.
func (w *orderWorker) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := connect(ctx, w.postgres)
	if err != nil {
		return err
	}
	// Who locks the table for long must not keep other orders waiting.
	_, err = conn.Exec(ctx, "SET lock_timeout = '1s'")
	if err != nil {
		err = fmt.Errorf("set lock_timeout: %w", err)
	}
	var l *loader
	if err == nil {
		l, err = newLoader(ctx, conn)
	}
	if err != nil {
		conn.Close(context.WithoutCancel(ctx))
		return err
	}
	w.conn, w.loader = conn, l
	return nil
}

// estimate asks the planner how many rows the order has.
func (w *orderWorker) estimate(ctx context.Context, t *turn) error {
	for _, table := range t.table.Area.Tables {
		if !t.order.Scope.covers(table) {
			continue
		}
		rows, err := w.loader.estimate(ctx, table)
		if err != nil {
			return err
		}
		t.estimate += rows
	}
	return nil
}
