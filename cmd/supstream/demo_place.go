package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// The files of a demo's folder, besides postgres/ and data/.
const (
	demoMarker         = ".supstream-demo"
	demoConfig         = "supstream.yaml"
	demoAgreementsFile = "agreements.yaml"
	demoLog            = "supstream.log"
	demoOutbox         = "outbox"
	demoComparison     = "comparison.tsv"

	demoMarkerText = "This folder belongs to `supstream demo`, which empties it when it starts.\n"
)

// demoAgreements is the register of the five vendors.
//
//go:embed demo_agreements.yaml
var demoAgreements string

// demoPlace is the folder of a demo, locked for this process.
type demoPlace struct {
	dir   string // absolute
	shown string // as the user gave it
	lock  *os.File
}

// takePlace makes or empties the folder. One that is neither empty nor a demo's is refused.
func takePlace(dir string) (_ *demoPlace, err error) {
	p := &demoPlace{shown: filepath.Clean(dir)}
	if p.dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if err := p.recognise(); err != nil {
		return nil, err
	}
	if err := p.take(); err != nil {
		return nil, errors.Join(fmt.Errorf("demo: prepare %s: %w", p.shown, err), p.close())
	}
	return p, nil
}

// recognise refuses a folder that a demo may not empty.
func (p *demoPlace) recognise() error {
	refuse := func(why string) error {
		return badInput(fmt.Errorf("demo: %s %s: choose another with --dir", p.shown, why))
	}
	info, err := os.Stat(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return badInput(fmt.Errorf("demo: %w", err))
	}
	if !info.IsDir() {
		return refuse("is not a folder")
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return badInput(fmt.Errorf("demo: %w", err))
	}
	text, err := os.ReadFile(p.path(demoMarker))
	if len(entries) > 0 && (err != nil || string(text) != demoMarkerText) {
		return refuse("holds files that no demo made")
	}
	return nil
}

// take makes the folder, locks it and removes what an earlier demo left. Postgres must be able to enter: started by root it runs as
// another user.
func (p *demoPlace) take() (err error) {
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return err
	}
	if p.lock, err = os.OpenFile(p.path(demoMarker), os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return err
	}
	if err := syscall.Flock(int(p.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.New("another demo is running there: end it, or choose another folder with --dir")
	}
	if _, err := p.lock.WriteAt([]byte(demoMarkerText), 0); err != nil {
		return err
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == demoMarker {
			continue
		}
		if err := os.RemoveAll(p.path(e.Name())); err != nil {
			return fmt.Errorf("remove what the last demo left: %w", err)
		}
	}
	return nil
}

func (p *demoPlace) close() error {
	if p.lock == nil {
		return nil
	}
	return p.lock.Close()
}

// path is a file of the folder, absolute.
func (p *demoPlace) path(name string) string { return filepath.Join(p.dir, name) }

// show is a file of the folder as the user would write it.
func (p *demoPlace) show(name string) string { return filepath.Join(p.shown, name) }

func (p *demoPlace) write(name, text string) error {
	return os.WriteFile(p.path(name), []byte(text), 0o644)
}

// configure writes the configuration of supstream run and returns its HTTP address.
func (p *demoPlace) configure(postgres string) (address string, err error) {
	ports, err := freePorts(2)
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return ports[0], p.write(demoConfig, fmt.Sprintf(`# Made by supstream demo.
mirror: demo
data_dir: data
outbox: %s
agreements: %s
postgres:
  url: %q
nats:
  embedded:
    listen: %q
capture:
  marker_interval: 1s
projections:
  every: 5s
http:
  listen: %q
`, demoOutbox, demoAgreementsFile, postgres, ports[1], ports[0]))
}

// freePorts are addresses on this machine that nobody listens on.
func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at the end, so that none comes twice
		out = append(out, l.Addr().String())
	}
	return out, nil
}
