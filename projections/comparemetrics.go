package projections

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// compareMetrics are what operations see of comparisons with the mirror.
type compareMetrics struct {
	differences *prometheus.GaugeVec
	last        *prometheus.GaugeVec
	seconds     *prometheus.GaugeVec
	failures    *prometheus.CounterVec
	rows        prometheus.Counter
	repaired    *prometheus.CounterVec
}

func newCompareMetrics(reg prometheus.Registerer) *compareMetrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"dataomraade"})
	}
	m := &compareMetrics{
		differences: gauge("supstream_reconcile_differences",
			"Rows that receivers do not have as the mirror has them, by the newest comparison: missing, extra, differs; counted: tables of a Bruger whose rows SQL counts otherwise.",
			"dataomraade", "kind"),
		last:     gauge("supstream_reconcile_last_timestamp_seconds", "End of the newest comparison of the whole area that did its work.", "dataomraade"),
		seconds:  gauge("supstream_reconcile_duration_seconds", "Time that the newest comparison took.", "dataomraade"),
		failures: counter("supstream_reconcile_failures_total", "Comparisons that could not be made."),
		rows: prometheus.NewCounter(prometheus.CounterOpts{Name: "supstream_reconcile_rows_total",
			Help: "Rows of the mirror compared, once for each owner."}),
		repaired: counter("supstream_reconcile_repaired_total", "Events published to mend differences."),
	}
	if reg != nil {
		reg.MustRegister(m.differences, m.last, m.seconds, m.failures, m.rows, m.repaired)
	}
	return m
}

// reconciled tells of a comparison. One of a part of the area says nothing of the rest and leaves what is known as it is.
func (m *metrics) reconciled(c *Comparison, whole bool) {
	x := m.compare
	x.rows.Add(float64(c.Rows))
	x.repaired.WithLabelValues(c.Dataomraade).Add(float64(c.Repaired))
	failures := x.failures.WithLabelValues(c.Dataomraade) // there from the first comparison on
	if c.Error != "" {
		failures.Inc()
		return
	}
	if !whole {
		return
	}
	for _, kind := range []string{Missing, Extra, Differs, Counted} {
		x.differences.WithLabelValues(c.Dataomraade, kind).Set(float64(c.Kinds[kind]))
	}
	x.last.WithLabelValues(c.Dataomraade).Set(unix(time.Now()))
	x.seconds.WithLabelValues(c.Dataomraade).Set(c.Seconds)
}
