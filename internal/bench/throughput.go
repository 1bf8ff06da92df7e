package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// figures are what one run gave.
type figures struct {
	Seconds   float64 `json:"seconds"`
	Walsender float64 `json:"walsender_cpu_seconds"`
	Supstream float64 `json:"supstream_cpu_seconds,omitempty"` // with the embedded server, if that was used
	Server    float64 `json:"server_cpu_seconds,omitempty"`
	Memory    int64   `json:"supstream_peak_bytes,omitempty"`
	Stored    int64   `json:"stored_bytes,omitempty"` // what the streams take on disk
	Machine   float64 `json:"machine_cpu_seconds"`    // of all processes, also those that are not measured
}

// throughput drains a backlog in turns: Postgres to nowhere, supstream.
func (b *bench) throughput(ctx context.Context, name string) error {
	rows := b.s.rows
	if name == "w2" {
		rows /= 2
	}
	w, err := b.load(ctx, name, rows)
	if err != nil {
		return err
	}
	results := map[string][]figures{}
	for range b.s.runs {
		for _, conn := range b.s.conns {
			f, err := b.nowhere(ctx, w, conn)
			if err != nil {
				return fmt.Errorf("pg_recvlogical: %w", err)
			}
			b.add(results, w, "pg_recvlogical", conn, f)
			for _, server := range b.s.servers {
				if f, err = b.supstream(ctx, w, conn, server); err != nil {
					return err
				}
				b.add(results, w, server, conn, f)
			}
		}
	}
	for _, conn := range b.s.conns {
		base := median(results["pg_recvlogical "+conn])
		b.report.row(name, "pg_recvlogical", conn, w.rows, base, 0)
		for _, server := range b.s.servers {
			f := median(results[server+" "+conn])
			b.report.row(name, server, conn, w.rows, f, base.Seconds/f.Seconds)
		}
	}
	return b.unload(ctx, w)
}

func (b *bench) add(results map[string][]figures, w workload, what, conn string, f figures) {
	results[what+" "+conn] = append(results[what+" "+conn], f)
	b.report.run(w.name, what, conn, w.rows, f)
}

// median is the run with the median time.
func median(runs []figures) figures {
	runs = slices.Clone(runs)
	slices.SortFunc(runs, func(a, b figures) int { return int((a.Seconds - b.Seconds) * 1e6) })
	return runs[len(runs)/2]
}

// nowhere lets pg_recvlogical read the backlog and throw it away.
func (b *bench) nowhere(ctx context.Context, w workload, conn string) (f figures, err error) {
	slot, drop, err := b.copySlot(ctx, w)
	if err != nil {
		return f, err
	}
	pg, err := b.pg.Connect(ctx, w.db)
	if err != nil {
		return f, err
	}
	defer pg.Close(context.WithoutCancel(ctx))
	cmd := exec.CommandContext(ctx, b.pg.Program("pg_recvlogical"), "-d", b.url(w, conn), "--slot", slot, "--start", "--no-loop",
		"-f", os.DevNull, "--endpos", w.end, "-o", "proto_version=1", "-o", "publication_names="+publication)
	cmd.Stderr = os.Stderr
	busy, err := busySeconds()
	if err != nil {
		return f, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return f, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); f.Seconds = time.Since(begun).Seconds(); close(ended) }()
	pid, err := walsender(ctx, pg, slot)
	for err == nil {
		if cpu, gone := cpuSeconds(pid); gone == nil {
			f.Walsender = cpu
		}
		select {
		case err = <-ended:
			<-ended // f.Seconds is written
			total, err2 := busySeconds()
			f.Machine = total - busy
			return f, errors.Join(err, err2, drop())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return f, err
}

// supstream lets supstream drain the backlog into a fresh NATS server.
func (b *bench) supstream(ctx context.Context, w workload, conn, server string) (f figures, err error) {
	slot, drop, err := b.copySlot(ctx, w)
	if err != nil {
		return f, err
	}
	p, err := b.start(w, slot, conn, server)
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(p.store)
	pg, err := b.pg.Connect(ctx, w.db)
	if err != nil {
		return f, err
	}
	defer pg.Close(context.WithoutCancel(ctx))
	busy, err := busySeconds()
	if err != nil {
		return f, err
	}
	pid, err := walsender(ctx, pg, slot)
	if err != nil {
		return f, err
	}
	l, err := p.capture.line()
	if err != nil {
		return f, err
	}
	total, err := busySeconds()
	if err != nil {
		return f, err
	}
	f.Machine = total - busy
	f.Seconds, f.Supstream = l.Seconds, l.CPU
	if f.Walsender, err = cpuSeconds(pid); err != nil {
		return f, err
	}
	if f.Memory, err = peakMemory(p.capture.pid()); err != nil {
		return f, err
	}
	if p.server != nil {
		if f.Server, err = cpuSeconds(p.server.pid()); err != nil {
			return f, err
		}
	}
	if err := p.stop(); err != nil {
		return f, err
	}
	f.Stored = size(p.store)
	return f, drop()
}

// processes are supstream and its NATS server.
type processes struct {
	store   string
	capture *child
	server  *child // nil: embedded
	nats    string // URL for subscribers
}

// start starts supstream; when it returns, capture begins.
func (b *bench) start(w workload, slot, conn, server string) (*processes, error) {
	p := &processes{store: filepath.Join(b.dir, "store"+strconv.Itoa(b.runs))}
	cfg := childConfig{
		Store: p.store, Listen: "127.0.0.1:0", Postgres: b.url(w, conn), Slot: slot, End: w.end, Catalog: filepath.Join(b.s.data, "catalog"),
		Batch: b.s.batch, InFlight: b.s.inflight, Bytes: b.s.bytes, S2: b.s.s2, GOGC: b.s.gogc,
	}
	cfg.Profile = b.profile(w, conn, server)
	var err error
	if server == "external" {
		if p.server, err = startChild(childServer, childConfig{Store: p.store, Profile: b.profile(w, conn, "server")}); err != nil {
			return nil, err
		}
		l, err := p.server.line()
		if err != nil {
			return nil, err
		}
		cfg.NATS, p.nats = l.URL, l.URL
	}
	if p.capture, err = startChild(childCapture, cfg); err != nil {
		return nil, err
	}
	l, err := p.capture.line()
	if p.nats == "" {
		p.nats = l.URL
	}
	return p, err
}

// profile names the file of a child's CPU profile; empty: none.
func (b *bench) profile(w workload, conn, what string) string {
	if b.s.profile == "" {
		return ""
	}
	return fmt.Sprintf("%s-%s-%s-%s-%d.prof", b.s.profile, w.name, conn, what, b.runs)
}

func (p *processes) stop() error {
	if err := p.capture.stop(); err != nil {
		return fmt.Errorf("supstream: %w", err)
	}
	if p.server != nil {
		if err := p.server.stop(); err != nil {
			return fmt.Errorf("nats server: %w", err)
		}
	}
	return nil
}

// size is what the files under dir take.
func size(dir string) (n int64) {
	// A file that goes away meanwhile takes nothing.
	_ = filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}
