package capture

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"supstream/catalog"
)

// Order is a back-fill that somebody asked for while the stream goes on. Its
// rows are published as Read to receivers that may have them already: nothing
// is taken away first, and windows go on closing. An order belongs to one
// area and lives in that area's stream, where each chunk and the progress
// become durable together. One that was asked for over several areas is an
// Order in each, all with the same ID.
type Order struct {
	ID            string     `json:"id"`
	Dataomraade   string     `json:"dataomraade"`
	Scope         Scope      `json:"scope"`
	By            string     `json:"by,omitempty"`
	Why           string     `json:"why,omitempty"`
	Created       time.Time  `json:"created"`
	Changed       time.Time  `json:"changed"`
	RowsPerSecond int        `json:"rows_per_second"` // of all areas together; 0: no limit
	State         OrderState `json:"state"`
	Problem       string     `json:"problem,omitempty"`  // why it failed, or what it waits for
	Tables        []string   `json:"tables,omitempty"`   // slugs of those still to be read
	After         []string   `json:"after,omitempty"`    // key of the last row read of the first of them
	Rows          int64      `json:"rows"`               // read so far
	Estimate      int64      `json:"estimate,omitempty"` // of all rows, by the planner; 0: not known
}

// OrderState is where an order is in its life.
type OrderState string

const (
	OrderQueued    OrderState = "queued" // waits for its turn
	OrderRunning   OrderState = "running"
	OrderPaused    OrderState = "paused"
	OrderFailed    OrderState = "failed" // Problem says why; can be resumed
	OrderDone      OrderState = "done"
	OrderCancelled OrderState = "cancelled"
)

// orderStates are all of them.
func orderStates() []OrderState {
	return []OrderState{OrderQueued, OrderRunning, OrderPaused, OrderFailed, OrderDone, OrderCancelled}
}

// Active reports whether work is to be done.
func (s OrderState) Active() bool { return s == OrderQueued || s == OrderRunning }

// Ended reports whether nothing more can happen.
func (s OrderState) Ended() bool { return s == OrderDone || s == OrderCancelled }

// Order texts must not show values: they are keys and CPR numbers.

func (o Order) String() string { return o.ID + " " + o.Dataomraade + " " + string(o.State) }

// LogValue is what a log may say.
func (o Order) LogValue() slog.Value { return slog.StringValue(o.String()) }

// end ends the order. What named persons and rows is not kept.
func (o *Order) end(s OrderState) {
	o.State, o.Problem, o.Tables, o.After, o.Scope.Values = s, "", nil, nil, nil
}

// Scope says which rows of an area are meant.
type Scope struct {
	Kind   ScopeKind `json:"kind"`
	Table  string    `json:"table,omitempty"`  // slug; empty: every table
	Bruger string    `json:"bruger,omitempty"` // of ScopeBruger, as catalog.Bruger writes it
	Values []string  `json:"values,omitempty"` // the person of ScopePerson; of ScopeKey the key, in the catalogue's order
}

// ScopeKind is what narrows a scope beyond its table.
type ScopeKind string

const (
	ScopeAll    ScopeKind = "all"
	ScopeBruger ScopeKind = "bruger" // rows that this Bruger owns, for it alone
	ScopePerson ScopeKind = "person" // rows about one person
	ScopeKey    ScopeKind = "key"    // one row
)

// String is what may be shown of a scope: "table samtale, one person".
func (s Scope) String() string {
	where := "all tables"
	if s.Table != "" {
		where = "table " + s.Table
	}
	switch s.Kind {
	case ScopeBruger:
		return where + ", bruger " + s.Bruger
	case ScopePerson:
		return where + ", one person"
	case ScopeKey:
		return where + ", one row"
	}
	return where
}

// LogValue is String.
func (s Scope) LogValue() slog.Value { return slog.StringValue(s.String()) }

// bruger is the only one to get the rows; the zero Bruger means all owners.
func (s Scope) bruger() catalog.Bruger {
	if s.Kind != ScopeBruger {
		return catalog.Bruger{}
	}
	b, _ := catalog.ParseBruger(s.Bruger) // it was checked when the order was made
	return b
}

