package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// leastRoom is the free space below which nothing more is begun: a batch is on disk twice while it is stored.
const leastRoom = 16 << 20

// room is an error while a folder that this process writes to is on a full disk.
func (c *Config) room() error {
	type folder struct{ key, path string }
	var list []folder
	if c.NATS.URL == "" {
		list = append(list, folder{"data_dir", c.DataDir})
	}
	if slices.Contains(c.Roles, roleProject) {
		list = append(list, folder{"outbox", c.Outbox}, folder{"projections.dir", c.Projections.Dir})
	}
	for _, f := range list {
		there, _, err := existing(f.path)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", f.key, there, err)
		}
		free, err := freeBytes(there)
		if err != nil {
			return fmt.Errorf("%s: %w", f.key, err)
		}
		if free < leastRoom {
			return fmt.Errorf("%s: the disk of %s is full (%s free): make room", f.key, there, inMiB(free))
		}
	}
	return nil
}

const (
	watchEvery    = time.Second
	watchPatience = 10 * time.Second
)

// watch tells when a disk is full and when it has room again: everything is tried again until then. It ends with an error when the embedded
// server does not take anything any more until it is started anew, which a full disk in the middle of a write makes it do.
func (s *service) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	full := false
	var sick time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := s.config.room(); err != nil && !full {
			full = true
			s.log.Error("no room", "error", err)
		} else if err == nil && full {
			full = false
			s.log.Info("there is room again")
		}
		if s.broker.embedded == nil {
			continue
		}
		err := s.broker.embedded.Healthy()
		switch {
		case err == nil:
			sick = time.Time{}
		case sick.IsZero():
			sick = time.Now()
			s.log.Error("the embedded NATS server is not well", "error", err)
		case time.Since(sick) > watchPatience:
			return fmt.Errorf("the embedded NATS server takes nothing any more: %w: make room on its disk and start supstream again; nothing is lost", err)
		}
	}
}
