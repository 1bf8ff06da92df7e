package projections

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"supstream/projections/durable"
)

// metrics are what operations see of projections. Ages are told as the moment they count from, so that they grow between ticks.
type metrics struct {
	newest  *prometheus.GaugeVec // by opgaveloeser and dataomraade
	period  *prometheus.GaugeVec // by dataomraade
	waiting *prometheus.GaugeVec // by dataomraade
	files   *prometheus.CounterVec
	bytes   *prometheus.CounterVec
	rows    *prometheus.CounterVec
	netZero prometheus.Counter
	events  prometheus.Counter
	seconds prometheus.Counter
	spilled prometheus.Counter
	errors  *prometheus.CounterVec
	compare *compareMetrics
}

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counters := func(name, help string, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		newest: gauge("supstream_projection_newest_timestamp_seconds",
			"End of the period of the newest file, of the Bruger that is furthest behind; the start of the grant before the first file.",
			"opgaveloeser", "dataomraade"),
		period: gauge("supstream_projection_period_seconds", "Longest time between two deltas that the schedule plans.", "dataomraade"),
		waiting: gauge("supstream_projection_waiting",
			"1 while the area is due and no window can end: no position record yet, or a back-fill is going on.", "dataomraade"),
		files:   counters("supstream_projection_files_total", "Files published.", "kind"),
		bytes:   counters("supstream_projection_file_bytes_total", "Compressed bytes of the files published.", "kind"),
		rows:    counters("supstream_projection_rows_total", "Rows published.", "op"),
		netZero: counter("supstream_projection_net_zero_total", "Keys that came and went within a window."),
		events:  counter("supstream_projection_folded_events_total", "Events folded."),
		seconds: counter("supstream_projection_fold_seconds_total", "Time spent on reading and folding events."),
		spilled: counter("supstream_projection_spilled_bytes_total", "Bytes of sorted runs written because a window did not fit into memory."),
		errors:  counters("supstream_projection_errors_total", "Failures by kind: source, base, range_gone, closed, disk_full, publish.", "kind"),
	}
	m.compare = newCompareMetrics(reg)
	if reg != nil {
		reg.MustRegister(m.newest, m.period, m.waiting, m.files, m.bytes, m.rows, m.netZero, m.events, m.seconds, m.spilled, m.errors)
	}
	return m
}

// Kinds of errors, see the metric.
const (
	errSource    = "source"
	errBase      = "base"
	errRangeGone = "range_gone"
	errClosed    = "closed"
	errDiskFull  = "disk_full"
	errPublish   = "publish"
)

// failed counts an error, unless it is that we were told to stop.
func (m *metrics) failed(kind string, err error) {
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return
	case durable.IsFull(err):
		kind = errDiskFull
	case errors.Is(err, ErrRangeGone):
		kind = errRangeGone
	}
	m.errors.WithLabelValues(kind).Inc()
}

func (m *metrics) published(f *Manifest) {
	m.files.WithLabelValues(string(f.Kind)).Inc()
	m.bytes.WithLabelValues(string(f.Kind)).Add(float64(f.Data.Bytes))
	for i := range f.Tables {
		c := &f.Tables[i].Rows
		for _, n := range []struct {
			op   Op
			rows int64
		}{{OpInsert, c.I}, {OpUpdate, c.U}, {OpDelete, c.D}, {OpScopeOut, c.O}, {OpTruncate, c.T}} {
			m.rows.WithLabelValues(string(n.op)).Add(float64(n.rows))
		}
		m.netZero.Add(float64(f.Tables[i].NetZero))
	}
}

func (m *metrics) folded(events uint64, took time.Duration) {
	m.events.Add(float64(events))
	m.seconds.Add(took.Seconds())
}

// unix is a moment as Prometheus wants it.
func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
