package capture

import (
	"context"
	"errors"
	"time"
)

// desk is where a session takes orders.
type desk struct {
	pump   *pump
	orders *orders
}

// ErrNotCapturing: this process does not read from the slot now, so it cannot
// take orders. Another process may, or this one in a moment.
var ErrNotCapturing = errors.New("capture is not at work in this process now: see `supstream status`, and ask the process that has the slot")

// Orders lists all orders that are known, oldest first; those that ended for
// as long as the stream keeps them.
func (c *Capturer) Orders() ([]Order, error) {
	d := c.desk.Load()
	if d == nil {
		return nil, ErrNotCapturing
	}
	return d.orders.list(), nil
}

// StartOrder orders a back-fill. When it returns without an error, the order
// is durable. The error is an *OrderError for what cannot be ordered.
func (c *Capturer) StartOrder(ctx context.Context, r OrderRequest) ([]Order, error) {
	list, err := r.plan(c.cfg.Catalog, time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return nil, err
	}
	return c.atDesk(ctx, r.ID, func(ctx context.Context, o *orders) (error, error) {
		return nil, o.start(ctx, list)
	})
}

// ChangeOrder pauses, resumes, cancels or throttles an order. It may return
// ErrNoOrder or an *OrderError. Of a paused or cancelled order nothing more is
// published once this has returned.
func (c *Capturer) ChangeOrder(ctx context.Context, id string, change OrderChange, perSecond int) ([]Order, error) {
	if perSecond < 0 {
		return nil, refuse("rows per second: want 0 for no limit, or more")
	}
	return c.atDesk(ctx, id, func(ctx context.Context, o *orders) (error, error) {
		return o.change(ctx, id, change, perSecond, time.Now().UTC().Truncate(time.Microsecond))
	})
}

// atDesk runs f where orders are kept, and lists the order with that ID.
func (c *Capturer) atDesk(ctx context.Context, id string, f func(context.Context, *orders) (refused, err error)) ([]Order, error) {
	d := c.desk.Load()
	if d == nil {
		return nil, ErrNotCapturing
	}
	var refused error
	err := d.pump.do(ctx, func(ctx context.Context) (err error) {
		refused, err = f(ctx, d.orders)
		return err
	})
	if err != nil && ctx.Err() == nil {
		return nil, errors.Join(ErrNotCapturing, err)
	}
	if err == nil {
		err = refused
	}
	if err != nil {
		return nil, err
	}
	var list []Order
	for _, o := range d.orders.list() {
		if o.ID == id {
			list = append(list, o)
		}
	}
	return list, nil
}
