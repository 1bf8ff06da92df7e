package pgtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
)

// Ports are taken below the range that systems use for outgoing connections, so that a stopped server finds its port free again.
const (
	firstPort = 20000
	lastPort  = 32000
)

// port is a TCP port that no other server of this package takes while it is held, also while our server is stopped.
// Somebody else may still take it: Postgres then fails to bind and another port is tried.
type port struct {
	number int
	held   net.Listener // a name, not a port: an abstract socket that vanishes with the process; nil where there are none
}

func takePort() (port, error) {
	for range 1000 {
		p := port{number: firstPort + rand.IntN(lastPort-firstPort)}
		if p.hold() != nil || !p.free() {
			p.release()
			continue
		}
		return p, nil
	}
	return port{}, fmt.Errorf("no free port between %d and %d on 127.0.0.1", firstPort, lastPort)
}

func (p *port) hold() error {
	if runtime.GOOS != "linux" {
		return nil
	}
	held, err := net.Listen("unix", fmt.Sprintf("@supstream-pgtest-%d", p.number))
	p.held = held
	return err
}

func (p *port) free() bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.number))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func (p *port) release() {
	if p.held != nil {
		p.held.Close()
		p.held = nil
	}
}
