// Package ops is what operations see of a running process: its metrics, whether it is alive, whether it makes progress, and a status page.
//
//	srv, err := ops.Listen(ops.Config{
//		Listen:   "127.0.0.1:9464",
//		Registry: registry,
//		Alive:    []ops.Check{{Name: "nats", Run: embedded}},
//		Ready:    ops.Progress(registry, ops.DefaultLimits()),
//		Status:   func(ctx context.Context, s *ops.Status) error { … },
//		Log:      log,
//	})
//	…
//	err = srv.Run(ctx) // until ctx ends
//
// Four paths answer to GET, none of them with personal data, and none asks for a password: the address belongs on a network of operations.
//
//	/metrics  for Prometheus
//	/healthz  200 while the process works, else 503: restart it
//	/readyz   200 while it also makes progress, else 503: look at it; a restart seldom helps
//	/status   a Status as JSON; / shows the same as text
//
// docs/OPERATIONS.md describes every metric and alert, and what to do about them.
package ops
