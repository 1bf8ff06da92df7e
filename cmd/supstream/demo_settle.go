package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/agreements"
	"supstream/capture"
	"supstream/catalog"
	"supstream/projections"
)

// settlePatience is how long the last files may stand still before the demo gives up.
const settlePatience = time.Minute

// grantedChains are the chains that the agreements give at a time, in order.
func grantedChains(r *agreements.Register, c *catalog.Catalog, at time.Time) []projections.Chain {
	var out []projections.Chain
	for _, g := range r.Grants(at) {
		if area, ok := c.Dataomraade(g.Dataomraade); ok && area.Open() && area.HasAudience(g.Bruger.Axis) {
			out = append(out, projections.Chain{Opgaveloeser: g.Opgaveloeser, Bruger: g.Bruger, Dataomraade: g.Dataomraade, Version: area.Version})
		}
	}
	slices.SortFunc(out, projections.Chain.Compare)
	return out
}

// chainsOf are the chains of one vendor.
func chainsOf(all []projections.Chain, vendor string) []projections.Chain {
	var out []projections.Chain
	for _, c := range all {
		if c.Opgaveloeser == vendor {
			out = append(out, c)
		}
	}
	return out
}

// settle waits until every chain has a file with the mirror's last commit in it, and then ends supstream run.
func (d *demo) settle(ctx context.Context) error {
	conn, err := d.pg.Connect(ctx, mirrorDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	end, err := lastCommit(ctx, conn)
	if err != nil {
		return err
	}
	begun, moved, ready := time.Now(), time.Now(), -1
	bar := d.screen.progress("  waiting for the last files", "chains")
	defer d.screen.clear()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		behind := d.behind(end)
		if n := len(d.chains) - len(behind); n != ready {
			ready, moved = n, time.Now()
			bar.set(int64(ready), int64(len(d.chains)))
		}
		if len(behind) == 0 {
			break
		}
		if time.Since(moved) > settlePatience {
			return fmt.Errorf("%d of %d chains have no file up to the last commit (%s), and there was none for %s: %s; see %s",
				len(behind), len(d.chains), end, settlePatience, strings.Join(behind[:min(3, len(behind))], ", "), d.place.show(demoLog))
		}
		select {
		case <-d.child.done:
			return d.endedEarly()
		case <-tick.C:
		}
	}
	d.screen.fact("last files", "all %d chains have the last commit, %s (%s)", len(d.chains), end, since(begun))
	if err := d.child.stop(); err != nil {
		return fmt.Errorf("supstream run was asked to stop: %w; the end of %s:\n%s", err, d.place.show(demoLog), tail(d.place.path(demoLog), 10))
	}
	d.screen.fact("supstream run", "ended with exit code 0")
	return nil
}

// lastCommit is a position that everything committed so far lies before. One more commit follows it, because the end of the log can lie behind
// the header of a page that nothing has been written to.
func lastCommit(ctx context.Context, conn *pgx.Conn) (capture.Position, error) {
	var lsn uint64
	if err := conn.QueryRow(ctx, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&lsn); err != nil {
		return capture.Position{}, fmt.Errorf("end of the mirror's log: %w", err)
	}
	if _, err := conn.Exec(ctx, "SELECT pg_logical_emit_message(true, 'supstream demo', '')"); err != nil {
		return capture.Position{}, fmt.Errorf("write to the mirror's log: %w", err)
	}
	return capture.Position{LSN: lsn}, nil
}

// behind lists the chains whose newest file ends before a position.
func (d *demo) behind(end capture.Position) []string {
	var out []string
	for _, c := range d.chains {
		if have, ok := newestEnd(filepath.Join(d.place.path(demoOutbox), filepath.FromSlash(c.String()))); !ok || have.Compare(end) < 0 {
			out = append(out, c.String())
		}
	}
	return out
}

// newestEnd is where the newest file of a chain's folder ends, from the name of its manifest: <sequence>-<from>-<to>.<kind>.json.
func newestEnd(dir string) (capture.Position, bool) {
	entries, err := os.ReadDir(dir) // by name, which is the order of the chain
	if err != nil {
		return capture.Position{}, false
	}
	for _, e := range slices.Backward(entries) {
		base, isManifest := strings.CutSuffix(e.Name(), ".json")
		parts := strings.Split(strings.Split(base, ".")[0], "-")
		if !isManifest || len(parts) != 5 {
			continue
		}
		if p, err := capture.ParsePosition(parts[3] + "-" + parts[4]); err == nil {
			return p, true
		}
	}
	return capture.Position{}, false
}