// OrderRequest asks for a back-fill.
type OrderRequest struct {
	ID            string // chosen by who asks: the same request twice is one order
	Dataomraade   string // empty, for a Bruger or a person: every open area that can have rows of it
	Scope         Scope
	By, Why       string
	RowsPerSecond int
}

// ErrNoOrder: there is no order with this ID.
var ErrNoOrder = errors.New("there is no such order")

// OrderError is an order that cannot be: what was asked for is wrong.
type OrderError struct{ What string }

func (e *OrderError) Error() string { return e.What }

func refuse(format string, args ...any) error { return &OrderError{fmt.Sprintf(format, args...)} }

// plan makes the orders of a request, one for each area.
func (r OrderRequest) plan(c *catalog.Catalog, now time.Time) ([]Order, error) {
	if !orderID().MatchString(r.ID) {
		return nil, refuse("id: want 8 to 32 lower-case letters and digits")
	}
	if r.RowsPerSecond < 0 {
		return nil, refuse("rows per second: want 0 for no limit, or more")
	}
	if err := r.check(c); err != nil {
		return nil, err
	}
	var list []Order
	for _, area := range c.Dataomraader() {
		if !area.Open() || r.Dataomraade != "" && r.Dataomraade != area.Slug {
			continue
		}
		o := Order{ID: r.ID, Dataomraade: area.Slug, Scope: r.Scope, By: r.By, Why: r.Why, Created: now, Changed: now,
			RowsPerSecond: r.RowsPerSecond, State: OrderQueued}
		for _, t := range area.Tables {
			if r.Scope.covers(t) {
				o.Tables = append(o.Tables, t.Slug)
			}
		}
		if len(o.Tables) > 0 {
			list = append(list, o)
		}
	}
	if len(list) == 0 {
		return nil, refuse("no table has rows of this kind: look at the audience and the columns with `supstream catalog show`")
	}
	return list, nil
}

func orderID() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]{8,32}$`) }

// check finds what is wrong with a request on its own.
func (r OrderRequest) check(c *catalog.Catalog) error {
	s := r.Scope
	area, ok := c.Dataomraade(r.Dataomraade)
	switch {
	case r.Dataomraade == "" && (s.Kind == ScopeAll || s.Kind == ScopeKey || s.Table != ""):
		return refuse("name the dataomraade: only the rows of a bruger or a person are read in all of them")
	case r.Dataomraade != "" && !ok:
		return refuse("there is no dataomraade %q", r.Dataomraade)
	case ok && !area.Open():
		return refuse("dataomraade %s is not open: nothing of it may leave", area.Slug)
	}
	i := -1
	if ok && s.Table != "" {
		if i = slices.IndexFunc(area.Tables, func(t *catalog.Table) bool { return t.Slug == s.Table }); i < 0 {
			return refuse("dataomraade %s has no table %q", area.Slug, s.Table)
		}
	}
	switch s.Kind {
	case ScopeAll:
	case ScopeBruger:
		b, err := catalog.ParseBruger(s.Bruger)
		if err != nil || b.Axis != catalog.Alle && !slices.Contains(c.Brugere(b.Axis), b) {
			return refuse("bruger %q is not in the catalogue: want kommune.<kode>, akasse.<kode> or alle", s.Bruger)
		}
	case ScopePerson:
		if len(s.Values) != 1 || s.Values[0] == "" {
			return refuse("want one person")
		}
	case ScopeKey:
		if i < 0 {
			return refuse("a key needs its table")
		}
		if t := area.Tables[i]; len(s.Values) != len(t.Key) {
			return refuse("the key of %s has %d columns (%s), %d values were given", t, len(t.Key), strings.Join(keyNames(t), ", "), len(s.Values))
		}
	default:
		return refuse("unknown kind of scope %q", s.Kind)
	}
	return nil
}

func keyNames(t *catalog.Table) []string {
	var names []string
	for _, at := range t.Key {
		names = append(names, t.Columns[at].Name)
	}
	return names
}
