package capture

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"supstream/catalog"
)

// orders are the orders of all areas in one session. They belong to the
// goroutine that publishes, so that a chunk, a pause and a cancel come one
// after the other; others read the copy in seen.
type orders struct {
	catalog *catalog.Catalog
	pub     Publisher
	metrics *Metrics
	log     *slog.Logger
	wake    chan struct{} // capacity 1: there may be work

	runs  []*orderRun
	turns uint64
	paces map[string]pace // by ID

	mu   sync.Mutex // guards seen
	seen []Order
}

// orderRun is an order and what this session knows of it.
type orderRun struct {
	Order
	turn      uint64    // when it was served last
	notBefore time.Time // after a failure that may pass
	waits     string    // that failure
	stop      func()    // ends its turn; nil outside of one
}

// pace is the last chunk of an order, in any area.
type pace struct {
	at   time.Time
	rows int
}

// next is when the next chunk may be read.
func (p pace) next(perSecond int) time.Time {
	if perSecond == 0 {
		return time.Time{}
	}
	return p.at.Add(time.Duration(float64(p.rows) / float64(perSecond) * float64(time.Second)))
}

func newOrders(c *catalog.Catalog, pub Publisher, m *Metrics, log *slog.Logger) *orders {
	o := &orders{catalog: c, pub: pub, metrics: m, log: log, wake: make(chan struct{}, 1), paces: map[string]pace{}}
	for _, a := range pub.Areas() {
		for _, order := range a.Orders {
			o.runs = append(o.runs, &orderRun{Order: order})
		}
	}
	o.changed()
	return o
}

// changed publishes the copy for others.
func (o *orders) changed() {
	slices.SortStableFunc(o.runs, func(a, b *orderRun) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Dataomraade, b.Dataomraade))
	})
	list := make([]Order, len(o.runs))
	count := map[OrderState]int{}
	for i, r := range o.runs {
		list[i] = r.Order
		list[i].Problem = cmp.Or(r.Problem, r.waits)
		count[r.State]++
	}
	o.metrics.ordersAre(count)
	o.mu.Lock()
	o.seen = list
	o.mu.Unlock()
	signal(o.wake)
}

func (o *orders) list() []Order {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.seen)
}

// set makes an order what it is from now on, durably.
func (o *orders) set(ctx context.Context, r *orderRun, order Order) error {
	if err := o.pub.PublishOrder(ctx, &order); err != nil {
		return err
	}
	o.is(r, order)
	return nil
}

// is notes what was stored.
func (o *orders) is(r *orderRun, order Order) {
	before := r.State
	r.Order, r.waits, r.notBefore = order, "", time.Time{}
	if before != order.State {
		o.log.Info("back-fill order", "order", order.ID, "dataomraade", order.Dataomraade, "state", order.State, "rows", order.Rows)
		if order.State == OrderFailed {
			o.log.Warn("back-fill order failed", "order", order.ID, "dataomraade", order.Dataomraade, "error", order.Problem)
		}
	}
	if !order.State.Active() && r.stop != nil {
		r.stop()
	}
	o.changed()
}

// start takes new orders. What is known by its ID and area is left as it is,
// so that who did not get an answer can ask again.
func (o *orders) start(ctx context.Context, list []Order) error {
	for _, order := range list {
		if slices.ContainsFunc(o.runs, func(r *orderRun) bool { return r.ID == order.ID && r.Dataomraade == order.Dataomraade }) {
			continue
		}
		r := &orderRun{}
		if err := o.set(ctx, r, order); err != nil {
			return err
		}
		o.runs = append(o.runs, r)
		o.changed()
	}
	return nil
}

// OrderChange is what can be done to an order.
type OrderChange string

const (
	PauseOrder    OrderChange = "pause"
	ResumeOrder   OrderChange = "resume" // also one that failed
	CancelOrder   OrderChange = "cancel"
	ThrottleOrder OrderChange = "throttle"
)

// change does it in every area of the order that allows it. refused is the
// reason when none does; err ends capture.
func (o *orders) change(ctx context.Context, id string, change OrderChange, perSecond int, now time.Time) (refused, err error) {
	found, done := false, false
	for _, r := range o.runs {
		if r.ID != id {
			continue
		}
		found = true
		next, ok := r.Order.after(change, perSecond)
		if !ok {
			continue
		}
		done = true
		next.Changed = now
		if err := o.set(ctx, r, next); err != nil {
			return nil, err
		}
	}
	switch {
	case !found:
		return ErrNoOrder, nil
	case !done:
		return refuse("cannot %s it: no part of the order is in a state for that", change), nil
	}
	return nil, nil
}

