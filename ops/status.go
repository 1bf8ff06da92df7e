package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Status is how a running process is doing, without personal data. It is the JSON of /status and of `supstream status --json`.
type Status struct {
	Version     string       `json:"version"`
	Mirror      string       `json:"mirror"`
	Roles       []string     `json:"roles"`
	Started     time.Time    `json:"started"`
	Time        time.Time    `json:"time"`  // when this was written
	Alive       bool         `json:"alive"` // as /healthz
	Ready       bool         `json:"ready"` // as /readyz
	Checks      []Result     `json:"checks"`
	Capture     *Capture     `json:"capture"` // null when this process does not capture
	Areas       []Area       `json:"areas"`
	Projections []Projection `json:"projections"`
	Problem     string       `json:"problem,omitempty"` // why something is missing here
}

// Capture is the way from Postgres to the streams.
type Capture struct {
	State            string  `json:"state"` // starting, standby, loading, streaming, failed
	StalledSeconds   float64 `json:"stalled_seconds"`
	Slot             string  `json:"slot"`
	SlotState        string  `json:"slot_state"` // as pg_replication_slots.wal_status; empty: not known
	RetainedWALBytes int64   `json:"retained_wal_bytes"`
	SafeWALBytes     int64   `json:"safe_wal_bytes"` // -1: Postgres sets no limit
}

// Area is the stream of a dataomraade.
type Area struct {
	Dataomraade   string    `json:"dataomraade"`
	Position      string    `json:"position"` // of the newest marker; empty before the first
	Marker        time.Time `json:"marker"`   // its time by Postgres' clock
	LagSeconds    float64   `json:"lag_seconds"`
	TablesPending int       `json:"tables_pending"`  // back-fills that have not ended
	HeldRows      int64     `json:"held_rows"`       // without a known owner
	Drift         []string  `json:"drift,omitempty"` // kinds of differences from the catalogue that hold the area
	KeptChanges   int64     `json:"kept_changes"`    // while it is held
}

// Projection is the files of an Opgaveloeser of one dataomraade.
type Projection struct {
	Opgaveloeser  string    `json:"opgaveloeser"`
	Dataomraade   string    `json:"dataomraade"`
	Newest        time.Time `json:"newest"` // end of the newest file, of the Bruger that is furthest behind
	AgeSeconds    float64   `json:"age_seconds"`
	PeriodSeconds float64   `json:"period_seconds"` // 0: no schedule
	Late          bool      `json:"late"`
}

// Marked adds an area's newest marker.
func (s *Status) Marked(dataomraade, position string, at time.Time) {
	i, found := slices.BinarySearchFunc(s.Areas, dataomraade, func(a Area, slug string) int { return strings.Compare(a.Dataomraade, slug) })
	if !found {
		s.Areas = slices.Insert(s.Areas, i, Area{Dataomraade: dataomraade})
	}
	a := &s.Areas[i]
	a.Position, a.Marker, a.LagSeconds = position, at, max(0, s.Time.Sub(at).Seconds())
}

// status is the process as it is now.
func (s *Server) status(ctx context.Context) *Status {
	now := s.now()
	st := &Status{Started: s.started, Time: now, Alive: s.health().OK, Areas: []Area{}, Projections: []Projection{}, Roles: []string{}}
	ready := s.readiness()
	st.Ready, st.Checks = ready.OK, ready.Checks
	have, err := gather(s.cfg.Registry)
	if err != nil {
		st.Problem = err.Error()
	}
	st.Capture, st.Areas, st.Projections = have.capture(), have.areas(), have.projections(now, DefaultLimits())
	if s.cfg.Status != nil {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		defer cancel()
		if err := s.cfg.Status(ctx, st); err != nil {
			st.Problem = err.Error()
		}
	}
	return st
}

// Fetch asks the process that listens on an address (the configuration's http.listen) for its status.
func Fetch(ctx context.Context, listen string) (*Status, error) {
	address, err := reachable(listen)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return nil, fmt.Errorf("ask for status: %w", err)
	}
	// A proxy of the environment must not be asked for a process nearby.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for status: %w: does supstream run, and is http.listen its address?", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for status: %s answered %s: http.listen is the address of something else", address, res.Status)
	}
	st := &Status{}
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<20)).Decode(st); err != nil {
		return nil, fmt.Errorf("ask for status: %s: %w", address, err)
	}
	return st, nil
}

// reachable turns an address to listen on into one to connect to.
func reachable(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("http.listen %q: %w", listen, err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return net.JoinHostPort(host, port), nil
}

// WriteText writes the status for people.
func (s *Status) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "supstream %s, mirror %s, roles %s, up %s\n", s.Version, s.Mirror, strings.Join(s.Roles, " "), seconds(s.Time.Sub(s.Started).Seconds()))
	fmt.Fprintf(t, "alive %s, ready %s\n", yes(s.Alive), yes(s.Ready))
	if s.Problem != "" {
		fmt.Fprintf(t, "incomplete: %s\n", s.Problem)
	}
	fmt.Fprint(t, "\nCHECK\tOK\tSINCE\tERROR\n")
	for _, c := range s.Checks {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Name, yes(c.OK), moment(c.Since), c.Error)
	}
	if c := s.Capture; c != nil {
		fmt.Fprint(t, "\nCAPTURE\tSTALLED\tSLOT\tSLOT STATE\tRETAINED WAL\tSAFE WAL\n")
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", c.State, seconds(c.StalledSeconds), c.Slot, c.SlotState, size(c.RetainedWALBytes), size(c.SafeWALBytes))
	}
	if len(s.Areas) > 0 {
		fmt.Fprint(t, "\nDATAOMRAADE\tPOSITION\tMARKER\tLAG\tTO READ\tHELD ROWS\n")
	}
	for _, a := range s.Areas {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\n", a.Dataomraade, a.Position, moment(a.Marker), seconds(a.LagSeconds), a.TablesPending, a.HeldRows)
	}
	for _, a := range s.Areas {
		if len(a.Drift) > 0 {
			fmt.Fprintf(t, "%s is held: the mirror differs from the catalogue (%s); changes kept: %d\n", a.Dataomraade, strings.Join(a.Drift, ", "), a.KeptChanges)
		}
	}
	if len(s.Projections) > 0 {
		fmt.Fprint(t, "\nOPGAVELOESER\tDATAOMRAADE\tNEWEST\tAGE\tPERIOD\tLATE\n")
	}
	for _, p := range s.Projections {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", p.Opgaveloeser, p.Dataomraade, moment(p.Newest), seconds(p.AgeSeconds), seconds(p.PeriodSeconds), yes(p.Late))
	}
	return t.Flush()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// size writes bytes in the largest unit that leaves a number of at least one.
func size(n int64) string {
	if n < 0 {
		return "no limit"
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	return strconv.FormatFloat(v, 'f', min(i, 1), 64) + " " + units[i]
}
