package capture

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"supstream/catalog"
)

func newTestMetrics() *Metrics { return NewMetrics(prometheus.NewRegistry()) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// start starts a capturer and returns it.
func (m *mirror) start(cat *catalog.Catalog, pub Publisher, change ...func(*Config)) *Capturer {
	m.t.Helper()
	ctx, cancel := context.WithCancel(m.ctx)
	c := New(m.captureConfig(cat, pub, change...))
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	m.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Errorf("capture ended: %v", err)
		}
	})
	return c
}

// reader makes a role that may replicate and read, and owns nothing; and the publication, which it cannot make.
func (m *mirror) reader() {
	m.t.Helper()
	m.exec(`DO $$ BEGIN CREATE ROLE reader LOGIN REPLICATION; EXCEPTION WHEN duplicate_object THEN END $$;
		GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
		CREATE PUBLICATION ` + m.name + ` FOR TABLE sag, bilag, kode WITH (publish_via_partition_root = true)`)
}

// orderList is the parts of an order as they are stored.
func (p *memory) orderList(id string) (list []Order) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range sortedKeys(p.orders) {
		if p.orders[at].ID == id {
			list = append(list, p.orders[at])
		}
	}
	return list
}
