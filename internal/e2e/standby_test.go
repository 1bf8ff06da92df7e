package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/internal/natstest"
)

// TestStandby runs two processes on one slot. The second waits, and takes over
// when the first dies; a process that was only paused can no longer write.
func TestStandby(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	w := newWorld(ctx, t, options{citizens: 150, every: "1s", external: &natstest.Options{MaxStore: 4 << 30}})
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	oracle := w.newOracle(ctx, conn)
	w.start()
	js := w.jetstream(ctx)
	w.settle(ctx, js)

	// The second process does not disturb the first.
	second := w.process(w.config)
	w.eventually(ctx, "wait for the second process to stand by", func() error { return second.says("waiting for the replication slot") })
	w.play(ctx, 1, 50, 2*time.Second)
	w.settle(ctx, js)

	// The first is paused in the middle of its work. The second gets the slot
	// when Postgres gives the first up.
	first := w.holder(ctx, conn)
	played := make(chan struct{})
	go func() {
		defer close(played)
		w.play(ctx, 2, 50, 4*time.Second)
	}()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	paused := time.Now()
	w.signal(syscall.SIGSTOP)
	w.eventually(ctx, "wait for the second process to take over", func() error {
		if pid := w.holder(ctx, conn); pid == 0 || pid == first {
			return fmt.Errorf("process %d of postgres has the slot", pid)
		}
		return nil
	})
	t.Logf("the second process had the slot %s after the first was paused", time.Since(paused).Round(time.Second/10))
	<-played
	w.settle(ctx, js)
	w.signal(syscall.SIGCONT)
	w.eventually(ctx, "wait for the first process to stand by", func() error {
		if w.log.count("waiting for the replication slot") == 0 {
			return fmt.Errorf("it has not said so")
		}
		return nil
	})
	w.play(ctx, 3, 50, 2*time.Second)
	w.settle(ctx, js)

	// Now the second dies, and the first takes over.
	died := time.Now()
	second.kill()
	w.play(ctx, 4, 50, time.Second)
	w.settle(ctx, js)
	t.Logf("the first process had everything %s after the second died", time.Since(died).Round(time.Second/10))
	w.check(ctx, t, js, conn, oracle)
}

// holder is the process of Postgres that serves the slot; 0 for none.
func (w *world) holder(ctx context.Context, conn *pgx.Conn) (pid int) {
	w.t.Helper()
	if err := conn.QueryRow(ctx, "SELECT coalesce(active_pid, 0) FROM pg_replication_slots WHERE slot_name = 'supstream'").Scan(&pid); err != nil {
		w.t.Error(err)
	}
	return pid
}

// process is one more supstream.
type process struct {
	cmd *exec.Cmd
	log *logFile
}

func (w *world) process(config string) *process {
	w.t.Helper()
	name, err := binary()
	if err != nil {
		w.t.Fatal(err)
	}
	p := &process{cmd: exec.Command(name, "run", "-c", config), log: &logFile{}}
	p.cmd.Stderr = p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		p.kill()
		if w.t.Failed() {
			w.t.Logf("end of the log of the second process:\n%s", p.log.tail())
		}
	})
	return p
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// says is an error until the process has logged a text.
func (p *process) says(text string) error {
	if p.log.count(text) == 0 {
		return fmt.Errorf("%q is not in the log", text)
	}
	return nil
}

// signal sends a signal to supstream.
func (w *world) signal(s syscall.Signal) {
	w.t.Helper()
	if err := w.proc.Process.Signal(s); err != nil {
		w.t.Fatal(err)
	}
}
