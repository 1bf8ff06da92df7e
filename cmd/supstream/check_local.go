package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"supstream/agreements"
	"supstream/catalog"
	"supstream/ops"
	"supstream/sinks"
)

// files reads what was given to us. An error in it ends the check.
func (k *checkup) files() error {
	name, _, err := k.app.configText()
	if err != nil {
		return badInput(err)
	}
	k.add("configuration", levelOK, "file", cmp.Or(name, "none: defaults and environment"), "")

	if k.catalog, err = k.app.catalog(k.config.Catalog); err != nil {
		return err
	}
	open, tables := 0, 0
	for _, area := range k.catalog.Dataomraader() {
		if area.Open() {
			open, tables = open+1, tables+len(area.Tables)
		}
	}
	k.add("catalogue", levelOK, cmp.Or(k.config.Catalog, "as shipped"), fmt.Sprintf("version %s, %d of %d dataomraader are delivered, with %d tables",
		k.catalog.Version(), open, len(k.catalog.Dataomraader()), tables), "")
	if open == 0 {
		k.add("catalogue", levelProblem, "state", "no dataomraade is delivered", "set the state of at least one to test or production")
	}

	if k.register, err = k.app.agreements(k.config.Agreements, k.catalog); err != nil {
		return err
	}
	k.agreements()
	return nil
}

func (k *checkup) agreements() {
	if k.config.Agreements == "" {
		k.add("agreements", levelInfo, "none", "nobody gets anything", "set agreements in the configuration")
		return
	}
	grants := k.register.Grants(k.now)
	next := "no change is known"
	if t := k.register.Next(k.now); !t.IsZero() {
		next = "next change " + t.Format(time.RFC3339)
	}
	k.add("agreements", levelOK, k.config.Agreements, fmt.Sprintf("%d opgaveloesere, %d grants in force, %s", len(k.register.Opgaveloesere()), len(grants), next), "")
	for _, o := range k.register.Opgaveloesere() {
		if slices.ContainsFunc(grants, func(g agreements.Grant) bool { return g.Opgaveloeser == o.ID }) {
			continue
		}
		k.add("agreements", levelInfo, o.ID, "has no grant in force: "+k.nearest(o.ID), "")
	}
}

// nearest says what an Opgaveloeser lacks for the grant that lacks the least.
func (k *checkup) nearest(opgaveloeser string) string {
	var best *agreements.MissingError
	for _, axis := range []catalog.Axis{catalog.Kommune, catalog.Akasse} {
		for _, b := range k.catalog.Brugere(axis) {
			for _, area := range k.catalog.Dataomraader() {
				var missing *agreements.MissingError
				if err := k.register.Access(k.now, opgaveloeser, b, area.Slug); !errors.As(err, &missing) {
					continue
				}
				if best == nil || len(missing.Missing) < len(best.Missing) {
					best = missing
				}
			}
		}
	}
	if best == nil {
		return "there is no bruger"
	}
	return best.Error()
}

// leastFree is how much room a folder needs for a start to make sense.
const leastFree = 256 << 20

// folders looks for the right to write and for room, at the folder or, before the first start, at the one that it will be made in.
func (k *checkup) folders() {
	type folder struct{ key, path string }
	list := []folder{{"data_dir", k.config.DataDir}, {"keys", k.config.Keys}}
	if k.has(roleProject) {
		list = append(list, folder{"outbox", k.config.Outbox}, folder{"projections.dir", k.config.Projections.Dir})
	}
	for _, f := range list {
		there, isNew, err := existing(f.path)
		if err == nil {
			err = unix.Access(there, unix.W_OK|unix.X_OK)
		}
		if err != nil {
			k.add("folders", levelProblem, f.key, fmt.Sprintf("%s: %v", there, err), "make it a folder that supstream's user may write to, or set "+f.key)
			continue
		}
		free, err := freeBytes(there)
		if err != nil {
			k.add("folders", levelUnknown, f.key, err.Error(), "")
			continue
		}
		text := f.path
		if isNew {
			text += ", made at the first start"
		}
		text += fmt.Sprintf(", %s free", inMiB(free))
		if free < leastFree {
			k.add("folders", levelProblem, f.key, text, "make room: at least "+inMiB(leastFree)+", for the streams as much as the tables take in Postgres")
		} else {
			k.add("folders", levelOK, f.key, text, "")
		}
	}
}

// existing is p, or the nearest folder above that is there.
func existing(p string) (there string, isNew bool, err error) {
	p, err = filepath.Abs(p)
	if err != nil {
		return p, false, err
	}
	for {
		info, err := os.Stat(p)
		switch {
		case err == nil && info.IsDir():
			return p, isNew, nil
		case err == nil:
			return p, isNew, errors.New("is a file")
		case !errors.Is(err, fs.ErrNotExist) || filepath.Dir(p) == p:
			return p, isNew, err
		}
		p, isNew = filepath.Dir(p), true
	}
}

func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

func inMiB(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// keys reads the keys that are there. One that is missing although something was made with it must come from the backup.
func (k *checkup) keys() {
	for _, key := range []struct {
		name, role string
		read       func(path string) error
		used       string // a folder that is not empty once the key was used
		lost       string
	}{
		{"pseudonym.key", roleCapture, func(p string) error { _, err := readSecretKey(p); return err },
			filepath.Join(k.config.DataDir, "nats", "jetstream"), "the streams hold events whose subjects were made with it"},
		{"manifest.pem", roleProject, func(p string) error { _, err := sinks.LoadKey(p); return err },
			k.config.Outbox, "the outbox holds files that were signed with it"},
	} {
		if !k.has(key.role) {
			continue
		}
		path := filepath.Join(k.config.Keys, key.name)
		entries, _ := os.ReadDir(key.used) // none where it cannot be read
		switch err := key.read(path); {
		case err == nil:
			k.add("keys", levelOK, key.name, path, "")
		case !errors.Is(err, fs.ErrNotExist):
			k.add("keys", levelProblem, key.name, err.Error(), "mode 0600, owned by supstream's user; restore a damaged one from the backup")
		case len(entries) > 0:
			k.add("keys", levelProblem, key.name, path+" is not there, but "+key.lost, "restore it from the backup; a new one is made otherwise")
		default:
			k.add("keys", levelInfo, key.name, path+" is made at the first start: put it into the backup", "")
		}
	}
}

// http looks whether the port can be had, or a running supstream has it.
func (k *checkup) http(ctx context.Context) {
	address := k.config.HTTP.Listen
	l, err := net.Listen("tcp", address)
	if err == nil {
		l.Close()
		k.add("http", levelOK, "http.listen", address+" is free", "")
		return
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		if st, err := ops.Fetch(ctx, address); err == nil {
			k.add("http", levelInfo, "http.listen", fmt.Sprintf("a running supstream has %s: version %s, mirror %s, ready %t", address, st.Version, st.Mirror, st.Ready), "")
			return
		}
	}
	k.add("http", levelProblem, "http.listen", err.Error(), "stop what has the port, or set http.listen to another one")
}
