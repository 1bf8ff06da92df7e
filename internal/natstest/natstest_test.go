package natstest_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"supstream/internal/natstest"
	"supstream/streams"
)

func TestMain(m *testing.M) {
	natstest.Main()
	os.Exit(m.Run())
}

func TestKillAndRestart(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s := natstest.Start(t, natstest.Options{})
	nc := s.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "s", []byte("stays")); err != nil {
		t.Fatal(err)
	}
	url := s.URL()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if s.URL() != url {
		t.Errorf("URL %s after the restart, %s before", s.URL(), url)
	}
	js, err = jetstream.New(s.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(ctx, "S")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetMsg(ctx, 1)
	if err != nil || string(msg.Data) != "stays" {
		t.Errorf("message after SIGKILL: %v, %v", msg, err)
	}
}

func TestSettings(t *testing.T) {
	ctx := context.Background()
	lazy := natstest.Start(t, natstest.Options{Lazy: true, MaxPayload: 4096})
	nc := lazy.Connect(t)
	if nc.MaxPayload() != 4096 {
		t.Errorf("max_payload %d", nc.MaxPayload())
	}
	if err := streams.CheckDurable(ctx, nc, []string{lazy.MonitorURL()}); !errors.Is(err, streams.ErrNotDurable) {
		t.Errorf("lazy server: %v", err)
	}
	always := natstest.Start(t, natstest.Options{})
	if err := streams.CheckDurable(ctx, always.Connect(t), []string{always.MonitorURL()}); err != nil {
		t.Errorf("server that syncs: %v", err)
	}
}

func TestCluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := natstest.StartCluster(t, natstest.Options{})
	nc := c.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.CachedInfo().Cluster.Replicas); n != 2 {
		t.Errorf("%d replicas beside the leader", n)
	}
	if err := streams.CheckDurable(ctx, nc, c.MonitorURLs()); err != nil {
		t.Error(err)
	}
	if err := streams.CheckDurable(ctx, nc, c.MonitorURLs()[:2]); err == nil {
		t.Error("a server that was not asked was accepted")
	}
	if err := c.Servers[1].Restart(); err != nil {
		t.Fatal(err)
	}
	if err := c.Healthy(ctx); err != nil {
		t.Error(err)
	}
}

func TestPause(t *testing.T) {
	s := natstest.Start(t, natstest.Options{})
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 200 * time.Millisecond}
	if _, err := client.Get(s.MonitorURL() + "/varz"); err == nil {
		t.Error("a paused server answered")
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(s.MonitorURL() + "/varz")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}

func TestEmbedded(t *testing.T) {
	_, nc := natstest.Embedded(t, streams.EmbeddedConfig{})
	if !nc.IsConnected() {
		t.Error("not connected")
	}
}

// A server must not outlive a process that was killed.
func TestEndsWithItsProcess(t *testing.T) {
	if file := os.Getenv("NATSTEST_PID_FILE"); file != "" {
		s := natstest.Start(t, natstest.Options{})
		if err := os.WriteFile(file, []byte(strconv.Itoa(s.PID())+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	file := filepath.Join(t.TempDir(), "pid")
	cmd := exec.Command(os.Args[0], "-test.run", "^TestEndsWithItsProcess$")
	cmd.Env = append(os.Environ(), "NATSTEST_PID_FILE="+file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	eventually(t, func() bool {
		b, _ := os.ReadFile(file)
		text, complete := strings.CutSuffix(string(b), "\n")
		pid, _ = strconv.Atoi(text)
		return complete
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	eventually(t, func() bool { return syscall.Kill(pid, 0) != nil || zombie(pid) })
}

func zombie(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(b), ") Z")
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatal("it did not happen within 30 s")
}
