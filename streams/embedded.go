package streams

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"
)

// EmbeddedConfig is a NATS server inside this process.
type EmbeddedConfig struct {
	StoreDir string // holds the streams and the lock
	MaxStore int64  // bytes on disk; 0: three quarters of what is free
	Listen   string // host:port for other clients; empty: none
	Log      *slog.Logger
}

// EmbeddedBatchEvents is the batch limit of the embedded server.
const EmbeddedBatchEvents = 10_000

// embeddedMaxPayload bounds an event, and so a row, in the embedded server.
const embeddedMaxPayload = 32 << 20

// Embedded is a running NATS server that syncs before it acknowledges.
type Embedded struct {
	srv  *server.Server
	lock *os.File
}

// StartEmbedded locks the store directory and starts a server on it. The
// server itself does not notice a second one on the same directory, and the
// two would destroy each other's streams.
func StartEmbedded(cfg EmbeddedConfig) (*Embedded, error) {
	if err := os.MkdirAll(cfg.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("store directory: %w", err)
	}
	lock, err := lockDir(cfg.StoreDir)
	if err != nil {
		return nil, err
	}
	e := &Embedded{lock: lock}
	if err := e.start(cfg); err != nil {
		lock.Close()
		return nil, err
	}
	return e, nil
}

func lockDir(dir string) (*os.File, error) {
	name := filepath.Join(dir, "lock")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock store directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w: stop that process, or choose another data_dir", dir, ErrStoreInUse)
		}
		return nil, fmt.Errorf("lock store directory %s: %w", dir, err)
	}
	return f, nil
}

// StoreInUse tells whether a process has the store in that directory open. It
// changes nothing; a directory that does not exist is not in use.
func StoreInUse(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the store's lock: %w", err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the store's lock: %w", err)
	}
	return false, nil
}

func (e *Embedded) start(cfg EmbeddedConfig) error {
	opts := &server.Options{
		ServerName: "supstream", NoSigs: true, NoLog: true, NoSystemAccount: false,
		JetStream: true, StoreDir: cfg.StoreDir, JetStreamMaxMemory: 64 << 20, JetStreamMaxStore: cfg.MaxStore,
		SyncAlways: true, SyncInterval: 0, MaxPayload: embeddedMaxPayload, MaxPending: 256 << 20,
		JetStreamLimits: server.JSLimitOpts{MaxBatchSize: EmbeddedBatchEvents},
		// Two batches may wait in a stream's queue while a third is sent.
		StreamMaxBufferedMsgs: 4 * EmbeddedBatchEvents, StreamMaxBufferedSize: 256 << 20,
	}
	if cfg.MaxStore == 0 {
		free, err := freeBytes(cfg.StoreDir)
		if err != nil {
			return err
		}
		opts.JetStreamMaxStore = free / 4 * 3
	}
	if cfg.Listen == "" {
		opts.DontListen = true
	} else {
		host, port, err := splitHostPort(cfg.Listen)
		if err != nil {
			return fmt.Errorf("nats.embedded.listen %q: %w", cfg.Listen, err)
		}
		opts.Host, opts.Port = host, port
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("embedded NATS server: %w", err)
	}
	srv.SetLoggerV2(natsLogger{cfg.Log.With("component", "nats")}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(60 * time.Second) {
		srv.Shutdown()
		return errors.New("embedded NATS server: not ready within 60 s")
	}
	if err := checkEmbedded(srv); err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		return err
	}
	e.srv = srv
	return nil
}

// checkEmbedded proves that the server syncs before it acknowledges, and that
// it could open its store.
func checkEmbedded(srv *server.Server) error {
	if !srv.JetStreamEnabled() {
		return errors.New("embedded NATS server: JetStream did not start: is the disk full or the store directory not writable?")
	}
	varz, err := srv.Varz(nil)
	if err != nil {
		return fmt.Errorf("embedded NATS server: %w", err)
	}
	if c := varz.JetStream.Config; c == nil || !c.SyncAlways {
		return ErrNotDurable
	}
	return nil
}

// Healthy is an error when the server has frozen a stream or lost its store.
func (e *Embedded) Healthy() error {
	if h := e.srv.Healthz(&server.HealthzOptions{JSEnabledOnly: false}); h.Error != "" {
		return errors.New(h.Error)
	}
	return nil
}

// Store is how many bytes the streams take and how many they may take.
func (e *Embedded) Store() (used, limit int64, err error) {
	info, err := e.srv.Jsz(nil)
	if err != nil {
		return 0, 0, fmt.Errorf("embedded NATS server: %w", err)
	}
	return int64(info.Store), info.Config.MaxStore, nil
}

// Option makes nats.Connect connect to this server.
func (e *Embedded) Option() nats.Option { return nats.InProcessServer(e.srv) }

// ClientURL is where other clients connect; empty without a listener.
func (e *Embedded) ClientURL() string { return e.srv.ClientURL() }

// Stop stops the server and lets go of the store.
func (e *Embedded) Stop() {
	e.srv.Shutdown()
	e.srv.WaitForShutdown()
	e.lock.Close()
}

func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// natsLogger hands the server's log lines on. They name streams and clients,
// never messages.
type natsLogger struct{ log *slog.Logger }

func (l natsLogger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l natsLogger) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l natsLogger) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l natsLogger) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l natsLogger) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l natsLogger) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }

func splitHostPort(s string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	if err == nil && port == 0 {
		port = server.RANDOM_PORT
	}
	return host, port, err
}
