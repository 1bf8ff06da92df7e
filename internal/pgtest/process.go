package pgtest

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a running postmaster.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended; err is set before
	err  error
}

// run starts cmd on an operating-system thread that lives as long as the process: Linux delivers the parent-death
// signal when the thread that started the process ends.
func run(cmd *exec.Cmd) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		endWithParent(cmd.SysProcAttr)
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the postmaster and all its children at once, as a power cut would, and returns when all are gone.
func (p *process) kill() error {
	// A stopped postmaster starts no new children while they are listed.
	if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
		if p.ended() {
			return nil
		}
		return fmt.Errorf("stop process %d: %w", p.pid, err)
	}
	children, err := childrenOf(p.pid)
	for _, pid := range append(children, p.pid) {
		if killErr := syscall.Kill(pid, syscall.SIGKILL); killErr != nil && !errors.Is(killErr, syscall.ESRCH) {
			err = errors.Join(err, fmt.Errorf("kill process %d: %w", pid, killErr))
		}
	}
	<-p.done
	for _, pid := range children { // not ours to wait for, so look
		if goneErr := waitGone(pid); goneErr != nil {
			err = errors.Join(err, goneErr)
		}
	}
	return err
}

func waitGone(pid int) error {
	for range 5000 {
		if !alive(pid) {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return fmt.Errorf("process %d is still there 10 s after it was killed", pid)
}
