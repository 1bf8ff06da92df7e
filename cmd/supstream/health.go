package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"supstream/streams"
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
	tornPatience  = 3 * time.Second
)

// storeFull is an error when the streams have reached their limit. It may have cut a batch short; the server stores the rest when it is started
// with more room, and takes nothing until then.
func (b *broker) storeFull() error {
	used, limit, err := b.embedded.Store()
	if err != nil || used <= limit {
		return nil // whether the server is well is another question
	}
	return fmt.Errorf("the store of the embedded NATS server is full (%s of %s): make room or raise nats.embedded.max_store, and start supstream again; nothing is lost", inMiB(used), inMiB(limit))
}

// restartError is what only a new start can mend.
type restartError struct{ error }

// Permanent says that this process need not try again.
func (restartError) Permanent() bool { return true }

func (e restartError) Unwrap() error { return e.error }

// torn makes the error of a torn stream permanent once it has lasted: nobody else writes to the embedded server, so it ran out of room, and
// stores the rest of the batch when it is started anew.
func (s *service) torn(err error) error {
	var torn *streams.TornError
	switch {
	case s.broker.embedded == nil || !errors.As(err, &torn):
		s.tornSince = time.Time{}
	case s.tornSince.IsZero():
		s.tornSince = time.Now()
	case time.Since(s.tornSince) > tornPatience:
		return restartError{fmt.Errorf("the store of the embedded NATS server was full (%w): make room or raise nats.embedded.max_store, and start supstream again; nothing is lost", err)}
	}
	return err
}

// watch tells when a disk is full and when it has room again: everything is tried again until then. It ends with an error when the embedded
// server does not take anything any more until it is started anew: at the limit of its store, and when a disk was full in the middle of a write.
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
		if err := s.broker.storeFull(); err != nil {
			return err
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
