package ops

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"supstream/streams"
)

// natsOptions reads nats.conf with the server's own parser.
func natsOptions(t *testing.T) *server.Options {
	t.Helper()
	opts, err := server.ProcessConfigFile("nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	return opts
}

// TestNATSConfig starts a server with nats.conf: it must sync before it acknowledges, and take batches as large as the embedded server's.
func TestNATSConfig(t *testing.T) {
	opts := natsOptions(t)
	if !opts.SyncAlways || opts.JetStreamLimits.MaxBatchSize != streams.EmbeddedBatchEvents || opts.StreamMaxBufferedMsgs != 4*streams.EmbeddedBatchEvents ||
		opts.StreamMaxBufferedSize != 256<<20 || opts.MaxPayload != 32<<20 || opts.MaxPending != 256<<20 || opts.JetStreamMaxStore != 200<<30 || opts.ServerName == "" {
		t.Errorf("sync always %v, batch %d, buffered %d messages and %d bytes, payload %d, pending %d, store %d, name %q", opts.SyncAlways, opts.JetStreamLimits.MaxBatchSize,
			opts.StreamMaxBufferedMsgs, opts.StreamMaxBufferedSize, opts.MaxPayload, opts.MaxPending, opts.JetStreamMaxStore, opts.ServerName)
	}
	opts.StoreDir, opts.Host, opts.Port, opts.HTTPHost, opts.HTTPPort = t.TempDir(), "127.0.0.1", server.RANDOM_PORT, "127.0.0.1", server.RANDOM_PORT
	opts.NoSigs, opts.NoLog, opts.JetStreamMaxStore = true, true, 64<<20
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	defer srv.WaitForShutdown()
	defer srv.Shutdown()
	if !srv.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server is not ready after 30 s")
	}
	nc, err := nats.Connect(srv.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := streams.CheckDurable(t.Context(), nc, []string{"http://" + srv.MonitorAddr().String()}); err != nil {
		t.Error(err)
	}
}
