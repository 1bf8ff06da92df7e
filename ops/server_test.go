package ops

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func quiet(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// begin runs a server until the test ends.
func begin(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Listen, cfg.Log, cfg.Interval = "127.0.0.1:0", quiet(t), time.Millisecond
	rounds := make(chan struct{})
	cfg.Ready = append(cfg.Ready, Check{Name: "last", Run: func(ctx context.Context) error {
		select {
		case rounds <- struct{}{}:
		case <-ctx.Done():
		}
		return nil
	}})
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-rounds
	<-rounds // so the first one has ended
	go func() {
		for {
			select {
			case <-rounds:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestServer(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := begin(t, Config{
		Registry: reg,
		Alive:    []Check{{Name: "nats", Run: func(context.Context) error { return nil }}},
		Ready:    []Check{{Name: "capture", Run: func(context.Context) error { return errors.New("capture is in state \"failed\"") }}},
		Disks:    []Disk{{"data", t.TempDir()}, {"outbox", filepath.Join(t.TempDir(), "missing")}},
		Store:    func() (used, limit int64, err error) { return 1000, 4000, nil },
		Status: func(_ context.Context, s *Status) error {
			s.Version, s.Mirror, s.Roles = "v1", "<dfdg>", []string{"capture"}
			return errors.New("no markers: not connected to NATS")
		},
	})
	url := "http://" + s.Addr()

	code, body := get(t, url+"/healthz")
	var health Report
	if err := json.Unmarshal([]byte(body), &health); err != nil || code != 200 || !health.OK || len(health.Checks) != 1 || health.Checks[0].Name != "nats" {
		t.Errorf("/healthz: %d %s (%v)", code, body, err)
	}
	code, body = get(t, url+"/readyz")
	var ready Report
	if err := json.Unmarshal([]byte(body), &ready); err != nil || code != 503 || ready.OK || len(ready.Checks) != 3 ||
		ready.Checks[1].OK || ready.Checks[1].Error != `capture is in state "failed"` || !ready.Checks[2].OK {
		t.Errorf("/readyz: %d %s (%v)", code, body, err)
	}
	code, body = get(t, url+"/metrics")
	for _, want := range []string{
		"supstream_check_failed{kind=\"capture\"} 1\n", "supstream_check_failed{kind=\"nats\"} 0\n", "supstream_disk_free_bytes{kind=\"data\"} ",
		"supstream_disk_size_bytes{kind=\"data\"} ", "supstream_store_used_bytes 1000\n", "supstream_store_limit_bytes 4000\n",
		"\ngo_goroutines ", "\nprocess_start_time_seconds ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics: %d, no %q", code, want)
		}
	}
	if strings.Contains(body, "outbox") {
		t.Error("/metrics measures a folder that does not exist")
	}
	st, err := Fetch(t.Context(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if !st.Alive || st.Ready || st.Version != "v1" || st.Problem != "no markers: not connected to NATS" || len(st.Checks) != 3 || st.Capture != nil || st.Areas == nil {
		t.Errorf("/status: %+v", st)
	}
	if code, body = get(t, url+"/"); code != 200 || !strings.Contains(body, "supstream v1, mirror &lt;dfdg&gt;, roles capture, up 0s") {
		t.Errorf("/: %d %s", code, body)
	}
	if code, _ = get(t, url+"/other"); code != 404 {
		t.Errorf("/other: %d", code)
	}
	res, err := http.Post(url+"/status", "", nil)
	if err != nil || res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /status: %v, %v", res, err)
	}
	res.Body.Close()
}

func TestNotAliveIsNotReady(t *testing.T) {
	var frozen atomic.Bool
	frozen.Store(true)
	reg := prometheus.NewRegistry()
	s, err := Listen(Config{Listen: "127.0.0.1:0", Registry: reg, Log: quiet(t), Alive: []Check{{Name: "nats", Run: func(context.Context) error {
		if frozen.Load() {
			return errors.New("stream frozen")
		}
		return nil
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	codes := func() (healthz, readyz int) {
		for path, code := range map[string]*int{"/healthz": &healthz, "/readyz": &readyz} {
			w := httptest.NewRecorder()
			s.handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			*code = w.Code
		}
		return
	}
	if h, r := codes(); h != 503 || r != 503 {
		t.Errorf("before the first round: %d, %d", h, r)
	}
	s.round(t.Context())
	if h, r := codes(); h != 503 || r != 503 || testutil.ToFloat64(s.failed.WithLabelValues("nats")) != 1 {
		t.Errorf("frozen: %d, %d", h, r)
	}
	frozen.Store(false)
	s.round(t.Context())
	if h, r := codes(); h != 200 || r != 200 || testutil.ToFloat64(s.failed.WithLabelValues("nats")) != 0 {
		t.Errorf("healthy: %d, %d", h, r)
	}
}

func TestListenFails(t *testing.T) {
	first, err := Listen(Config{Listen: "127.0.0.1:0", Registry: prometheus.NewRegistry(), Log: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer first.listener.Close()
	_, err = Listen(Config{Listen: first.Addr(), Registry: prometheus.NewRegistry(), Log: quiet(t)})
	if err == nil || !strings.HasPrefix(err.Error(), "http.listen: listen tcp 127.0.0.1:") || !strings.HasSuffix(err.Error(), "address already in use") {
		t.Errorf("a port in use: %v", err)
	}
	if _, err = Fetch(t.Context(), "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "does supstream run, and is http.listen its address?") {
		t.Errorf("nobody there: %v", err)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if _, err = Fetch(t.Context(), strings.TrimPrefix(other.URL, "http://")); err == nil || !strings.HasSuffix(err.Error(), "answered 404 Not Found: http.listen is the address of something else") {
		t.Errorf("somebody else: %v", err)
	}
}

func TestReachable(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:9464": "127.0.0.1:9464", "0.0.0.0:9464": "localhost:9464", "[::]:1": "localhost:1", ":9464": "localhost:9464",
		"[::1]:9464": "[::1]:9464", "ops.example:80": "ops.example:80", "none": "",
	} {
		if got, err := reachable(listen); got != want || (err != nil) != (want == "") {
			t.Errorf("reachable(%q) = %q, %v; want %q", listen, got, err, want)
		}
	}
}
