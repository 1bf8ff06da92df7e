package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// child is a running "supstream run".
type child struct {
	pid  int
	done chan struct{} // closed when it has ended; err is set before
	err  error
}

// startChild runs this program with a configuration. What it says is added to the log. It ends with this process, whatever ends that.
func startChild(command, config, log string) (*child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("log of supstream run: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(command, "run", "--config", config)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = plainEnvironment(os.Environ())
	// A process group of its own: a Ctrl-C in the terminal is for the demo, which then ends the child in good order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	killWithParent(cmd.SysProcAttr)
	c := &child{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux takes the end of the thread that started a process for the end of its parent.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			c.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start supstream run: %w", err)
	}
	return c, nil
}

// plainEnvironment leaves out what would change the configuration or the connections of the child.
func plainEnvironment(all []string) []string {
	var out []string
	for _, v := range all {
		if !strings.HasPrefix(v, "SUPSTREAM_") && !strings.HasPrefix(v, "PG") {
			out = append(out, v)
		}
	}
	return out
}

// kill ends it with SIGKILL and returns when it is gone.
func (c *child) kill() {
	select {
	case <-c.done:
	default:
		_ = syscall.Kill(c.pid, syscall.SIGKILL) // fails only when it is gone
		<-c.done
	}
}

// childPatience is how long a stop in good order may take.
const childPatience = 30 * time.Second

// stop asks it to end; anything but exit code 0 is an error.
func (c *child) stop() error {
	_ = syscall.Kill(c.pid, syscall.SIGTERM) // fails only when it is gone
	timeout := time.NewTimer(childPatience)
	defer timeout.Stop()
	select {
	case <-c.done:
	case <-timeout.C:
		c.kill()
		return fmt.Errorf("it did not end within %s of SIGTERM", childPatience)
	}
	var exit *exec.ExitError
	if errors.As(c.err, &exit) {
		return fmt.Errorf("it ended with %s", exit)
	}
	return c.err
}
