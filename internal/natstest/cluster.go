package natstest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Cluster is three servers whose streams have replicas.
type Cluster struct {
	Servers []*Server
}

// StartCluster starts three servers and waits until they have a leader.
func StartCluster(t TB, o Options) *Cluster {
	t.Helper()
	c := &Cluster{}
	dir := t.TempDir()
	var routes []string
	for i := range 3 {
		o := o
		o.Name = fmt.Sprintf("natstest-%d", i+1)
		o.StoreDir = filepath.Join(dir, o.Name)
		s, err := newServer(o, dir)
		if err != nil {
			t.Fatalf("natstest: %v", err)
		}
		s.log = filepath.Join(dir, o.Name+".log")
		p, err := takePort()
		if err != nil {
			t.Fatalf("natstest: %v", err)
		}
		s.held = append(s.held, p)
		s.set.Cluster, s.set.ClusterPort = "natstest", p.number
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", p.number))
		c.Servers = append(c.Servers, s)
		t.Cleanup(func() { s.close(t) })
	}
	var wg sync.WaitGroup
	errs := make([]error, len(c.Servers))
	for i, s := range c.Servers {
		s.set.Routes = routes
		wg.Go(func() { errs[i] = s.Start() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatalf("natstest: %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	for _, s := range c.Servers {
		if err := s.healthy(ctx); err != nil {
			t.Fatalf("natstest: %v", err)
		}
	}
	return c
}

// URL names all servers.
func (c *Cluster) URL() string {
	var urls []string
	for _, s := range c.Servers {
		urls = append(urls, s.URL())
	}
	return strings.Join(urls, ",")
}

// MonitorURLs are the monitoring addresses of all servers.
func (c *Cluster) MonitorURLs() []string {
	var urls []string
	for _, s := range c.Servers {
		urls = append(urls, s.MonitorURL())
	}
	return urls
}

// Connect connects to one of the servers for the time of the test.
func (c *Cluster) Connect(t TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return Connect(t, c.URL(), opts...)
}

// Healthy waits until every running server is caught up.
func (c *Cluster) Healthy(ctx context.Context) error {
	for _, s := range c.Servers {
		if s.proc == nil {
			continue
		}
		if err := s.healthy(ctx); err != nil {
			return err
		}
	}
	return nil
}

// healthy asks /healthz until it says that all is well.
func (s *Server) healthy(ctx context.Context) error {
	for {
		text, err := s.health(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("server %s is not healthy: %s: %w", s.set.Name, text, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) health(ctx context.Context) (text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.MonitorURL()+"/healthz", nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var answer struct{ Status, Error string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return "", err
	}
	if answer.Status != "ok" {
		return answer.Error, fmt.Errorf("status %s", answer.Status)
	}
	return "", nil
}
