package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/internal/pgtest"
	"supstream/streams"
)

// small is a supstream on the small catalogue.
type small struct {
	t    *testing.T
	pg   *pgtest.Server
	dir  string
	nats string // URL
	log  *logFile
	proc *exec.Cmd
	done chan error
}

// newSmall makes an empty mirror and a folder for supstream; extra is further configuration with %d for the port of NATS.
func newSmall(ctx context.Context, t *testing.T, extra string) *small {
	t.Helper()
	s := &small{t: t, pg: pgtest.New(t), log: &logFile{}}
	port := freePort(t)
	s.nats = fmt.Sprintf("nats://127.0.0.1:%d", port)
	s.dir = smallFolder(t, "small", fmt.Sprintf(extra, port))
	if err := s.pg.Exec(ctx, "postgres", smallDDL(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("end of supstream's log:\n%s", s.log.tail())
		}
	})
	return s
}

// serve makes supstream answer on a port.
func (s *small) serve(port int) {
	s.replace(`http: {listen: ""}`, fmt.Sprintf("http: {listen: \"127.0.0.1:%d\"}", port))
}

// replace changes the configuration.
func (s *small) replace(old, text string) {
	s.t.Helper()
	config, err := os.ReadFile(filepath.Join(s.dir, "supstream.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	put(s.t, s.dir, map[string]string{"supstream.yaml": strings.Replace(string(config), old, text, 1)})
}

func (s *small) env() []string {
	return []string{"SUPSTREAM_POSTGRES_URL=" + s.pg.URL("postgres"), "HOME=" + s.dir}
}

func (s *small) start() {
	s.t.Helper()
	name, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	s.proc = exec.Command(name, "run")
	s.proc.Dir, s.proc.Env, s.proc.Stderr = s.dir, s.env(), s.log
	s.proc.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.proc.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan error, 1)
	go func(p *exec.Cmd, done chan error) { done <- p.Wait() }(s.proc, s.done)
}

// end sends a signal and waits for the end.
func (s *small) end(sig os.Signal) error {
	if s.proc == nil {
		return nil
	}
	s.proc.Process.Signal(sig)
	return s.wait()
}

// wait waits until the process has ended.
func (s *small) wait() error {
	err := <-s.done
	s.proc = nil
	return err
}

// until asks again and again, until the answer is nil, supstream has ended, or ctx has.
func (s *small) until(ctx context.Context, what string, ask func() error) {
	s.t.Helper()
	until(ctx, s.t, what, ask, func() {
		select {
		case end := <-s.done:
			s.proc = nil
			s.t.Fatalf("%s: supstream run ended: %v", what, end)
		default:
		}
	})
}

// says waits for a text in the log behind an offset.
func (s *small) says(ctx context.Context, from int, text string) {
	s.t.Helper()
	s.until(ctx, "wait for a line in the log", func() error {
		if strings.Contains(s.log.String()[from:], text) {
			return nil
		}
		return errors.New("it does not say: " + text)
	})
}

// insert adds n sager from the given id on, each with a text of so many bytes that do not compress.
func (s *small) insert(ctx context.Context, from, n, size int) {
	s.t.Helper()
	conn, err := s.pg.Connect(ctx, "postgres")
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(ctx)
	random, noise := rand.New(rand.NewPCG(1, uint64(from))), make([]byte, size)
	_, err = conn.CopyFrom(ctx, pgx.Identifier{"sag"}, []string{"id", "kommune", "tekst"}, pgx.CopyFromSlice(n, func(i int) ([]any, error) {
		for at := range noise {
			noise[at] = ' ' + byte(random.Uint32()%64)
		}
		return []any{from + i, "101", string(noise)}, nil
	}))
	if err != nil {
		s.t.Fatal(err)
	}
}

// holds waits until the stream has caught up, and wants each of the sager 1 to n in it exactly once.
func (s *small) holds(ctx context.Context, n int) {
	s.t.Helper()
	var nc *nats.Conn
	s.until(ctx, "connect to NATS", func() (err error) {
		nc, err = nats.Connect(s.nats)
		return err
	})
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	rows, err := s.pg.Query(ctx, "postgres", "SELECT (pg_current_wal_lsn() - '0/0')::bigint")
	if err != nil {
		s.t.Fatal(err)
	}
	end, err := strconv.ParseUint(rows[0][0], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	r, mark := streams.NewReader(js), streams.Mark{}
	s.until(ctx, "catch up", func() error {
		mark, err = r.Newest(ctx, "sager")
		if err != nil {
			return err
		}
		if mark.Position.LSN < end || mark.Loading {
			return fmt.Errorf("stream is at %s", mark.Position)
		}
		return nil
	})
	count := map[string]int{}
	err = r.Read(ctx, "sager", 0, mark.Seq, func(e *streams.Event) error {
		count[string(e.Key)]++
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range n {
		if got := count[fmt.Sprintf(`{"id":"%d"}`, i+1)]; got != 1 {
			s.t.Fatalf("sag %d is %d times in the stream", i+1, got)
		}
	}
	if len(count) != n {
		s.t.Errorf("%d sager, want %d", len(count), n)
	}
}

// TestFullStore: at nats.embedded.max_store supstream ends and says so. With more room it goes on, and nothing is lost.
func TestFullStore(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := newSmall(ctx, t, "nats: {embedded: {listen: \"127.0.0.1:%d\", max_store: 64MiB}}\n")
	s.start()
	s.insert(ctx, 1, 10, 100)
	s.holds(ctx, 10)
	s.insert(ctx, 11, 300, 256<<10)
	const full, fix = "the store of the embedded NATS server ", ": make room or raise nats.embedded.max_store, and start supstream again; nothing is lost"
	if err := s.wait(); err == nil || !strings.Contains(s.log.tail(), full) || !strings.Contains(s.log.tail(), fix) {
		t.Errorf("run: %v", err)
	}
	s.replace("max_store: 64MiB", "max_store: 512MiB")
	s.start()
	s.holds(ctx, 310)
	if err := s.end(syscall.SIGTERM); err != nil {
		t.Errorf("supstream run: %v", err)
	}
}

// smallDisk is a file system of its own of the given size in MiB, reached through the process that holds it; empty where none can be made.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	for _, attr := range []*syscall.SysProcAttr{
		{Cloneflags: syscall.CLONE_NEWNS},
		{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}},
	} {
		dir := t.TempDir()
		attr.Pdeathsig = syscall.SIGKILL
		cmd := exec.Command("sh", "-c", fmt.Sprintf(`mount -t tmpfs -o size=%dm,mode=0755 tmpfs "$0" && echo mounted && exec cat`, size), dir)
		cmd.SysProcAttr = attr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if cmd.Start() != nil {
			continue
		}
		t.Cleanup(func() {
			in.Close()
			cmd.Wait()
		})
		if line, _ := bufio.NewReader(out).ReadString('\n'); line == "mounted\n" {
			return fmt.Sprintf("/proc/%d/root%s", cmd.Process.Pid, dir)
		}
	}
	return ""
}

// fill writes a file until the disk is full, and returns what makes room again.
func fill(t *testing.T, disk string) (empty func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(f.Name()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullDisk: a supstream that runs says that the disk is full and is not ready; one that is started refuses. With room again either goes on,
// and nothing is lost.
func TestFullDisk(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	disk := smallDisk(t, 64)
	if disk == "" {
		t.Log("no file system can be made here; TestFullStore shows what happens without room")
		return
	}
	s := newSmall(ctx, t, "nats: {embedded: {listen: \"127.0.0.1:%d\", max_store: 1GiB}}\n")
	s.serve(freePort(t))
	if err := os.Symlink(disk, filepath.Join(s.dir, "data")); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.insert(ctx, 1, 10, 100)
	s.holds(ctx, 10)

	empty := fill(t, disk)
	s.insert(ctx, 11, 500, 16<<10)
	full := "data_dir: the disk of " + filepath.Join(s.dir, "data") + " is full (0 MiB free): make room"
	s.says(ctx, 0, full)
	s.says(ctx, 0, "batch refused: ")
	got := supstream(t, s.dir, s.env(), "check")
	if got.code != 3 || !strings.Contains(got.stdout, "problem  data_dir: data, 0 MiB free\n           fix: make room") {
		t.Errorf("check on a full disk: %+v", got)
	}
	s.until(ctx, "status", func() error {
		got := supstream(t, s.dir, s.env(), "status")
		if got.code != 3 || !strings.Contains(got.stderr, "supstream is not ready: ") || !strings.Contains(got.stderr, "disk") {
			return fmt.Errorf("status on a full disk: %+v", got)
		}
		return nil
	})
	if err := s.end(syscall.SIGKILL); err == nil {
		t.Error("run was killed and exited 0")
	}
	before := listing(t, disk)
	got = supstream(t, s.dir, s.env(), "run")
	if got.code != 1 || got.stderr != "supstream: "+full+"\n" {
		t.Errorf("run on a full disk: %+v", got)
	}
	if after := listing(t, disk); after != before {
		t.Error("run on a full disk changed it")
	}

	empty()
	s.start()
	s.holds(ctx, 510)
	s.insert(ctx, 511, 100, 1<<10)
	s.holds(ctx, 610)

	// While it runs, it goes on by itself.
	empty = fill(t, disk)
	from := len(s.log.String())
	s.insert(ctx, 611, 100, 16<<10)
	s.says(ctx, from, "no room")
	s.says(ctx, from, "batch refused: ")
	empty()
	s.says(ctx, from, "there is room again")
	s.holds(ctx, 710)
	if err := s.end(syscall.SIGTERM); err != nil {
		t.Errorf("supstream run: %v", err)
	}
}
