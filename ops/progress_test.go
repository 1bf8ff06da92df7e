package ops

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// gauge registers a gauge and sets it: gauge(reg, "name", 3, "label", "value", …).
func gauge(t *testing.T, reg *prometheus.Registry, name string, value float64, labels ...string) {
	t.Helper()
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: "."}, names)
	if err := reg.Register(v); err != nil {
		already, ok := err.(prometheus.AlreadyRegisteredError)
		if !ok {
			t.Fatal(err)
		}
		v = already.ExistingCollector.(*prometheus.GaugeVec)
	}
	v.WithLabelValues(values...).Set(value)
}

func TestProgress(t *testing.T) {
	c := newClock()
	now := float64(c.Unix())
	state := func(t *testing.T, reg *prometheus.Registry, is string) {
		for _, s := range []string{"starting", "standby", "loading", "streaming", "failed"} {
			v := 0.0
			if s == is {
				v = 1
			}
			gauge(t, reg, metricState, v, "state", s)
		}
		gauge(t, reg, metricStalled, 0)
	}
	tests := []struct {
		name string
		set  func(t *testing.T, reg *prometheus.Registry)
		want string // what fails
	}{
		{"no roles", func(*testing.T, *prometheus.Registry) {}, ""},
		{"streaming", func(t *testing.T, reg *prometheus.Registry) { state(t, reg, "streaming") }, ""},
		{"loading", func(t *testing.T, reg *prometheus.Registry) { state(t, reg, "loading") }, ""},
		{"failed", func(t *testing.T, reg *prometheus.Registry) { state(t, reg, "failed") }, `capture: capture is in state "failed"`},
		{"standby", func(t *testing.T, reg *prometheus.Registry) { state(t, reg, "standby") }, `capture: capture is in state "standby"`},
		{"stalled", func(t *testing.T, reg *prometheus.Registry) {
			state(t, reg, "streaming")
			gauge(t, reg, metricStalled, 61)
		}, "stalled: changes are pending and nothing was stored for 1m1s"},
		{"a little stalled", func(t *testing.T, reg *prometheus.Registry) {
			state(t, reg, "streaming")
			gauge(t, reg, metricStalled, 60)
		}, ""},
		{"on schedule", func(t *testing.T, reg *prometheus.Registry) {
			gauge(t, reg, metricPeriod, 86400, "dataomraade", "samtaler")
			gauge(t, reg, metricNewest, now-1.2*86400-900, "opgaveloeser", "kmd", "dataomraade", "samtaler")
		}, ""},
		{"late", func(t *testing.T, reg *prometheus.Registry) {
			gauge(t, reg, metricPeriod, 86400, "dataomraade", "samtaler")
			gauge(t, reg, metricNewest, now-1.2*86400-901, "opgaveloeser", "kmd", "dataomraade", "samtaler")
			gauge(t, reg, metricNewest, now, "opgaveloeser", "schultz", "dataomraade", "samtaler")
		}, "projections: 1 deltas are late; kmd samtaler is 29h3m1s old"},
		{"no schedule", func(t *testing.T, reg *prometheus.Registry) {
			gauge(t, reg, metricPeriod, 0, "dataomraade", "samtaler")
			gauge(t, reg, metricNewest, 1, "opgaveloeser", "kmd", "dataomraade", "samtaler")
		}, ""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			tc.set(t, reg)
			var got []string
			for _, check := range progress(reg, DefaultLimits(), c.now) {
				if err := check.Run(t.Context()); err != nil {
					got = append(got, check.Name+": "+err.Error())
				}
			}
			if g := strings.Join(got, "\n"); g != tc.want {
				t.Errorf("got %q, want %q", g, tc.want)
			}
		})
	}
}

func TestStatusText(t *testing.T) {
	c := newClock()
	now := c.Time
	reg := prometheus.NewRegistry()
	gauge(t, reg, metricState, 1, "state", "streaming")
	gauge(t, reg, metricStalled, 0)
	gauge(t, reg, metricRetained, 16<<20)
	gauge(t, reg, metricSafe, -1)
	gauge(t, reg, metricLoading, 2, "dataomraade", "samtaler")
	gauge(t, reg, metricHeld, 3, "dataomraade", "samtaler")
	gauge(t, reg, metricHeld, 0, "dataomraade", "cv_godkendelse")
	gauge(t, reg, metricPeriod, 86400, "dataomraade", "samtaler")
	gauge(t, reg, metricNewest, float64(now.Add(-48*time.Hour).Unix()), "opgaveloeser", "kmd", "dataomraade", "samtaler")
	s := &Server{cfg: Config{Registry: reg}, started: now.Add(-90 * time.Minute), now: c.now,
		alive: &watch{now: c.now}, ready: &watch{now: c.now, stale: time.Minute, checks: []Check{}}}
	s.alive.stale, s.alive.asked, s.ready.asked = time.Minute, now, now
	s.ready.results = []Result{{Name: "projections", Error: "1 deltas are late", Since: now}}
	st := s.status(t.Context())
	st.Version, st.Mirror, st.Roles = "v1.2.0", "dfdg", []string{"capture", "project"}
	st.Capture.Slot, st.Capture.SlotState = "supstream", "reserved"
	st.Marked("samtaler", "0000000001A2B3C4-00000003", now.Add(-2*time.Second))
	st.Marked("bookinger", "0000000001A2B3C4-00000003", now.Add(time.Second)) // another machine's clock
	var text bytes.Buffer
	if err := st.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	want := `supstream v1.2.0, mirror dfdg, roles capture project, up 1h30m0s
alive yes, ready no

CHECK        OK  SINCE                 ERROR
projections  no  2026-03-02T08:00:00Z  1 deltas are late

CAPTURE    STALLED  SLOT       SLOT STATE  RETAINED WAL  SAFE WAL
streaming  0s       supstream  reserved    16.0 MiB      no limit

DATAOMRAADE     POSITION                   MARKER                LAG  TO READ  HELD ROWS
bookinger       0000000001A2B3C4-00000003  2026-03-02T08:00:01Z  0s   0        0
cv_godkendelse                             -                     0s   0        0
samtaler        0000000001A2B3C4-00000003  2026-03-02T07:59:58Z  2s   2        3

OPGAVELOESER  DATAOMRAADE  NEWEST                AGE      PERIOD   LATE
kmd           samtaler     2026-02-28T08:00:00Z  48h0m0s  24h0m0s  yes
`
	if got := text.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{-1: "no limit", 0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536 << 20: "1.5 GiB", 1 << 52: "4096.0 TiB"} {
		if got := size(n); got != want {
			t.Error(fmt.Sprintf("size(%d) = %q, want %q", n, got, want))
		}
	}
}
