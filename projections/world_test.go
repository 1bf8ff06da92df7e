package projections_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"supstream/agreements"
	"supstream/capture"
	"supstream/catalog"
	"supstream/projections"
	"supstream/projections/sinktest"
	"supstream/streams"
)

// A world is a set of streams in memory, a register that can be changed, a clock that is set by hand, and what came out.
type world struct {
	t       testing.TB
	catalog *catalog.Catalog
	sink    *sinktest.Memory
	reg     *prometheus.Registry
	cfg     projections.Config

	mu     sync.Mutex // guards all below
	areas  map[string]*stream
	grants []agreements.Grant
	lsn    uint64
	now    time.Time
	asked  func(w *world) // called when the register is asked, with mu held
	ticks  chan time.Time // what Run waits for
}

type stream struct {
	events      []streams.Event
	seq, first  uint64
	incarnation string
	mark        *streams.Mark
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, catalog: c, sink: sinktest.NewMemory(), cfg: projections.DefaultConfig(t.TempDir()), reg: prometheus.NewRegistry(),
		areas: map[string]*stream{}, lsn: 1000, now: time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC), ticks: make(chan time.Time)}
}

func kommune(kode string) catalog.Bruger { return catalog.Bruger{Axis: catalog.Kommune, Kode: kode} }
func akasse(kode string) catalog.Bruger  { return catalog.Bruger{Axis: catalog.Akasse, Kode: kode} }

func chain(opgaveloeser string, b catalog.Bruger, area string) projections.Chain {
	return projections.Chain{Opgaveloeser: opgaveloeser, Bruger: b, Dataomraade: area, Version: 1}
}

func (w *world) stream(area string) *stream {
	s := w.areas[area]
	if s == nil {
		s = &stream{first: 1, incarnation: "life1"}
		w.areas[area] = s
	}
	return s
}

// write commits one transaction with one event.
func (w *world) write(area string, b catalog.Bruger, table string, op streams.Op, key, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lsn += 8
	w.now = w.now.Add(time.Second)
	s := w.stream(area)
	s.seq++
	e := streams.Event{ID: fmt.Sprint(w.lsn), Position: capture.Position{LSN: w.lsn, Ordinal: 1}, Seq: s.seq, Dataomraade: area, Table: table,
		Op: op, Bruger: b, Time: w.now, XID: uint32(w.lsn)}
	if key != "" {
		e.Key = fmt.Appendf(nil, `{"id":%q}`, key)
	}
	if op.HasRow() {
		e.Row = fmt.Appendf(nil, `{"id":%q,"v":%q}`, key, value)
	}
	s.events = append(s.events, e)
}

// mark ends a batch in every area that has a stream: everything so far is there. A mark replaces the one before it.
func (w *world) mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lsn++
	w.now = w.now.Add(time.Second)
	for _, s := range w.areas {
		s.seq++
		s.mark = &streams.Mark{Position: capture.Position{LSN: w.lsn}, Seq: s.seq, Time: w.now, Incarnation: s.incarnation}
	}
}

// expire drops the events of an area up to now, as its retention does.
func (w *world) expire(area string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.areas[area]
	s.events, s.first = nil, s.seq+1
	if s.mark != nil && s.mark.Seq == s.seq { // position records do not expire
		s.first = s.seq
	}
}

func (w *world) wait(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// grant gives an Opgaveloeser areas of a Bruger from now on, without end.
func (w *world) grant(opgaveloeser string, b catalog.Bruger, areas ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range areas {
		w.grants = append(w.grants, agreements.Grant{Opgaveloeser: opgaveloeser, Bruger: b, Dataomraade: a, From: w.now})
	}
}

// end ends all grants of an Opgaveloeser.
func (w *world) end(opgaveloeser string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.grants = slices.DeleteFunc(w.grants, func(g agreements.Grant) bool { return g.Opgaveloeser == opgaveloeser })
}

// runner makes a Runner, closed at the end of the test.
func (w *world) runner() *projections.Runner {
	w.t.Helper()
	r, err := projections.NewRunner(w.cfg, projections.Parts{Catalog: w.catalog, Grants: w, Source: w, Sink: w.sink,
		Log: slog.New(slog.DiscardHandler), Clock: w, Registry: w.reg})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { r.Close() })
	return r
}

// run makes the deltas of all areas up to their newest marks.
func (w *world) run(r *projections.Runner) {
	w.t.Helper()
	if err := r.RunOnce(context.Background(), w.Now(), true); err != nil {
		w.t.Fatal(err)
	}
}

// background starts Run. poll lets it look once and returns when it has done what there was; stop ends it.
func (w *world) background(r *projections.Runner) (poll, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	poll = func() {
		w.ticks <- time.Time{}
		w.ticks <- time.Time{} // is taken when the first has been worked on
	}
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
	return poll, stop
}

// kinds are the kinds of the files of a chain, as one letter each.
func (w *world) kinds(c projections.Chain) string {
	s := ""
	for _, f := range w.sink.Files(c) {
		s += f.Manifest.Kind.Letter()
	}
	return s
}

// newest are the rows of the newest file of a chain.
func (w *world) newest(c projections.Chain) []string {
	files := w.sink.Files(c)
	if len(files) == 0 {
		return nil
	}
	return files[len(files)-1].Rows
}

// Now, After, Grants, Newest, First and Read make a world the surroundings of a Runner.
func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) After(time.Duration) <-chan time.Time { return w.ticks }

func (w *world) Grants(at time.Time) []agreements.Grant {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.asked != nil {
		w.asked(w)
	}
	var out []agreements.Grant
	for _, g := range w.grants {
		if !g.From.After(at) {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, agreements.Grant.Compare)
	return out
}

func (w *world) Newest(_ context.Context, area string) (streams.Mark, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.areas[area]; s != nil && s.mark != nil {
		return *s.mark, nil
	}
	return streams.Mark{}, streams.ErrNoMark
}

func (w *world) First(_ context.Context, area string) (uint64, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stream(area)
	return s.first, s.incarnation, nil
}

func (w *world) Read(ctx context.Context, area string, from, to uint64, yield func(*streams.Event) error) error {
	w.mu.Lock()
	events := slices.Clone(w.stream(area).events)
	w.mu.Unlock()
	for i := range events {
		if e := events[i]; e.Seq > from && e.Seq <= to {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := yield(&e); err != nil {
				return err
			}
		}
	}
	return nil
}

// metric is the value of a metric whose labels have these values.
func (w *world) metric(name string, labels ...string) float64 {
	w.t.Helper()
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			have := map[string]bool{}
			for _, l := range m.GetLabel() {
				have[l.GetValue()] = true
			}
			want := map[string]bool{}
			for _, l := range labels {
				want[l] = true
			}
			if f.GetName() == name && maps.Equal(have, want) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
