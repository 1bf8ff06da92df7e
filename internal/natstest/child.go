package natstest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// settings is what the child gets to know, as JSON in its environment.
type settings struct {
	Options
	Port, Monitor int
	Cluster       string // name; empty: none
	ClusterPort   int
	Routes        []string
}

const (
	environment   = "SUPSTREAM_NATSTEST"
	reconnectWait = 50 * time.Millisecond
	readyTimeout  = 60 * time.Second
)

// Main is the server when this process was started to be one, and does nothing otherwise. Call it before anything else.
func Main() {
	text := os.Getenv(environment)
	if text == "" {
		return
	}
	if err := serve([]byte(text)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs the server until SIGTERM. One line on standard output says that it is ready.
func serve(text []byte) error {
	var set settings
	if err := json.Unmarshal(text, &set); err != nil {
		return err
	}
	opts, err := set.options()
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	srv, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	srv.ConfigureLogger()
	srv.Start()
	if !srv.ReadyForConnections(readyTimeout) {
		return fmt.Errorf("not ready within %s", readyTimeout)
	}
	if !srv.JetStreamEnabled() {
		return fmt.Errorf("JetStream did not start")
	}
	fmt.Println("ready")
	<-stop
	srv.Shutdown()
	srv.WaitForShutdown()
	return nil
}

func (set *settings) options() (*server.Options, error) {
	o := &server.Options{
		ServerName: set.Name, Host: "127.0.0.1", Port: set.Port, HTTPHost: "127.0.0.1", HTTPPort: set.Monitor,
		NoSigs: true, JetStream: true, StoreDir: set.StoreDir, JetStreamMaxStore: set.MaxStore, JetStreamMaxMemory: 64 << 20,
		SyncAlways: !set.Lazy, MaxPayload: set.MaxPayload,
		JetStreamLimits: server.JSLimitOpts{MaxBatchSize: set.BatchEvents},
	}
	if set.MaxPayload == 0 {
		o.MaxPayload = server.MAX_PAYLOAD_SIZE
	}
	if set.Cluster != "" {
		o.Cluster = server.ClusterOpts{Name: set.Cluster, Host: "127.0.0.1", Port: set.ClusterPort}
		for _, r := range set.Routes {
			u, err := url.Parse(r)
			if err != nil {
				return nil, err
			}
			o.Routes = append(o.Routes, u)
		}
	}
	return o, nil
}
