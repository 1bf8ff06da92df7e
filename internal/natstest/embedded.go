package natstest

import (
	"log/slog"

	"github.com/nats-io/nats.go"

	"supstream/streams"
)

// Embedded is the server that `supstream run` has inside, with its connection, for the time of the test.
func Embedded(t TB, cfg streams.EmbeddedConfig) (*streams.Embedded, *nats.Conn) {
	t.Helper()
	if cfg.StoreDir == "" {
		cfg.StoreDir = t.TempDir()
	}
	if cfg.MaxStore == 0 {
		cfg.MaxStore = 1 << 30
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e, err := streams.StartEmbedded(cfg)
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	t.Cleanup(e.Stop)
	return e, Connect(t, "", e.Option())
}
