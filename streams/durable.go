package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// CheckDurable asks the servers of a cluster, at their monitoring addresses,
// whether they sync before they acknowledge, and makes sure that the server we
// are connected to is one of them. A client's connection does not tell.
func CheckDurable(ctx context.Context, nc *nats.Conn, monitors []string) error {
	if len(monitors) == 0 {
		return errors.New("nats.monitor is empty: list the monitoring address of every server (http://host:8222), so that sync_interval: always can be checked")
	}
	asked := map[string]bool{}
	for _, url := range monitors {
		s, err := AskServer(ctx, url)
		if err == nil {
			err = s.Usable()
		}
		if err != nil {
			return fmt.Errorf("NATS server at %s: %w", url, err)
		}
		asked[s.ID] = true
	}
	if id := nc.ConnectedServerId(); !asked[id] {
		return &ClusterError{fmt.Sprintf("connected to NATS server %s, which is not among nats.monitor: list every server of the cluster", nc.ConnectedServerName())}
	}
	if n := len(nc.Servers()); n > len(asked) {
		return &ClusterError{fmt.Sprintf("the NATS cluster has at least %d servers, nats.monitor lists %d: list every server", n, len(asked))}
	}
	return nil
}

// ClusterError is a server or a list of servers that will not do. Somebody has
// to change the configuration of one of us.
type ClusterError struct{ Text string }

func (e *ClusterError) Error() string { return e.Text }

// Permanent says that trying again does not help.
func (e *ClusterError) Permanent() bool { return true }

// Server is what a NATS server says of itself at its monitoring address.
type Server struct {
	ID, Name, Version string
	JetStream         bool
	SyncAlways        bool // syncs before it acknowledges
	BatchEvents       int  // most messages in an atomic batch
}

// AskServer asks the server with this monitoring address.
func AskServer(ctx context.Context, url string) (Server, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/varz", nil)
	if err != nil {
		return Server{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return Server{}, err
	}
	defer res.Body.Close()
	var varz struct {
		ID        string `json:"server_id"`
		Name      string `json:"server_name"`
		Version   string `json:"version"`
		JetStream struct {
			Config *struct {
				SyncAlways bool `json:"sync_always"`
			} `json:"config"`
			Limits struct {
				MaxBatchSize int `json:"max_batch_size"`
			} `json:"limits"`
		} `json:"jetstream"`
	}
	if res.StatusCode != http.StatusOK {
		return Server{}, fmt.Errorf("/varz answers %s", res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&varz); err != nil {
		return Server{}, fmt.Errorf("/varz is not JSON: %w", err)
	}
	s := Server{ID: varz.ID, Name: varz.Name, Version: varz.Version, BatchEvents: varz.JetStream.Limits.MaxBatchSize}
	if c := varz.JetStream.Config; c != nil {
		s.JetStream, s.SyncAlways = true, c.SyncAlways
	}
	if s.BatchEvents <= 0 {
		s.BatchEvents = DefaultBatchEvents
	}
	return s, nil
}

// Usable is an error when the server is too old, has no JetStream or does not
// sync before it acknowledges (ErrNotDurable).
func (s Server) Usable() error {
	if err := checkVersion(s.Version); err != nil {
		return err
	}
	if !s.JetStream {
		return &ClusterError{"JetStream is off: add a jetstream block to its configuration"}
	}
	if !s.SyncAlways {
		return ErrNotDurable
	}
	return nil
}

// checkVersion refuses servers before 2.15: they sync once per message of a
// batch, and have errors that lose synced data.
func checkVersion(v string) error {
	var major, minor int
	if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("version %q is not understood", v)
	}
	if major < 2 || major == 2 && minor < 15 {
		return &ClusterError{fmt.Sprintf("version %s is too old: 2.15 or later is needed", v)}
	}
	return nil
}
