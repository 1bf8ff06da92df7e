package streams

import (
	"sync/atomic"
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

	persons, personBytes, movesPending prometheus.Gauge
	moves                              prometheus.Counter
	movesOldest                        atomic.Int64 // Unix nanoseconds; 0: none is pending

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
		persons: prometheus.NewGauge(prometheus.GaugeOpts{Name: "supstream_persons",
			Help: "Persons whose owner is known by a person table."}),
		personBytes: prometheus.NewGauge(prometheus.GaugeOpts{Name: "supstream_persons_bytes",
			Help: "Memory that the map of persons takes, estimated."}),
		movesPending: prometheus.NewGauge(prometheus.GaugeOpts{Name: "supstream_moves_pending",
			Help: "Persons with another owner than before whose rows have not all been handed over."}),
		moves: prometheus.NewCounter(prometheus.CounterOpts{Name: "supstream_moves_total",
			Help: "Times the owner of a person changed."}),
		cache: map[string]*areaMetrics{},
	}
	reg.MustRegister(m.events, m.bytes, m.batch, m.ackSeconds, m.lagSeconds, m.heldTotal, m.heldNow)
	reg.MustRegister(m.persons, m.personBytes, m.movesPending, m.moves, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "supstream_moves_oldest_seconds", Help: "Age of the oldest pending move; 0 when there is none."}, m.oldestMove))
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
