package ops

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"supstream/capture"
)

// Backfills is what takes orders; *capture.Capturer does.
type Backfills interface {
	Orders() ([]capture.Order, error)
	StartOrder(ctx context.Context, r capture.OrderRequest) ([]capture.Order, error)
	ChangeOrder(ctx context.Context, id string, change capture.OrderChange, perSecond int) ([]capture.Order, error)
}

// BackfillRequest asks for a back-fill. It is the only thing here with personal data, and goes no further than the order itself.
type BackfillRequest struct {
	ID            string   `json:"id"`
	Dataomraade   string   `json:"dataomraade,omitempty"`
	Table         string   `json:"table,omitempty"`
	Bruger        string   `json:"bruger,omitempty"`
	Person        string   `json:"person,omitempty"`
	Key           []string `json:"key,omitempty"`
	By            string   `json:"by,omitempty"`
	Why           string   `json:"why,omitempty"`
	RowsPerSecond int      `json:"rows_per_second"`
}

// scope is an error when more than one thing is asked for.
func (r BackfillRequest) scope() (capture.Scope, error) {
	s := capture.Scope{Kind: capture.ScopeAll, Table: r.Table}
	n := 0
	if r.Bruger != "" {
		s.Kind, s.Bruger = capture.ScopeBruger, r.Bruger
		n++
	}
	if r.Person != "" {
		s.Kind, s.Values = capture.ScopePerson, []string{r.Person}
		n++
	}
	if len(r.Key) > 0 {
		s.Kind, s.Values = capture.ScopeKey, r.Key
		n++
	}
	if n > 1 {
		return s, errors.New("want a bruger, a person or a key, not several of them")
	}
	return s, nil
}

// Backfill is an order in one dataomraade, without personal data.
type Backfill struct {
	ID            string    `json:"id"`
	Dataomraade   string    `json:"dataomraade"`
	Scope         string    `json:"scope"`
	State         string    `json:"state"` // queued, running, paused, failed, done, cancelled
	Problem       string    `json:"problem,omitempty"`
	Rows          int64     `json:"rows"`     // read so far
	Estimate      int64     `json:"estimate"` // of all rows; 0: not known
	TablesLeft    int       `json:"tables_left"`
	RowsPerSecond int       `json:"rows_per_second"` // 0: no limit
	By            string    `json:"by"`
	Why           string    `json:"why"`
	Created       time.Time `json:"created"`
	Changed       time.Time `json:"changed"`
}

// Over reports whether the order goes no further by itself.
func (b Backfill) Over() bool {
	return b.State == string(capture.OrderDone) || b.State == string(capture.OrderFailed) || b.State == string(capture.OrderCancelled)
}

func backfills(list []capture.Order) []Backfill {
	out := make([]Backfill, len(list))
	for i, o := range list {
		out[i] = Backfill{ID: o.ID, Dataomraade: o.Dataomraade, Scope: o.Scope.String(), State: string(o.State), Problem: o.Problem, Rows: o.Rows,
			Estimate: o.Estimate, TablesLeft: len(o.Tables), RowsPerSecond: o.RowsPerSecond, By: o.By, Why: o.Why, Created: o.Created, Changed: o.Changed}
	}
	return out
}

// BackfillChange changes an order.
type BackfillChange struct {
	ID            string `json:"id"`
	Change        string `json:"change"` // pause, resume, cancel, throttle
	RowsPerSecond int    `json:"rows_per_second,omitempty"`
}

// BackfillHandler answers the requests below /admin/backfill/.
func BackfillHandler(b Backfills) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /admin/backfill/list", func(w http.ResponseWriter, _ *http.Request) {
		list, err := b.Orders()
		answerOrders(w, list, err)
	})
	mux.HandleFunc("POST /admin/backfill/start", func(w http.ResponseWriter, r *http.Request) {
		var req BackfillRequest
		if !decode(w, r, &req) {
			return
		}
		scope, err := req.scope()
		if err != nil {
			answerError(w, http.StatusBadRequest, err.Error())
			return
		}
		list, err := b.StartOrder(r.Context(), capture.OrderRequest{ID: req.ID, Dataomraade: req.Dataomraade, Scope: scope, By: req.By, Why: req.Why,
			RowsPerSecond: req.RowsPerSecond})
		answerOrders(w, list, err)
	})
	mux.HandleFunc("POST /admin/backfill/change", func(w http.ResponseWriter, r *http.Request) {
		var req BackfillChange
		if !decode(w, r, &req) {
			return
		}
		list, err := b.ChangeOrder(r.Context(), req.ID, capture.OrderChange(req.Change), req.RowsPerSecond)
		answerOrders(w, list, err)
	})
	return mux
}

// decode reads a request strictly. The decoder's own error may quote it and is not passed on.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if d.Decode(v) != nil {
		answerError(w, http.StatusBadRequest, "the request is not understood: is this command of the same version as the process?")
		return false
	}
	return true
}

func answerOrders(w http.ResponseWriter, list []capture.Order, err error) {
	var wrong *capture.OrderError
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(backfills(list)) // who does not take the answer asks again
	case errors.As(err, &wrong):
		answerError(w, http.StatusBadRequest, err.Error())
	case errors.Is(err, capture.ErrNoOrder):
		answerError(w, http.StatusNotFound, err.Error())
	case errors.Is(err, capture.ErrNotCapturing):
		answerError(w, http.StatusServiceUnavailable, capture.ErrNotCapturing.Error())
	default:
		answerError(w, http.StatusServiceUnavailable, "the order was not taken in time; ask again")
	}
}

func answerError(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"error": text})
}
