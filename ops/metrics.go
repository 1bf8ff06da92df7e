package ops

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What the status and the checks read from the metrics, so that they never say something else than Prometheus sees.
const (
	metricState       = "supstream_capture_state"
	metricStalled     = "supstream_capture_stalled_seconds"
	metricRetained    = "supstream_slot_retained_wal_bytes"
	metricSafe        = "supstream_slot_safe_wal_bytes"
	metricSlot        = "supstream_slot_state"
	metricLoading     = "supstream_backfill_tables_pending"
	metricHeld        = "supstream_held_rows"
	metricDrift       = "supstream_drift_held"
	metricKept        = "supstream_drift_kept_changes"
	metricNewest      = "supstream_projection_newest_timestamp_seconds"
	metricPeriod      = "supstream_projection_period_seconds"
	labelState        = "state"
	labelKind         = "kind"
	labelDataomraade  = "dataomraade"
	labelOpgaveloeser = "opgaveloeser"
	stateStreaming    = "streaming"
	stateLoading      = "loading"
)

// sample is one gauge of a family.
type sample struct {
	labels map[string]string
	value  float64
}

// gauges are the gauges of a process by name.
type gauges map[string][]sample

// gather reads all gauges.
func gather(g prometheus.Gatherer) (gauges, error) {
	families, err := g.Gather()
	if err != nil && len(families) == 0 {
		return nil, fmt.Errorf("gather metrics: %w", err)
	}
	out := gauges{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if m.GetGauge() == nil {
				continue
			}
			s := sample{map[string]string{}, m.GetGauge().GetValue()}
			for _, l := range m.GetLabel() {
				s.labels[l.GetName()] = l.GetValue()
			}
			out[f.GetName()] = append(out[f.GetName()], s)
		}
	}
	return out, nil
}

// value is a gauge without labels; false when the process does not have it.
func (g gauges) value(name string) (float64, bool) {
	if len(g[name]) == 0 {
		return 0, false
	}
	return g[name][0].value, true
}

// by is a gauge by one label.
func (g gauges) by(name, label string) map[string]float64 {
	out := map[string]float64{}
	for _, s := range g[name] {
		out[s.labels[label]] = s.value
	}
	return out
}

// capture is how capturing goes; nil when this process does not capture.
func (g gauges) capture() *Capture {
	stalled, ok := g.value(metricStalled)
	if !ok {
		return nil
	}
	c := &Capture{StalledSeconds: stalled}
	for state, on := range g.by(metricState, labelState) {
		if on == 1 {
			c.State = state
		}
	}
	for state, on := range g.by(metricSlot, labelState) {
		if on == 1 {
			c.SlotState = state
		}
	}
	retained, _ := g.value(metricRetained)
	safe, _ := g.value(metricSafe)
	c.RetainedWALBytes, c.SafeWALBytes = int64(retained), int64(safe)
	return c
}

// areas are the areas that have metrics, by slug.
func (g gauges) areas() []Area {
	loading, held := g.by(metricLoading, labelDataomraade), g.by(metricHeld, labelDataomraade)
	slugs := map[string]bool{}
	for slug := range loading {
		slugs[slug] = true
	}
	for slug := range held {
		slugs[slug] = true
	}
	kept, drift := g.by(metricKept, labelDataomraade), map[string][]string{}
	for _, s := range g[metricDrift] { // Gather sorts by label values
		if slug := s.labels[labelDataomraade]; s.value == 1 {
			slugs[slug] = true
			drift[slug] = append(drift[slug], s.labels[labelKind])
		}
	}
	out := []Area{}
	for _, slug := range slices.Sorted(maps.Keys(slugs)) {
		out = append(out, Area{Dataomraade: slug, TablesPending: int(loading[slug]), HeldRows: int64(held[slug]), Drift: drift[slug], KeptChanges: int64(kept[slug])})
	}
	return out
}

// projections are the projections that have metrics, in the order of their names.
func (g gauges) projections(now time.Time, l Limits) []Projection {
	period := g.by(metricPeriod, labelDataomraade)
	out := []Projection{}
	for _, s := range g[metricNewest] { // Gather sorts by label values
		p := Projection{Opgaveloeser: s.labels[labelOpgaveloeser], Dataomraade: s.labels[labelDataomraade],
			Newest: time.UnixMicro(int64(s.value * 1e6)).UTC(), PeriodSeconds: period[s.labels[labelDataomraade]]}
		p.AgeSeconds = now.Sub(p.Newest).Seconds()
		p.Late = p.PeriodSeconds > 0 && p.AgeSeconds > lateFactor*p.PeriodSeconds+l.Late.Seconds()
		out = append(out, p)
	}
	return out
}
