package streams

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the collectors of writing to streams. docs/OPERATIONS.md
// explains each.
type Metrics struct {
	events     *prometheus.CounterVec
	bytes      *prometheus.CounterVec
	batch      *prometheus.HistogramVec
	ackSeconds prometheus.Histogram
	lagSeconds *prometheus.HistogramVec
	heldTotal  *prometheus.CounterVec
	heldNow    *prometheus.GaugeVec
	keptNow    *prometheus.GaugeVec
	keptBytes  *prometheus.GaugeVec
	keptSince  *prometheus.GaugeVec

	cache map[string]*areaMetrics
}

// areaMetrics are an area's collectors, looked up once.
type areaMetrics struct {
	events [len(opNames)]prometheus.Counter
	bytes  prometheus.Counter
	batch  prometheus.Observer
	lag    prometheus.Observer
}

// NewMetrics registers the collectors with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "supstream_stream_events_total",
			Help: "Events sent to streams."}, []string{"dataomraade", "op"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "supstream_stream_event_bytes_total",
			Help: "Bytes of events sent to streams."}, []string{"dataomraade"}),
		batch: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "supstream_stream_batch_events",
			Help: "Events in acknowledged batches.", Buckets: prometheus.ExponentialBuckets(1, 4, 8)}, []string{"dataomraade"}),
		ackSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "supstream_stream_ack_seconds",
			Help: "Time from sending the end of a batch to its acknowledgement, which follows the sync to disk.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}),
		lagSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "supstream_stream_commit_to_durable_seconds",
			Help: "Time from the commit in Postgres of a batch's oldest change until the batch is on disk in the stream.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 20)}, []string{"dataomraade"}),
		heldTotal: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "supstream_held_rows_total",
			Help: "Times a row without a known owner was held."}, []string{"dataomraade"}),
		heldNow: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "supstream_held_rows",
			Help: "Rows held now because their owner is not known."}, []string{"dataomraade"}),
		keptNow: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "supstream_drift_kept_changes",
			Help: "Changes kept for an area that is held because the mirror differs from the catalogue."}, []string{"dataomraade"}),
		keptBytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "supstream_drift_kept_bytes",
			Help: "Bytes of the changes kept for an area that is held, before compression."}, []string{"dataomraade"}),
		keptSince: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "supstream_drift_since_timestamp_seconds",
			Help: "When the area was first held; there is no value while it is not."}, []string{"dataomraade"}),
		cache: map[string]*areaMetrics{},
	}
	reg.MustRegister(m.events, m.bytes, m.batch, m.ackSeconds, m.lagSeconds, m.heldTotal, m.heldNow, m.keptNow, m.keptBytes, m.keptSince)
	return m
}

func (m *Metrics) area(slug string) *areaMetrics {
	a := m.cache[slug]
	if a == nil {
		a = &areaMetrics{bytes: m.bytes.WithLabelValues(slug), batch: m.batch.WithLabelValues(slug), lag: m.lagSeconds.WithLabelValues(slug)}
		for op := OpInsert; op < opHeld; op++ {
			a.events[op] = m.events.WithLabelValues(slug, op.String())
		}
		m.cache[slug] = a
	}
	return a
}

func (m *Metrics) held(slug string) { m.heldTotal.WithLabelValues(slug).Inc() }

func (m *Metrics) heldRows(slug string, n int) { m.heldNow.WithLabelValues(slug).Set(float64(n)) }

// kept shows what is kept of an area; nil: it is not held.
func (m *Metrics) kept(slug string, k *keptArea) {
	if k == nil {
		m.keptNow.WithLabelValues(slug).Set(0)
		m.keptBytes.WithLabelValues(slug).Set(0)
		m.keptSince.DeleteLabelValues(slug)
		return
	}
	m.keptNow.WithLabelValues(slug).Set(float64(k.Changes))
	m.keptBytes.WithLabelValues(slug).Set(float64(k.Bytes))
	m.keptSince.WithLabelValues(slug).Set(float64(k.Since.Unix()))
}

// acknowledged records a stored batch; now is our clock, c.oldest Postgres'.
func (a *areaMetrics) acknowledged(c commit, now time.Time) {
	if c.events == 0 {
		return
	}
	a.batch.Observe(float64(c.events))
	if !c.oldest.IsZero() {
		a.lag.Observe(max(0, now.Sub(c.oldest).Seconds()))
	}
}
