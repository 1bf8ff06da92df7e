package ops

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Check is a question with a name, asked every few seconds.
type Check struct {
	Name string // lower-case; a label of supstream_check_failed

	// Run returns what is wrong, or nil. It must end when ctx does. Its errors are shown to everybody who can reach the server: no row
	// values, no secrets.
	Run func(ctx context.Context) error

	// Patience is how long Run may go on to fail before the check counts as failed.
	Patience time.Duration
}

// Result is what a check last said.
type Result struct {
	Name  string    `json:"name"`
	OK    bool      `json:"ok"`
	Error string    `json:"error,omitempty"` // also while patience lasts
	Since time.Time `json:"since"`           // of the first failure in a row; of the first answer while there is none
}

// Report is the answer of /healthz and /readyz.
type Report struct {
	OK     bool      `json:"ok"`
	Time   time.Time `json:"time"` // when the checks were last asked
	Checks []Result  `json:"checks"`
}

// watch asks checks one after the other and keeps their answers.
type watch struct {
	checks  []Check
	timeout time.Duration
	stale   time.Duration // an answer older than this is no answer
	now     func() time.Time

	mu      sync.Mutex // guards what follows; no check runs under it
	asked   time.Time  // end of the last round; zero before the first
	results []Result
}

// round asks every check once.
func (w *watch) round(ctx context.Context) {
	results := make([]Result, len(w.checks))
	for i, c := range w.checks {
		err := w.ask(ctx, c)
		if ctx.Err() != nil {
			return // told to stop: what failed now says nothing
		}
		results[i] = w.result(i, c, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked, w.results = w.now(), results
}

func (w *watch) ask(ctx context.Context, c Check) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	err := c.Run(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", w.timeout)
	}
	return err
}

func (w *watch) result(i int, c Check, err error) Result {
	now := w.now()
	r := Result{Name: c.Name, OK: true, Since: now}
	if w.results != nil { // only round writes it
		if last := w.results[i]; (last.Error == "") == (err == nil) {
			r.Since = last.Since
		}
	}
	if err != nil {
		r.Error = err.Error()
		r.OK = now.Sub(r.Since) < c.Patience
	}
	return r
}

// report tells what the last round found. Without one in time it is not ok: the loop that asks hangs, or has not begun.
func (w *watch) report() Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := Report{OK: w.asked.After(w.now().Add(-w.stale)), Time: w.asked, Checks: []Result{}}
	for _, c := range w.results {
		r.OK = r.OK && c.OK
		r.Checks = append(r.Checks, c)
	}
	return r
}
