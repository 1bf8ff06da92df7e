// Package natstest starts throw-away NATS servers: in this process, as processes of their own that can be killed and
// started again on the same port and the same store, and as clusters of three.
//
// The processes are this binary started once more. A package that uses them begins with
//
//	func TestMain(m *testing.M) {
//		natstest.Main()
//		os.Exit(m.Run())
//	}
//
// and a test with
//
//	server := natstest.Start(t, natstest.Options{})
//	nc := server.Connect(t)
//
// A server listens on 127.0.0.1 only, syncs before it acknowledges unless Options.Lazy is set, and ends with the
// process that started it, also when that is killed.
package natstest

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
)

// TB is the part of testing.TB that is needed here; commands use this package too, and package testing is not for them.
type TB interface {
	Helper()
	Cleanup(func())
	TempDir() string
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Options says how a server is made. The zero value syncs before it acknowledges and has the limits that a NATS server
// has when its configuration says nothing.
type Options struct {
	StoreDir    string // holds the streams; empty: a temporary directory
	Name        string // of the server; empty: "natstest"
	Lazy        bool   // acknowledge before the data are on disk, as a NATS server does by default
	BatchEvents int    // most messages in an atomic batch; 0: 1000
	MaxPayload  int32  // largest message; 0: 1 MiB
	MaxStore    int64  // most bytes of all streams together; 0: 1 GiB
}

// Server is a NATS server in a process of its own. Its address and its store stay the same when it is started again.
type Server struct {
	set  settings
	held []*port
	log  string // file
	proc *process
}

// Start starts a server and ends it with the test. A test that failed shows the end of the server's log.
func Start(t TB, o Options) *Server {
	t.Helper()
	s, err := newServer(o, t.TempDir())
	if err != nil {
		t.Fatalf("natstest: %v", err)
	}
	t.Cleanup(func() { s.close(t) })
	if err := s.Start(); err != nil {
		t.Fatalf("natstest: %v", err)
	}
	return s
}

func newServer(o Options, dir string) (*Server, error) {
	s := &Server{set: settings{Options: o}, log: filepath.Join(dir, "nats.log")}
	if s.set.StoreDir == "" {
		s.set.StoreDir = filepath.Join(dir, "store")
	}
	if s.set.Name == "" {
		s.set.Name = "natstest"
	}
	if s.set.MaxStore == 0 {
		s.set.MaxStore = 1 << 30
	}
	for _, number := range []*int{&s.set.Port, &s.set.Monitor} {
		p, err := takePort()
		if err != nil {
			return nil, err
		}
		s.held = append(s.held, p)
		*number = p.number
	}
	return s, nil
}

// URL is where clients connect.
func (s *Server) URL() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.set.Port) }

// MonitorURL is where /varz and /healthz are.
func (s *Server) MonitorURL() string { return fmt.Sprintf("http://127.0.0.1:%d", s.set.Monitor) }

// Start starts the server again after Kill and returns when it takes connections and JetStream works.
func (s *Server) Start() error {
	if s.proc != nil {
		return fmt.Errorf("server %s is running", s.set.Name)
	}
	var err error
	s.proc, err = start(s.set, s.log)
	return err
}

// Restart kills the server and starts it again.
func (s *Server) Restart() error {
	if err := s.Kill(); err != nil {
		return err
	}
	return s.Start()
}

// Kill ends the server with SIGKILL and returns when it has gone.
func (s *Server) Kill() error {
	if s.proc == nil {
		return nil
	}
	err := s.proc.kill()
	s.proc = nil
	return err
}

// Pause stops the process where it is, Resume lets it go on.
func (s *Server) Pause() error { return s.proc.pause() }

// Resume ends a Pause.
func (s *Server) Resume() error { return s.proc.resume() }

// PID is the process' number; 0 when it does not run.
func (s *Server) PID() int {
	if s.proc == nil {
		return 0
	}
	return s.proc.cmd.Process.Pid
}

// Connect connects to the server for the time of the test. It tries again for as long as the test runs.
func (s *Server) Connect(t TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	return Connect(t, s.URL(), opts...)
}

// Connect connects to the server at url for the time of the test.
func Connect(t TB, url string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, append([]nats.Option{
		nats.ReconnectBufSize(-1), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // they show in the calls that fail
	}, opts...)...)
	if err != nil {
		t.Fatalf("natstest: connect to %s: %v", url, err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Close ends the server and gives its ports back.
func (s *Server) Close() error {
	err := s.Kill()
	for _, p := range s.held {
		p.release()
	}
	s.held = nil
	return err
}

func (s *Server) close(t TB) {
	if t.Failed() {
		t.Logf("end of the log of %s:\n%s", s.set.Name, tail(s.log))
	}
	if err := s.Close(); err != nil {
		t.Logf("natstest: %v", err)
	}
}

func tail(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	const most = 4 << 10
	return string(b[max(0, len(b)-most):])
}
