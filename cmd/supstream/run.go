package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"supstream/agreements"
	"supstream/capture"
	"supstream/catalog"
)

func newRun(a *app) *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Capture changes, store them in streams, make files",
		Long: `Run does the work: it reads the mirror's changes, stores them as events in JetStream and makes the Opgaveloesere's files.
It goes on until it gets SIGINT or SIGTERM. All roles run in one process unless --roles says otherwise; several processes need a NATS cluster.

Without nats.url the NATS server runs inside this process and keeps its store in <data_dir>/nats.`,
		Example: "  SUPSTREAM_POSTGRES_URL=postgres://supstream@localhost/dfdg supstream run\n  supstream run -c supstream.yaml --roles capture",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.config(func(c *Config) {
				if len(roles) > 0 {
					c.Roles = roles
				}
			})
			if err != nil {
				return err
			}
			return a.run(cmd.Context(), c, newLogger(a.stderr, c.Log))
		},
	}
	cmd.Flags().StringSliceVar(&roles, "roles", nil, "what this process does: `capture,project,serve` (default: all, or as configured)")
	return cmd
}

// service is a running supstream: what its roles share.
type service struct {
	config   *Config
	catalog  *catalog.Catalog
	register *agreements.Register
	broker   *broker
	registry *prometheus.Registry
	log      *slog.Logger
	group    *errgroup.Group
	progress func(capture.LoadProgress)
	compare  *reconciler
}

// run starts the roles and waits for them. The first that fails ends the others. What is wrong with the files that were given is found
// before anything is changed.
func (a *app) run(ctx context.Context, c *Config, log *slog.Logger) error {
	s := &service{config: c, registry: prometheus.NewRegistry(), log: log}
	s.compare = &reconciler{s: s}
	var err error
	if s.catalog, err = a.catalog(c.Catalog); err != nil {
		return err
	}
	if s.register, err = a.agreements(c.Agreements, s.catalog); err != nil {
		return err
	}
	if slices.Contains(c.Roles, roleCapture) {
		if _, err := c.Postgres.parse(); err != nil {
			return err
		}
	}
	if err := c.room(); err != nil {
		return err
	}
	if s.broker, err = openBroker(ctx, c, log); err != nil {
		return err
	}
	defer s.broker.close()
	bar := newProgress(a.stderr, "reading the mirror", "rows")
	s.progress = func(p capture.LoadProgress) { bar.set(p.Rows, p.Estimate) }
	var cancel context.CancelFunc
	ctx, cancel = context.WithCancel(ctx)
	s.group, ctx = errgroup.WithContext(ctx)
	if err := s.start(ctx); err != nil {
		cancel()
		return errors.Join(err, s.group.Wait())
	}
	s.group.Go(func() error { return s.watch(ctx) })
	log.Info("supstream runs", "roles", c.Roles, "catalog", s.catalog.Version())
	defer cancel()
	if err := s.group.Wait(); err != nil {
		return err
	}
	log.Info("supstream ended")
	return nil
}

// start starts the configured roles.
func (s *service) start(ctx context.Context) error {
	for _, r := range []struct {
		name  string
		start func(context.Context) error
	}{{roleCapture, s.capture}, {roleProject, s.project}, {roleServe, s.serve}} {
		if !slices.Contains(s.config.Roles, r.name) {
			continue
		}
		if err := r.start(ctx); err != nil {
			return err
		}
	}
	return nil
}
