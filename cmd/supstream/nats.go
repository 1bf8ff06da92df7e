package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/streams"
)

// broker is the connection to JetStream, and the server itself when it is embedded.
type broker struct {
	conn     *nats.Conn
	js       jetstream.JetStream
	embedded *streams.Embedded // nil for a cluster
}

// openBroker starts the embedded server or connects to the cluster, and makes sure that what it acknowledges is on disk.
func openBroker(ctx context.Context, c *Config, log *slog.Logger) (*broker, error) {
	b := &broker{}
	opts := []nats.Option{
		nats.Name("supstream"),
		// A batch must not be finished on another connection than it was begun on.
		nats.ReconnectBufSize(-1),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.Timeout(10 * time.Second),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("nats", "error", err) }),
	}
	url := c.NATS.URL
	if url == "" {
		var err error
		b.embedded, err = streams.StartEmbedded(streams.EmbeddedConfig{
			StoreDir: filepath.Join(c.DataDir, "nats"), MaxStore: int64(c.NATS.Embedded.MaxStore), Listen: c.NATS.Embedded.Listen, Log: log,
		})
		if err != nil {
			return nil, err
		}
		opts = append(opts, b.embedded.Option())
	} else {
		opts = append(opts, c.NATS.options()...)
	}
	if err := b.connect(ctx, c, url, opts, log); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// A cluster that restarts is waited for, but not for ever: whoever started supstream wants to know of a wrong address.
const (
	connectPatience = 30 * time.Second
	connectAgain    = time.Second
)

func (b *broker) connect(ctx context.Context, c *Config, url string, opts []nats.Option, log *slog.Logger) error {
	begun := time.Now()
	for {
		err := b.try(ctx, c, url, opts)
		if err == nil || b.embedded != nil || permanent(err) || time.Since(begun) > connectPatience {
			return err
		}
		log.Warn("NATS is not there, trying again", "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(connectAgain):
		}
	}
}

// permanent tells that somebody has to change something.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.Is(err, streams.ErrNotDurable) || errors.As(err, &p) && p.Permanent()
}

func (b *broker) try(ctx context.Context, c *Config, url string, opts []nats.Option) (err error) {
	if b.conn != nil {
		b.conn.Close()
	}
	if b.conn, err = nats.Connect(url, opts...); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	if b.embedded == nil {
		if err := streams.CheckDurable(ctx, b.conn, c.NATS.Monitor); err != nil {
			return err
		}
	}
	if b.js, err = jetstream.New(b.conn); err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	return nil
}

// healthy is an error while nothing can be stored.
func (b *broker) healthy(context.Context) error {
	if !b.conn.IsConnected() {
		return errors.New("not connected to NATS")
	}
	if b.embedded != nil {
		return b.embedded.Healthy()
	}
	return nil
}

func (b *broker) close() {
	if b.conn != nil {
		b.conn.Close()
	}
	if b.embedded != nil {
		b.embedded.Stop()
	}
}

// batchEvents is the size of batches: what was configured, or what the server takes by default.
func (c *Config) batchEvents() int {
	switch {
	case c.Capture.BatchEvents > 0:
		return c.Capture.BatchEvents
	case c.NATS.URL == "":
		return streams.EmbeddedBatchEvents
	}
	return streams.DefaultBatchEvents
}

// options are the credentials and certificates of a cluster.
func (n NATS) options() []nats.Option {
	var opts []nats.Option
	if n.Credentials != "" {
		opts = append(opts, nats.UserCredentials(n.Credentials))
	}
	if n.TLS.CA != "" {
		opts = append(opts, nats.RootCAs(n.TLS.CA))
	}
	if n.TLS.Cert != "" {
		opts = append(opts, nats.ClientCert(n.TLS.Cert, n.TLS.Key))
	}
	return opts
}
