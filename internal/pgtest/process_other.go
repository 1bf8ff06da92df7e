//go:build !linux

package pgtest

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// endWithParent does nothing: only Linux can. Close and the test's cleanup end the server.
func endWithParent(*syscall.SysProcAttr) {}

func childrenOf(parent int) ([]int, error) {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var children []int
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 2 || f[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(f[0])
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
		children = append(children, pid)
	}
	return children, nil
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }
