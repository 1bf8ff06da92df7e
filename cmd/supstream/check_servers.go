package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/streams"
)

// askTimeout bounds the questions to one server.
const askTimeout = 30 * time.Second

func (k *checkup) postgres(ctx context.Context) error {
	cfg, err := k.config.Postgres.parse()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	found, err := capture.Preflight(ctx, cfg, k.catalog, k.config.Postgres.Slot, k.config.Postgres.Publication)
	for _, f := range found {
		level := map[capture.Level]string{capture.OK: levelOK, capture.Info: levelInfo, capture.Problem: levelProblem}[f.Level]
		k.add("postgres", level, f.Subject, f.Text, f.Fix)
	}
	var refused *capture.ConnectError
	switch {
	case errors.As(err, &refused) && refused.Answered:
		k.add("postgres", levelProblem, "connection", refused.Err.Error(), refused.Fix)
	case errors.As(err, &refused):
		k.add("postgres", levelUnknown, "connection", refused.Err.Error(), refused.Fix)
	case err != nil:
		k.add("postgres", levelUnknown, "connection", err.Error(), "")
	}
	return nil
}

// embedded looks at the store of the server inside the process. It is not opened: what a running server has there would be in danger.
func (k *checkup) embedded() {
	store := filepath.Join(k.config.DataDir, "nats")
	inUse, err := streams.StoreInUse(store)
	k.running = inUse
	switch {
	case err != nil:
		k.add("nats", levelProblem, "store", err.Error(), "make it a folder of supstream's user")
	case inUse:
		k.add("nats", levelInfo, "store", store+" is in use by a running supstream; a second one would be refused", "")
	default:
		k.add("nats", levelOK, "store", store+" is not in use", "")
	}
	k.add("nats", levelOK, "durability", "the embedded server syncs before it acknowledges", "")
	if limit := int64(k.config.NATS.Embedded.MaxStore); limit > 0 {
		used, err := sizeOf(store)
		free, err2 := freeBytes(k.config.DataDir)
		if err == nil && err2 == nil && limit > used+free {
			k.add("nats", levelInfo, "nats.embedded.max_store", fmt.Sprintf("%s, but only %s are in use or free", k.config.NATS.Embedded.MaxStore, inMiB(used+free)),
				"lower it, or make room")
		}
	}
	if address := k.config.NATS.Embedded.Listen; address != "" && !inUse {
		l, err := net.Listen("tcp", address)
		if err != nil {
			k.add("nats", levelProblem, "nats.embedded.listen", err.Error(), "stop what has the port, or set nats.embedded.listen to another one")
			return
		}
		l.Close()
		k.add("nats", levelOK, "nats.embedded.listen", address+" is free", "")
	}
}

// cluster asks every server of the cluster, and JetStream for the streams.
func (k *checkup) cluster(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	good := k.servers(ctx)
	opts := append(k.config.NATS.options(), nats.Name("supstream check"), nats.NoReconnect(), nats.Timeout(10*time.Second))
	nc, err := nats.Connect(k.config.NATS.URL, opts...)
	if err != nil {
		fix := "does NATS run, and is nats.url its address?"
		level := levelUnknown
		if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) {
			level, fix = levelProblem, "set nats.credentials or nats.tls to what the servers accept"
		}
		k.add("nats", level, "connection", err.Error(), fix)
		return
	}
	defer nc.Close()
	k.add("nats", levelOK, "connection", nc.ConnectedServerName(), "")
	k.add("nats", levelInfo, "max_payload", fmt.Sprintf("no event, and so no row, may be larger than %d bytes", nc.MaxPayload()), "")
	if good {
		if err := streams.CheckDurable(ctx, nc, k.config.NATS.Monitor); err != nil {
			text, fix := cut(err)
			k.add("nats", levelProblem, "nats.monitor", text, fix)
		}
	}
	js, err := jetstream.New(nc)
	if err == nil {
		err = k.streams(ctx, js)
	}
	if err != nil {
		k.add("nats", levelUnknown, "streams", err.Error(), "may the account use JetStream?")
	}
}

// servers asks each server at its monitoring address, and tells whether all of them will do.
func (k *checkup) servers(ctx context.Context) (good bool) {
	asked := map[string]bool{}
	for _, url := range k.config.NATS.Monitor {
		subject := "server " + url
		s, err := streams.AskServer(ctx, url)
		if err != nil {
			k.add("nats", levelUnknown, subject, err.Error(), "is it running, is http_port set there, and does nats.monitor name it?")
			continue
		}
		if err := s.Usable(); err != nil {
			text, fix := cut(err)
			k.add("nats", levelProblem, subject, text, fix)
			continue
		}
		if want := k.config.batchEvents(); s.BatchEvents < want {
			k.add("nats", levelProblem, subject, fmt.Sprintf("allows %d messages in a batch, capture.batch_events is %d", s.BatchEvents, want),
				fmt.Sprintf("set capture.batch_events to %d, or jetstream.limits.batch.max_msgs on every server to %d", s.BatchEvents, want))
			continue
		}
		k.add("nats", levelOK, subject, fmt.Sprintf("%s, version %s, syncs before it acknowledges, batches of up to %d", s.Name, s.Version, s.BatchEvents), "")
		asked[s.ID] = true
	}
	if n := len(k.config.NATS.Monitor); k.config.NATS.Replicas > n {
		k.add("nats", levelProblem, "nats.replicas", fmt.Sprintf("%d, but nats.monitor lists %d servers", k.config.NATS.Replicas, n),
			"lower it, or list every server of the cluster")
	}
	return len(asked) == len(k.config.NATS.Monitor)
}

// streams compares the streams with what they should be.
func (k *checkup) streams(ctx context.Context, js jetstream.JetStream) error {
	plans, err := (streams.Topology{Catalog: k.catalog, Mirror: k.config.Mirror, Replicas: k.config.NATS.Replicas}).Plan(ctx, js)
	if err != nil {
		return err
	}
	created := 0
	for _, p := range plans {
		switch {
		case p.Create:
			created++
		case p.Foreign:
			k.add("nats", levelProblem, "stream "+p.Stream, "was not made by supstream", "delete it, or use another JetStream account")
		default:
			k.add("nats", levelInfo, "stream "+p.Stream, "is changed at the start: "+strings.Join(p.Changes, "; "), "")
		}
	}
	switch {
	case created > 0:
		k.add("nats", levelInfo, "streams", fmt.Sprintf("%d are made at the start", created), "")
	case len(plans) == 0:
		k.add("nats", levelOK, "streams", "as they should be", "")
	}
	return nil
}

// cut parts an error into what is wrong and, behind the first colon and blank, what helps.
func cut(err error) (text, fix string) {
	text = err.Error()
	if i := strings.Index(text, ": "); i >= 0 {
		return text[:i], text[i+2:]
	}
	return text, ""
}

// sizeOf is the size of all files below a folder.
func sizeOf(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	return bytes, err
}
