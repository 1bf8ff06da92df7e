package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/agreements"
	"supstream/catalog"
	"supstream/projections"
	"supstream/projections/durable"
	"supstream/sinks"
	"supstream/streams"
)

// files measures the way from the stream to files, for one Opgaveloeser with
// all authorities: full loads of inserted rows, then deltas in which every
// row was updated. Reading, folding, compressing, signing and syncing count.
func (b *bench) files(ctx context.Context) error {
	rows := b.s.rows / 2
	w, err := b.load(ctx, "files", 0)
	if err != nil {
		return err
	}
	slot, drop, err := b.freshSlot(ctx, w)
	if err != nil {
		return err
	}
	p, err := b.start(w, slot, "tcp", "external")
	if err != nil {
		return err
	}
	defer os.RemoveAll(p.store)
	nc, err := nats.Connect(p.nats)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	f := &folder{b: b, source: streams.NewReader(js), outbox: filepath.Join(b.dir, "outbox")}
	runner, err := f.runner()
	if err != nil {
		return err
	}
	for _, step := range []struct{ name, call string }{{"full loads", "indsaet"}, {"deltas", "opdater"}} {
		if err := b.pg.Exec(ctx, w.db, "CALL "+step.call+fmt.Sprintf("(2, %d, 1000)", rows+1)); err != nil {
			return err
		}
		if err := f.caughtUp(ctx, w); err != nil {
			return err
		}
		f.count = projections.DataFile{}
		f.made = 0
		begun := time.Now()
		if err := runner.RunOnce(ctx, begun, true); err != nil {
			return err
		}
		seconds := time.Since(begun).Seconds()
		content := float64(f.count.ContentBytes)
		b.report.line("%s: %d rows into %d files in %.1f s: %.0f rows/s, %.1f MiB/s of NDJSON, compressed %.1f times",
			step.name, f.count.Rows, f.made, seconds, float64(f.count.Rows)/seconds, content/seconds/(1<<20), content/float64(f.count.Bytes))
		b.report.json(map[string]any{"workload": "files", "what": step.name, "rows": f.count.Rows, "files": f.made, "seconds": seconds,
			"content_bytes": f.count.ContentBytes, "bytes": f.count.Bytes})
	}
	err = errors.Join(runner.Close(), b.sizes(ctx, f.outbox), p.stop(), drop())
	return errors.Join(err, b.unload(ctx, w))
}

// folder is what a Runner works with here: everything is granted, and what it
// publishes is counted.
type folder struct {
	b      *bench
	source *streams.Reader
	outbox string
	sink   *sinks.Outbox

	mu    sync.Mutex // guards what follows
	made  int
	count projections.DataFile
}

func (f *folder) runner() (*projections.Runner, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	if f.sink, err = sinks.NewOutbox(durable.OS{}, f.outbox, key); err != nil {
		return nil, err
	}
	return projections.NewRunner(projections.DefaultConfig(filepath.Join(f.b.dir, "projections")),
		projections.Parts{Catalog: f.b.cat, Grants: f, Source: f.source, Sink: f, Log: logger()})
}

// Grants implements projections.Grants.
func (f *folder) Grants(time.Time) []agreements.Grant {
	var grants []agreements.Grant
	for _, area := range f.b.cat.Dataomraader() {
		for _, br := range f.b.cat.Brugere(catalog.Kommune) {
			grants = append(grants, agreements.Grant{Opgaveloeser: "bench", Bruger: br, Dataomraade: area.Slug})
		}
	}
	return grants
}

// Last implements projections.Sink.
func (f *folder) Last(ctx context.Context, c projections.Chain) (projections.Manifest, error) {
	return f.sink.Last(ctx, c)
}

// Publish implements projections.Sink.
func (f *folder) Publish(ctx context.Context, d *projections.Delta) (projections.Manifest, error) {
	m, err := f.sink.Publish(ctx, d)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	f.count.Rows += m.Data.Rows
	f.count.Bytes += m.Data.Bytes
	f.count.ContentBytes += m.Data.ContentBytes
	return m, err
}

// caughtUp waits until the stream has everything that is in Postgres now.
func (f *folder) caughtUp(ctx context.Context, w workload) error {
	answer, err := f.b.pg.Query(ctx, w.db, "SELECT pg_current_wal_insert_lsn()")
	if err != nil {
		return err
	}
	end, err := pglogrepl.ParseLSN(answer[0][0])
	if err != nil {
		return err
	}
	if err := f.b.pg.Exec(ctx, w.db, "INSERT INTO aktivitet SELECT r.* FROM raekke(2000000000 + (random() * 1000000)::int) r"); err != nil {
		return err
	}
	area := f.b.cat.Dataomraader()[0].Slug
	for {
		mark, err := f.source.Newest(ctx, area)
		if err != nil || mark.Position.LSN >= uint64(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// sizes compares deltas with the same NDJSON through the zstd command.
func (b *bench) sizes(ctx context.Context, outbox string) error {
	const sample = 20
	var files []string
	err := filepath.WalkDir(outbox, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".D"+sinks.DataSuffix) && len(files) < sample {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	program, err := exec.LookPath("zstd")
	if err != nil {
		b.report.line("delta sizes: the zstd command is not installed, nothing to compare with")
		return nil
	}
	unzip, err := zstd.NewReader(nil)
	if err != nil {
		return err
	}
	defer unzip.Close()
	var ours, content int
	theirs := map[string]int{"-3": 0, "-19": 0}
	for _, name := range files {
		packed, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		text, err := unzip.DecodeAll(packed, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		ours, content = ours+len(packed), content+len(text)
		for level := range theirs {
			cmd := exec.CommandContext(ctx, program, level, "-c", "-q")
			cmd.Stdin = bytes.NewReader(text)
			out, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("zstd %s: %w", level, err)
			}
			theirs[level] += len(out)
		}
	}
	b.report.line("delta sizes, %d files of %d bytes of NDJSON: %d bytes, zstd -3 %d, zstd -19 %d", len(files), content, ours, theirs["-3"], theirs["-19"])
	b.report.json(map[string]any{"workload": "sizes", "files": len(files), "content_bytes": content, "bytes": ours, "zstd_3_bytes": theirs["-3"], "zstd_19_bytes": theirs["-19"]})
	return nil
}
