package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"supstream/capture"
	"supstream/catalog"
	"supstream/streams"
)

// Hidden first arguments of this program.
const (
	childCapture = "child-capture"
	childServer  = "child-server"
)

// childConfig is what a child reads from its standard input. It ends when
// the input does.
type childConfig struct {
	Store string // of the NATS server

	NATS     string // URL of the external server; empty: embedded
	Listen   string // of the embedded server
	Postgres string
	Slot     string
	End      string // position that ends the measurement
	Catalog  string // folder
	Batch    int
	InFlight int
	Bytes    int // most in a batch; 0: the default
	S2       bool
	GOGC     int
	Profile  string // file
}

// childLine is what a child writes to its standard output: first where it
// listens and that it is ready, then what it measured.
type childLine struct {
	URL     string  `json:"url,omitempty"`
	Seconds float64 `json:"seconds,omitempty"` // from the start of capture until everything was acknowledged
	CPU     float64 `json:"cpu,omitempty"`     // seconds, in that time
}

// child is a running child process.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *json.Decoder
}

func startChild(kind string, cfg childConfig) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, kind)}
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(bufio.NewReader(out))
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(c.stdin).Encode(cfg); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// line waits for the child's next line.
func (c *child) line() (l childLine, err error) {
	if err = c.out.Decode(&l); err != nil {
		err = fmt.Errorf("%s ended too early: %w", c.cmd.Args[1], err)
	}
	return l, err
}

// stop ends the child and waits for it.
func (c *child) stop() error {
	c.stdin.Close()
	return c.cmd.Wait()
}

// readConfig reads the child's settings and returns a context that ends with
// the standard input.
func readConfig() (cfg childConfig, ctx context.Context, err error) {
	in := json.NewDecoder(os.Stdin)
	if err := in.Decode(&cfg); err != nil {
		return cfg, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin) // whatever ends it, it has ended
	}()
	return cfg, ctx, nil
}

func say(l childLine) error { return json.NewEncoder(os.Stdout).Encode(l) }

func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
}

