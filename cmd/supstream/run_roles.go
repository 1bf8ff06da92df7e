package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/capture"
	"supstream/catalog"
	"supstream/ops"
	"supstream/projections"
	"supstream/projections/durable"
	"supstream/sinks"
	"supstream/streams"
)

// capture starts the role capture: the streams are made and the mirror is read.
func (s *service) capture(ctx context.Context) error {
	pg, err := s.config.Postgres.parse()
	if err != nil {
		return err
	}
	key, err := pseudonymKey(s.config.Keys)
	if err != nil {
		return err
	}
	topology := streams.Topology{Catalog: s.catalog, Mirror: s.config.Mirror, Replicas: s.config.NATS.Replicas}
	metrics := streams.NewMetrics(s.registry)
	var mend func(context.Context, *catalog.Dataomraade) error
	if slices.Contains(s.config.Roles, roleProject) { // the base is in this process
		mend = s.compare.mend
	}
	capturer := capture.New(capture.Config{
		Postgres: pg, Catalog: s.catalog, Slot: s.config.Postgres.Slot, Publication: s.config.Postgres.Publication,
		MarkEvery: s.config.Capture.MarkerInterval,
		ChunkRows: s.config.Capture.Backfill.ChunkRows, RowsPerSecond: s.config.Capture.Backfill.RowsPerSecond,
		Open: func(ctx context.Context) (capture.Publisher, error) {
			if err := topology.Apply(ctx, s.broker.js); err != nil {
				return nil, err
			}
			return streams.OpenPublisher(ctx, s.broker.conn, streams.PublisherConfig{
				Catalog: s.catalog, Mirror: s.config.Mirror, Key: key,
				BatchEvents: s.config.batchEvents(), BatchBytes: int(s.config.Capture.BatchBytes), Linger: s.config.Capture.Linger,
				Log: s.log, Metrics: metrics,
			})
		},
		Mend: mend, Progress: s.progress, Log: s.log, Metrics: capture.NewMetrics(s.registry),
	})
	s.compare.capturer = capturer
	s.group.Go(func() error {
		if err := capturer.Run(ctx); err != nil {
			return fmt.Errorf("capture: %w", err)
		}
		return nil
	})
	return nil
}

// project starts the role project: files for everybody who has a grant.
func (s *service) project(ctx context.Context) error {
	key, err := sinks.LoadOrCreateKey(filepath.Join(s.config.Keys, "manifest.pem"))
	if err != nil {
		return err
	}
	outbox, err := sinks.NewOutbox(durable.OS{}, s.config.Outbox, key)
	if err != nil {
		return err
	}
	cfg := projections.DefaultConfig(s.config.Projections.Dir)
	cfg.Every, cfg.Memory, cfg.Areas = s.config.Projections.Every, int64(s.config.Projections.Memory), s.config.Projections.Workers
	parts := projections.Parts{
		Catalog: s.catalog, Grants: s.register, Source: streams.NewReader(s.broker.js), Sink: outbox, Log: s.log, Registry: s.registry,
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	s.group.Go(func() error {
		runner, err := s.runner(ctx, cfg, parts)
		if runner == nil {
			return err
		}
		s.compare.use(runner)
		err = runner.Run(ctx)
		s.compare.use(nil)
		return errors.Join(err, runner.Close())
	})
	if at := s.config.Reconcile.At; at != "" {
		s.group.Go(func() error { return s.compare.nightly(ctx, at) })
	}
	return nil
}

// runner takes the projector's directory into use. While another process works in it, this one stands by; nil when ctx ends first.
func (s *service) runner(ctx context.Context, cfg projections.Config, parts projections.Parts) (*projections.Runner, error) {
	for {
		runner, err := projections.NewRunner(cfg, parts)
		if !errors.Is(err, projections.ErrInUse) {
			return runner, err
		}
		s.log.Info("waiting for the directory of projections", "dir", cfg.Dir)
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(standbyAgain):
		}
	}
}

// standbyAgain is how often a process that stands by looks whether it is needed.
const standbyAgain = time.Second

// serve starts the role serve: metrics, health and status.
func (s *service) serve(ctx context.Context) error {
	if s.config.HTTP.Listen == "" {
		return nil
	}
	cfg := ops.Config{
		Listen: s.config.HTTP.Listen, Registry: s.registry,
		Ready: append(ops.Progress(s.registry, ops.DefaultLimits()),
			ops.Check{Name: "disk", Run: func(context.Context) error { return s.config.room() }}),
		Status: s.status, Log: s.log,
	}
	if slices.Contains(s.config.Roles, roleProject) {
		token, err := ordersToken(s.config.Keys)
		if err != nil {
			return err
		}
		cfg.Orders = ops.Orders{Token: token, Take: map[string]ops.Order{orderReconcile: s.compare.order}}
	}
	// A restart can mend a server inside this process, but not a cluster.
	check := ops.Check{Name: "nats", Run: s.broker.healthy}
	if s.broker.embedded != nil {
		cfg.Alive, cfg.Store = []ops.Check{check}, s.broker.embedded.Store
	} else {
		cfg.Ready = append(cfg.Ready, check)
	}
	for kind, dir := range map[string]string{"data": s.config.DataDir, "outbox": s.config.Outbox, "projections": s.config.Projections.Dir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		cfg.Disks = append(cfg.Disks, ops.Disk{Kind: kind, Path: dir})
	}
	server, err := ops.Listen(cfg)
	if err != nil {
		return err
	}
	s.log.Info("serving metrics and status", "address", server.Addr())
	s.group.Go(func() error { return server.Run(ctx) })
	return nil
}

// status adds what the metrics do not know.
func (s *service) status(ctx context.Context, st *ops.Status) error {
	st.Version, st.Mirror, st.Roles = readBuild().Version, s.config.Mirror, s.config.Roles
	if st.Capture != nil {
		st.Capture.Slot = s.config.Postgres.Slot
	}
	reader := streams.NewReader(s.broker.js)
	for _, area := range s.catalog.Dataomraader() {
		if !area.Open() {
			continue
		}
		mark, err := reader.Newest(ctx, area.Slug)
		switch {
		case errors.Is(err, streams.ErrNoMark):
		case err != nil:
			return err
		default:
			st.Marked(area.Slug, mark.Position.String(), mark.Time)
		}
	}
	return nil
}

// parse is the connection to Postgres. The parser's own error may show the password and is not passed on.
func (p Postgres) parse() (*pgx.ConnConfig, error) {
	if p.URL == "" {
		return nil, badInput(errors.New("postgres.url is missing: set it in the configuration, or as SUPSTREAM_POSTGRES_URL"))
	}
	cfg, err := pgx.ParseConfig(p.ConnString())
	if err != nil {
		return nil, badInput(errors.New("postgres.url is not a connection string: want postgres://user@host:5432/database"))
	}
	return cfg, nil
}
