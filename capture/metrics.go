package capture

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"supstream/catalog"
)

// Metrics are the collectors of capture. docs/OPERATIONS.md explains each.
type Metrics struct {
	changes    [Read + 1]prometheus.Counter
	errors     *prometheus.CounterVec
	restarts   prometheus.Counter
	state      *prometheus.GaugeVec
	retained   prometheus.Gauge
	safe       prometheus.Gauge
	slot       *prometheus.GaugeVec
	lost       prometheus.Counter
	loadRows   *prometheus.CounterVec
	loadTables *prometheus.GaugeVec
	orders     *prometheus.GaugeVec
	orderRows  *prometheus.CounterVec
	pending    prometheus.GaugeFunc

	progress atomic.Int64 // Unix nanoseconds of the last progress; 0: nothing is pending
	received atomic.Uint64
}

// States of capture, as the label of supstream_capture_state.
const (
	StateStarting  = "starting"
	StateStandby   = "standby" // another process has the slot
	StateLoading   = "loading"
	StateStreaming = "streaming"
	StateFailed    = "failed" // waiting to try again
)

// NewMetrics registers the collectors with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "supstream_capture_errors_total",
			Help: "Errors that ended a capture session, by kind."}, []string{"kind"}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{Name: "supstream_capture_sessions_total",
			Help: "Capture sessions begun."}),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "supstream_capture_state",
			Help: "1 for the state capture is in."}, []string{"state"}),
		retained: prometheus.NewGauge(prometheus.GaugeOpts{Name: "supstream_slot_retained_wal_bytes",
			Help: "Bytes of log that Postgres keeps for the slot."}),
		safe: prometheus.NewGauge(prometheus.GaugeOpts{Name: "supstream_slot_safe_wal_bytes",
			Help: "Bytes of log that can still be written before the slot may be lost; -1 when Postgres sets no limit."}),
		slot: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "supstream_slot_state",
			Help: "1 for the state of the slot as Postgres sees it."}, []string{"state"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Name: "supstream_slot_lost_total",
			Help: "Times the slot was lost or gone although streams go on from it, and was made anew."}),
		loadRows: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "supstream_backfill_rows_total",
			Help: "Rows read by first loads and repairs."}, []string{"dataomraade"}),
		loadTables: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "supstream_backfill_tables_pending",
			Help: "Tables whose back-fill has not ended."}, []string{"dataomraade"}),
		orders: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "supstream_backfill_orders",
			Help: "Ordered back-fills by state, one for each area of an order."}, []string{"state"}),
		orderRows: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "supstream_backfill_ordered_rows_total",
			Help: "Rows read by ordered back-fills."}, []string{"dataomraade"}),
	}
	changes := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "supstream_capture_changes_total",
		Help: "Row changes decoded from the replication stream, of tables that are carried."}, []string{"op"})
	for op := Insert; op <= Read; op++ {
		m.changes[op] = changes.WithLabelValues(op.String())
	}
	m.pending = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "supstream_capture_stalled_seconds",
		Help: "Seconds since the newest durable commit while something is pending; 0 when nothing is."}, m.stalledSeconds)
	reg.MustRegister(changes, m.errors, m.restarts, m.state, m.retained, m.safe, m.slot, m.lost, m.loadRows, m.loadTables, m.orders, m.orderRows, m.pending)
	m.ordersAre(nil)
	m.setState(StateStarting)
	return m
}

func (m *Metrics) change(c *Change) { m.changes[c.Op].Inc() }

func (m *Metrics) setState(state string) {
	for _, s := range []string{StateStarting, StateStandby, StateLoading, StateStreaming, StateFailed} {
		v := 0.0
		if s == state {
			v = 1
		}
		m.state.WithLabelValues(s).Set(v)
	}
}

// slotSeen records what Postgres says of the slot.
func (m *Metrics) slotSeen(s SlotState) {
	m.retained.Set(float64(s.Retained))
	m.safe.Set(float64(s.Safe))
	state := s.WALStatus
	if !s.Exists {
		state = "missing"
	}
	for _, known := range []string{"missing", "reserved", "extended", "unreserved", "lost"} {
		v := 0.0
		if known == state {
			v = 1
		}
		m.slot.WithLabelValues(known).Set(v)
	}
}

func (m *Metrics) loaded(t *catalog.Table, rows int, done bool) {
	m.loadRows.WithLabelValues(t.Area.Slug).Add(float64(rows))
	if done {
		m.loadTables.WithLabelValues(t.Area.Slug).Dec()
	}
}

// ordersAre records how many orders there are in each state.
func (m *Metrics) ordersAre(count map[OrderState]int) {
	for _, s := range orderStates() {
		m.orders.WithLabelValues(string(s)).Set(float64(count[s]))
	}
}

func (m *Metrics) ordered(t *catalog.Table, rows int) {
	m.orderRows.WithLabelValues(t.Area.Slug).Add(float64(rows))
}

// pendingSince notes whether anything waits to become durable. Progress starts
// the clock anew.
func (m *Metrics) pendingSince(pending, progressed bool, now time.Time) {
	switch {
	case !pending:
		m.progress.Store(0)
	case progressed || m.progress.Load() == 0:
		m.progress.Store(now.UnixNano())
	}
}

func (m *Metrics) stalledSeconds() float64 {
	at := m.progress.Load()
	if at == 0 {
		return 0
	}
	return time.Since(time.Unix(0, at)).Seconds()
}