// serverChild is a NATS server in a process of its own, with the settings of
// the embedded one.
func serverChild() error {
	cfg, ctx, err := readConfig()
	if err != nil {
		return err
	}
	e, err := streams.StartEmbedded(streams.EmbeddedConfig{StoreDir: cfg.Store, Listen: "127.0.0.1:0", Log: logger()})
	if err != nil {
		return err
	}
	defer e.Stop()
	stop, err := profile(cfg.Profile)
	if err != nil {
		return err
	}
	defer stop()
	if err := say(childLine{URL: e.ClientURL()}); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// profile writes a CPU profile to the file until stop is called; without a
// file it does nothing.
func profile(file string) (stop func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	f, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	return pprof.StopCPUProfile, pprof.StartCPUProfile(f)
}

// captureChild is supstream: from Postgres to acknowledged in JetStream.
func captureChild() error {
	cfg, ctx, err := readConfig()
	if err != nil {
		return err
	}
	if cfg.GOGC != 0 {
		debug.SetGCPercent(cfg.GOGC)
	}
	cat, err := catalog.LoadDir(cfg.Catalog)
	if err != nil {
		return err
	}
	url, options := cfg.NATS, []nats.Option{nats.ReconnectBufSize(-1)}
	if url == "" {
		e, err := streams.StartEmbedded(streams.EmbeddedConfig{StoreDir: filepath.Join(cfg.Store, "jetstream"), Listen: cfg.Listen, Log: logger()})
		if err != nil {
			return err
		}
		defer e.Stop()
		url, options = "", append(options, e.Option())
		cfg.Listen = e.ClientURL()
	}
	nc, err := nats.Connect(url, options...)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := makeStreams(ctx, nc, cat, cfg.S2); err != nil {
		return err
	}
	return measure(ctx, cfg, cat, nc)
}

func makeStreams(ctx context.Context, nc *nats.Conn, cat *catalog.Catalog, s2 bool) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	if err := (streams.Topology{Catalog: cat, Mirror: "bench"}).Apply(ctx, js); err != nil || s2 {
		return err
	}
	for _, area := range cat.Dataomraader() {
		s, err := js.Stream(ctx, streams.StreamName(area.Slug))
		if err != nil {
			return err
		}
		c := s.CachedInfo().Config
		c.Compression = jetstream.NoCompression
		if _, err := js.UpdateStream(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// measure runs capture until everything up to the end is acknowledged, says
// how long that took, and goes on until the parent has enough.
func measure(ctx context.Context, cfg childConfig, cat *catalog.Catalog, nc *nats.Conn) error {
	pg, err := pgx.ParseConfig(cfg.Postgres)
	if err != nil {
		return err
	}
	if err := skipBackfill(ctx, cfg, pg, cat, nc); err != nil {
		return err
	}
	end, err := pglogrepl.ParseLSN(cfg.End)
	if err != nil {
		return err
	}
	var current atomic.Pointer[streams.Publisher]
	registry := prometheus.NewRegistry()
	metrics, log := streams.NewMetrics(registry), logger()
	capturer := capture.New(capture.Config{
		Postgres: pg, Catalog: cat, Slot: cfg.Slot, Publication: publication, MarkEvery: 5 * time.Second, Log: log,
		Metrics: capture.NewMetrics(registry),
		Open: func(ctx context.Context) (capture.Publisher, error) {
			p, err := streams.OpenPublisher(ctx, nc, publisherConfig(cfg, cat, metrics))
			current.Store(p)
			return p, err
		},
	})
	if err := say(childLine{URL: cfg.Listen}); err != nil {
		return err
	}
	stopProfile, err := profile(cfg.Profile)
	if err != nil {
		return err
	}
	runCtx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	cpu, err := cpuSeconds(os.Getpid())
	if err != nil {
		cancel()
		return err
	}
	begun := time.Now()
	go func() { done <- capturer.Run(runCtx) }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for p := current.Load(); p == nil || p.Durable().LSN < uint64(end); p = current.Load() {
		select {
		case err := <-done:
			cancel()
			return fmt.Errorf("capture ended: %w", err)
		case <-tick.C:
		}
	}
	seconds := time.Since(begun).Seconds()
	total, err := cpuSeconds(os.Getpid())
	stopProfile()
	if err == nil {
		err = say(childLine{Seconds: seconds, CPU: total - cpu})
	}
	<-ctx.Done()
	cancel()
	return errors.Join(err, <-done)
}

func publisherConfig(cfg childConfig, cat *catalog.Catalog, m *streams.Metrics) streams.PublisherConfig {
	return streams.PublisherConfig{Catalog: cat, Mirror: "bench", Key: []byte("bench"), BatchEvents: cfg.Batch, InFlight: cfg.InFlight, BatchBytes: cfg.Bytes, Log: logger(), Metrics: m}
}

// skipBackfill marks all tables as read up to where the slot begins: only the
// backlog counts.
func skipBackfill(ctx context.Context, cfg childConfig, pg *pgx.ConnConfig, cat *catalog.Catalog, nc *nats.Conn) error {
	conn, err := pgx.ConnectConfig(ctx, pg)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	slot, err := capture.ReadSlot(ctx, conn, cfg.Slot)
	if err != nil {
		return err
	}
	p, err := streams.OpenPublisher(ctx, nc, publisherConfig(cfg, cat, streams.NewMetrics(prometheus.NewRegistry())))
	if err != nil {
		return err
	}
	defer p.Close()
	at := capture.Position{LSN: slot.Confirmed}
	if err := p.Advance(ctx, at, time.Now()); err != nil {
		return err
	}
	for _, area := range cat.Dataomraader() {
		for _, t := range area.Tables {
			if err := p.PublishChunk(ctx, &capture.Chunk{Table: t, Time: time.Now(), State: capture.LoadState{Done: true}}); err != nil {
				return err
			}
		}
	}
	if err := p.Mark(ctx, 0); err != nil {
		return err
	}
	for p.Durable().Compare(at) < 0 {
		if err := p.Err(); err != nil {
			return err
		}
		<-p.Wake()
	}
	return nil
}
