package ops

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// Config is what a Server is made with. Listen, Registry and Log are needed.
type Config struct {
	Listen   string // host:port; port 0 takes a free one
	Registry *prometheus.Registry

	Alive []Check // what only a restart can mend
	Ready []Check // what else must hold for progress

	// Status adds what the metrics do not know; may be nil.
	Status func(ctx context.Context, s *Status) error

	Orders Orders // zero: none are taken

	Disks []Disk                                // folders whose file systems are measured
	Store func() (used, limit int64, err error) // bytes in the streams, and how many there may be; nil: not measured

	Interval time.Duration // between two rounds of checks; 0: 5 s
	Timeout  time.Duration // of one check; 0: 5 s
	Log      *slog.Logger
}

// Server serves one process's metrics, health and status.
type Server struct {
	cfg          Config
	log          *slog.Logger
	listener     net.Listener
	failed       *prometheus.GaugeVec
	alive, ready *watch
	started      time.Time
	now          func() time.Time
}

// Listen opens the port and registers the metrics of this package, of the Go runtime and of the process. Nothing is answered before Run.
func Listen(cfg Config) (*Server, error) {
	cfg.Interval = cmp.Or(cfg.Interval, 5*time.Second)
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	s := &Server{cfg: cfg, log: cfg.Log, started: time.Now(), now: time.Now}
	s.failed = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "supstream_check_failed",
		Help: "1 while a check of /healthz or /readyz fails, by name of the check."}, []string{"kind"})
	list := []prometheus.Collector{s.failed, newDisks(cfg.Disks), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	if cfg.Store != nil {
		list = append(list, newStore(cfg.Store))
	}
	for _, c := range list {
		if err := cfg.Registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of operations: %w", err)
		}
	}
	s.alive, s.ready = s.watch(cfg.Alive), s.watch(cfg.Ready)
	var err error
	if s.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("http.listen: %w", err)
	}
	return s, nil
}

func (s *Server) watch(checks []Check) *watch {
	round := s.cfg.Timeout * time.Duration(len(s.cfg.Alive)+len(s.cfg.Ready))
	return &watch{checks: checks, timeout: s.cfg.Timeout, stale: 3*s.cfg.Interval + round, now: s.now}
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Run asks the checks and answers requests until ctx ends; that is not an error. It must be called once, also to close the port.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
		BaseContext:    func(net.Listener) context.Context { return ctx },
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	g.Go(func() error {
		if err := srv.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("http.listen: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if srv.Shutdown(end) != nil {
			srv.Close()
		}
		return nil
	})
	g.Go(func() error {
		s.check(ctx)
		return nil
	})
	return g.Wait()
}

// check asks the checks until ctx ends.
func (s *Server) check(ctx context.Context) {
	tick := time.NewTicker(s.cfg.Interval)
	defer tick.Stop()
	for {
		s.round(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// round asks every check once, tells what changed, and moves the metric.
func (s *Server) round(ctx context.Context) {
	for _, w := range []*watch{s.alive, s.ready} {
		before := w.report().Checks
		w.round(ctx)
		for i, r := range w.report().Checks {
			value := 0.0
			if !r.OK {
				value = 1
			}
			s.failed.WithLabelValues(r.Name).Set(value)
			was := i >= len(before) || before[i].OK
			switch {
			case was && !r.OK:
				s.log.Error("check failed", "check", r.Name, "error", r.Error)
			case !was && r.OK:
				s.log.Info("check holds again", "check", r.Name)
			}
		}
	}
}

// health is the answer of /healthz, readiness that of /readyz: what is not alive is not ready.
func (s *Server) health() Report { return s.alive.report() }

func (s *Server) readiness() Report {
	alive, ready := s.alive.report(), s.ready.report()
	ready.OK = ready.OK && alive.OK
	ready.Checks = slices.Concat(alive.Checks, ready.Checks)
	return ready
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Registry, promhttp.HandlerOpts{
		// A folder that cannot be measured must not hide all other metrics.
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.health()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.readiness()) })
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) { s.json(w, http.StatusOK, s.status(r.Context())) })
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("POST /orders/{name}", s.order)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) answer(w http.ResponseWriter, r Report) {
	code := http.StatusOK
	if !r.OK {
		code = http.StatusServiceUnavailable
	}
	s.json(w, code, r)
}

func (s *Server) json(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		s.log.Debug("answer not taken", "error", err)
	}
}
