package natstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
)

// Ports are taken below the range that systems use for outgoing connections, so that a killed server finds its port free
// again.
const (
	firstPort = 14000
	lastPort  = 20000
)

// port is a TCP port that no other server of this package takes while it is held, also while our server is stopped.
type port struct {
	number int
	held   net.Listener // a name, not a port: an abstract socket that vanishes with the process; nil where there are none
}

func takePort() (*port, error) {
	for range 1000 {
		p := &port{number: firstPort + rand.IntN(lastPort-firstPort)}
		if p.hold() == nil && p.free() {
			return p, nil
		}
		p.release()
	}
	return nil, fmt.Errorf("no free port between %d and %d on 127.0.0.1", firstPort, lastPort)
}

func (p *port) hold() (err error) {
	if runtime.GOOS == "linux" {
		p.held, err = net.Listen("unix", fmt.Sprintf("@supstream-natstest-%d", p.number))
	}
	return err
}

func (p *port) free() bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.number))
	return err == nil && l.Close() == nil
}

func (p *port) release() {
	if p.held != nil {
		p.held.Close()
		p.held = nil
	}
}