// after is the order after a change; false when it does not allow it.
func (o Order) after(change OrderChange, perSecond int) (Order, bool) {
	switch change {
	case PauseOrder:
		if o.State.Active() {
			o.State = OrderPaused
			return o, true
		}
	case ResumeOrder:
		if o.State == OrderPaused || o.State == OrderFailed {
			o.State, o.Problem = OrderQueued, ""
			return o, true
		}
	case CancelOrder:
		if !o.State.Ended() {
			o.end(OrderCancelled)
			return o, true
		}
	case ThrottleOrder:
		if !o.State.Ended() {
			o.RowsPerSecond = perSecond
			return o, true
		}
	}
	return o, false
}

// next is whose turn it is: of those that may, the one that waited longest.
// When there is none, wait is how long until there is; 0: not by itself.
func (o *orders) next(ctx context.Context, now time.Time) (t *turn, wait time.Duration, err error) {
	for {
		var best *orderRun
		wait = 0
		for _, r := range o.runs {
			if !r.State.Active() {
				continue
			}
			at := o.paces[r.ID].next(r.RowsPerSecond)
			if r.notBefore.After(at) {
				at = r.notBefore
			}
			if left := at.Sub(now); left > 0 {
				if wait == 0 || left < wait {
					wait = left
				}
				continue
			}
			if best == nil || r.turn < best.turn {
				best = r
			}
		}
		if best == nil {
			return nil, wait, nil
		}
		area, _ := o.catalog.Dataomraade(best.Dataomraade)
		i := slices.IndexFunc(area.Tables, func(t *catalog.Table) bool { return t.Slug == best.Tables[0] })
		if i < 0 || !best.Scope.covers(area.Tables[i]) {
			if err := o.fail(ctx, best, "table "+best.Tables[0]+" is not in the catalogue any more as it was: cancel the order and give a new one", now); err != nil {
				return nil, 0, err
			}
			continue
		}
		o.turns++
		best.turn = o.turns
		return &turn{orders: o, run: best, order: best.Order, table: area.Tables[i]}, 0, nil
	}
}

func (o *orders) fail(ctx context.Context, r *orderRun, problem string, now time.Time) error {
	if !r.State.Active() {
		return nil
	}
	next := r.Order
	next.State, next.Problem, next.Changed = OrderFailed, problem, now
	return o.set(ctx, r, next)
}

// retry leaves an order alone for a while.
func (o *orders) retry(r *orderRun, problem string, now time.Time) {
	r.notBefore, r.waits = now.Add(retryOrder), problem
	o.changed()
}

const retryOrder = 2 * time.Second

// turn is one chunk of an order.
type turn struct {
	orders   *orders
	run      *orderRun
	order    Order // as it was when the turn began
	table    *catalog.Table
	estimate int64
}

// publish publishes the chunk with the progress, unless the order was paused
// or cancelled since, and reports whether it did.
func (t *turn) publish(ctx context.Context, pub Publisher, read *chunkRead) (bool, error) {
	o := t.orders
	if !t.run.State.Active() {
		return false, nil
	}
	c := &read.chunk
	next := t.run.Order
	next.State, next.Problem, next.Changed = OrderRunning, "", c.Time
	next.Rows += c.State.Rows
	next.Estimate = max(next.Estimate, t.estimate)
	next.After = c.State.After
	if c.State.Done {
		next.Tables, next.After = slices.Clone(next.Tables[1:]), nil
	}
	if len(next.Tables) == 0 {
		next.end(OrderDone)
	}
	c.Order, c.Only = &next, next.Scope.bruger()
	err := pub.PublishChunk(ctx, c)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return false, o.fail(ctx, t.run, err.Error(), c.Time)
	}
	if err != nil {
		return false, err
	}
	o.metrics.ordered(t.table, int(c.State.Rows))
	o.paces[next.ID] = pace{time.Now(), int(c.State.Rows)}
	o.is(t.run, next)
	return true, nil
}
