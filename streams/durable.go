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
		id, err := checkServer(ctx, url)
		if err != nil {
			return fmt.Errorf("NATS server at %s: %w", url, err)
		}
		asked[id] = true
	}
	if id := nc.ConnectedServerId(); !asked[id] {
		return fmt.Errorf("connected to NATS server %s, which is not among nats.monitor: list every server of the cluster", nc.ConnectedServerName())
	}
	if n := len(nc.Servers()); n > len(asked) {
		return fmt.Errorf("the NATS cluster has at least %d servers, nats.monitor lists %d: list every server", n, len(asked))
	}
	return nil
}

func checkServer(ctx context.Context, url string) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/varz", nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var varz struct {
		ID        string `json:"server_id"`
		Version   string `json:"version"`
		JetStream struct {
			Config *struct {
				SyncAlways bool `json:"sync_always"`
			} `json:"config"`
		} `json:"jetstream"`
	}
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("/varz answers %s", res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(&varz); err != nil {
		return "", fmt.Errorf("/varz is not JSON: %w", err)
	}
	if err := checkVersion(varz.Version); err != nil {
		return "", err
	}
	if varz.JetStream.Config == nil {
		return "", errors.New("JetStream is off: add a jetstream block to its configuration")
	}
	if !varz.JetStream.Config.SyncAlways {
		return "", ErrNotDurable
	}
	return varz.ID, nil
}

// checkVersion refuses servers before 2.15: they sync once per message of a
// batch, and have errors that lose synced data.
func checkVersion(v string) error {
	var major, minor int
	if _, err := fmt.Sscanf(v, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("version %q is not understood", v)
	}
	if major < 2 || major == 2 && minor < 15 {
		return fmt.Errorf("version %s is too old: 2.15 or later is needed", v)
	}
	return nil
}
