package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/internal/natstest"
	"supstream/internal/pgtest"
	"supstream/streams"
)

// world is a filled mirror and a supstream that works on it.
type world struct {
	t       testing.TB
	dir     string
	catalog *catalog.Catalog
	mirror  *mirror.Mirror
	pg      *pgtest.Server
	nats    string           // URL
	server  *natstest.Server // nil when embedded
	config  string
	log     *logFile

	mu   sync.Mutex
	proc *exec.Cmd
	done chan error
}

const database = "mirror"

// options change a world before it starts.
type options struct {
	citizens int
	every    string            // of deltas
	external *natstest.Options // a NATS server of its own instead of the embedded one
}

// binary builds the command once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "supstream-e2e-")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "supstream")
	out, err := exec.Command("go", "build", "-o", name, "supstream/cmd/supstream").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build supstream: %w\n%s", err, out)
	}
	return name, nil
})

func TestMain(m *testing.M) {
	natstest.Main()
	code := m.Run()
	if name, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(name))
	}
	os.Exit(code)
}

// newWorld makes and fills a mirror. supstream is not started yet.
func newWorld(ctx context.Context, t testing.TB, o options) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), pg: pgtest.New(t)}
	var err error
	if w.catalog, err = catalog.Default(); err != nil {
		t.Fatal(err)
	}
	if w.mirror, err = mirror.New(w.catalog); err != nil {
		t.Fatal(err)
	}
	if err := w.pg.CreateDatabase(ctx, database); err != nil {
		t.Fatal(err)
	}
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	for _, step := range []func() error{
		func() error { return w.mirror.Schema(ctx, conn) },
		func() error { return w.mirror.Exclude(ctx, conn) },
		func() error {
			_, err := w.mirror.Fill(ctx, conn, mirror.FillOptions{Seed: 1, Citizens: o.citizens})
			return err
		},
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	broker := w.broker(o.external)
	w.write("agreements.yaml", register(vendors()))
	w.config = w.write("supstream.yaml", fmt.Sprintf(`
data_dir: data
agreements: agreements.yaml
postgres: {url: %q}
nats: %s
capture: {marker_interval: 500ms}
projections: {every: %s}
http: {listen: ""}
log: {level: debug}
`, w.pg.URL(database), broker, o.every))
	w.log = &logFile{}
	t.Cleanup(func() {
		w.kill()
		if t.Failed() {
			t.Logf("end of supstream's log:\n%s", w.log.tail())
		}
	})
	return w
}

// broker decides where the streams are, and gives the configuration for it.
func (w *world) broker(external *natstest.Options) string {
	if external == nil {
		port := freePort(w.t)
		w.nats = fmt.Sprintf("nats://127.0.0.1:%d", port)
		return fmt.Sprintf(`{embedded: {listen: "127.0.0.1:%d"}}`, port)
	}
	w.server = natstest.Start(w.t, *external)
	w.nats = w.server.URL()
	return fmt.Sprintf(`{url: %q, monitor: [%q]}`, w.server.URL(), w.server.MonitorURL())
}

func (w *world) write(name, text string) string {
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (w *world) connect(ctx context.Context) *pgx.Conn {
	w.t.Helper()
	conn, err := w.pg.Connect(ctx, database)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// start starts `supstream run`.
func (w *world) start() {
	w.t.Helper()
	name, err := binary()
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.proc = exec.Command(name, "run", "-c", w.config)
	w.proc.Stderr = w.log
	w.proc.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := w.proc.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.done = make(chan error, 1)
	go func(p *exec.Cmd, done chan error) { done <- p.Wait() }(w.proc, w.done)
}

// kill ends supstream with SIGKILL and waits for its end.
func (w *world) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.proc != nil {
		w.proc.Process.Kill()
		<-w.done
		w.proc = nil
	}
}

// stop ends supstream with SIGTERM; anything but exit code 0 fails the test.
func (w *world) stop() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.proc == nil {
		return
	}
	w.proc.Process.Signal(syscall.SIGTERM)
	if err := <-w.done; err != nil {
		w.t.Errorf("supstream run: %v", err)
	}
	w.proc = nil
}

// alive fails the test when supstream has ended by itself.
func (w *world) alive() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.proc == nil {
		return
	}
	select {
	case err := <-w.done:
		w.proc = nil
		w.t.Fatalf("supstream run ended: %v", err)
	default:
	}
}

// jetstream connects to the streams.
func (w *world) jetstream(ctx context.Context) jetstream.JetStream {
	w.t.Helper()
	var nc *nats.Conn
	w.eventually(ctx, "connect to NATS", func() (err error) {
		nc, err = nats.Connect(w.nats)
		return err
	})
	w.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		w.t.Fatal(err)
	}
	return js
}

// eventually tries until it works, supstream ends, or ctx does.
func (w *world) eventually(ctx context.Context, what string, try func() error) {
	w.t.Helper()
	until(ctx, w.t, what, try, w.alive)
}

// until tries again and again, until it works or ctx ends; between two tries
// alive may fail the test.
func until(ctx context.Context, t testing.TB, what string, try func() error, alive func()) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		alive()
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// settle waits until every stream has everything that is in the mirror now.
func (w *world) settle(ctx context.Context, js jetstream.JetStream) capture.Position {
	w.t.Helper()
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	var lsn uint64
	if err := conn.QueryRow(ctx, "SELECT (pg_current_wal_lsn() - '0/0')::bigint").Scan(&lsn); err != nil {
		w.t.Fatal(err)
	}
	end := capture.Position{LSN: lsn}
	r := streams.NewReader(js)
	for _, area := range w.open() {
		w.eventually(ctx, "wait for "+area.Slug, func() error {
			m, err := r.Newest(ctx, area.Slug)
			if err == nil && m.Loading {
				err = errors.New("still loading")
			}
			if err == nil && m.Position.Compare(end) < 0 {
				err = fmt.Errorf("at %s, want %s", m.Position, end)
			}
			return err
		})
	}
	return end
}

func (w *world) open() []*catalog.Dataomraade {
	var areas []*catalog.Dataomraade
	for _, a := range w.catalog.Dataomraader() {
		if a.Open() {
			areas = append(areas, a)
		}
	}
	return areas
}

// logFile collects what processes write.
type logFile struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logFile) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logFile) tail() string {
	lines := strings.Split(l.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}

func (l *logFile) count(text string) int { return strings.Count(l.String(), text) }
