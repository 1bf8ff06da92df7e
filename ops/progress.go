package ops

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Limits say when progress is too slow. The alerts in alerts.yml use the same ones.
type Limits struct {
	CaptureDown time.Duration // longest time without streaming or loading; a standby process is not ready either
	Stalled     time.Duration // longest time without a durable commit while something is pending
	Late        time.Duration // grace of a delta, on top of a fifth of its period
}

// lateFactor leaves room for the hour that a clock is set back.
const lateFactor = 1.2

// DefaultLimits are a minute, a minute and a quarter of an hour.
func DefaultLimits() Limits {
	return Limits{CaptureDown: time.Minute, Stalled: time.Minute, Late: 15 * time.Minute}
}

// Progress is the checks of /readyz that can be made from metrics: capture, stalled and projections. What a process does not do passes.
func Progress(g prometheus.Gatherer, l Limits) []Check { return progress(g, l, time.Now) }

func progress(g prometheus.Gatherer, l Limits, now func() time.Time) []Check {
	return []Check{
		{Name: "capture", Patience: l.CaptureDown, Run: func(context.Context) error {
			have, err := gather(g)
			if err != nil {
				return err
			}
			if c := have.capture(); c != nil && c.State != stateStreaming && c.State != stateLoading {
				return fmt.Errorf("capture is in state %q", c.State)
			}
			return nil
		}},
		{Name: "stalled", Run: func(context.Context) error {
			have, err := gather(g)
			if err != nil {
				return err
			}
			if c := have.capture(); c != nil && c.StalledSeconds > l.Stalled.Seconds() {
				return fmt.Errorf("changes are pending and nothing was stored for %s", seconds(c.StalledSeconds))
			}
			return nil
		}},
		{Name: "projections", Run: func(context.Context) error {
			have, err := gather(g)
			if err != nil {
				return err
			}
			var late []Projection
			for _, p := range have.projections(now(), l) {
				if p.Late {
					late = append(late, p)
				}
			}
			if len(late) == 0 {
				return nil
			}
			return fmt.Errorf("%d deltas are late; %s %s is %s old", len(late), late[0].Opgaveloeser, late[0].Dataomraade, seconds(late[0].AgeSeconds))
		}},
	}
}

// seconds writes a number of seconds for people.
func seconds(s float64) string { return time.Duration(s * 1e9).Round(time.Second).String() }
