package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"supstream/internal/mirror"
	"supstream/internal/natstest"
	"supstream/internal/pgtest"
)

// TestDriftSurvivesKill kills supstream while an area is held and while what was kept of it, more than 100,000 changes, is
// published. The slot goes on while the area is held, the process stays small, and every change is told once.
func TestDriftSurvivesKill(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	r := &driftRig{ctx: ctx, log: &logFile{}, world: &world{t: t, dir: t.TempDir(), pg: pgtest.NewWith(t, pgtest.Options{Settings: map[string]string{"fsync": "off"}})}}
	r.world.log = r.log
	if err := errors.Join(r.pg.CreateDatabase(ctx, database), r.pg.Exec(ctx, database, driftDDL)); err != nil {
		t.Fatal(err)
	}
	broker := r.broker(&natstest.Options{})
	r.catalogue(1, map[string]string{"sag": sagColumns, "bilag": txtColumns})
	r.write("agreements.yaml", smallAgreements)
	r.config = r.write("supstream.yaml", fmt.Sprintf(`
data_dir: data
catalog: catalogue
agreements: agreements.yaml
roles: [capture]
postgres: {url: %q}
nats: %s
capture: {marker_interval: 200ms}
http: {listen: ""}
`, r.pg.URL(database), broker))
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("end of supstream's log:\n%s", r.log.tail())
		}
	})
	r.start()
	r.js = r.jetstream(ctx)
	conn := r.connect(ctx)
	defer conn.Close(ctx)
	r.eventually(ctx, "wait for the slot", func() error { return r.slotExists(ctx, conn) })
	oracle := r.newOracle(ctx, conn)
	oracle.count(ctx, conn)
	stop := r.traffic()
	defer stop()
	r.settle(ctx, r.js)

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed of the kills: %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	kills := func(n, most int) {
		for range n {
			time.Sleep(time.Duration(rnd.IntN(most)) * time.Millisecond)
			r.kill()
			r.start()
		}
	}
	r.exec("ALTER TABLE sag DROP COLUMN note")
	r.eventually(ctx, "wait until the area is held", func() error {
		if r.log.count("the dataområde is held") == 0 {
			return errors.New("it is not")
		}
		return nil
	})
	held := r.position("sager")
	kills(4, 1500)
	r.exec("INSERT INTO bilag SELECT g, '751', repeat('x', 200) FROM generate_series(1000000, 1100000) g")
	kills(4, 1500)
	r.flows(time.Minute)
	t.Logf("the process had %d MiB at most", r.memory()>>20)
	if r.memory() > 256<<20 {
		t.Error("that is too much")
	}
	if at := r.position("sager"); at != held {
		t.Errorf("the area's stream went from %s to %s while it was held", held, at)
	}
	if r.log.count("the table is read again") > 0 {
		t.Error("a table was read again")
	}

	r.kill()
	r.catalogue(2, map[string]string{"sag": "id bigint; kommune text; tal integer?; farve farve?; art integer", "bilag": txtColumns})
	begun := time.Now()
	r.start()
	kills(6, 1200)
	r.flows(time.Minute)
	stop()
	r.eventually(ctx, "wait until everything was published", func() error {
		if at := r.position("sager"); at.Compare(held) <= 0 {
			return fmt.Errorf("the area's stream is at %s", at)
		}
		return nil
	})
	all := r.same()
	t.Logf("the area had everything %s after the start with the next catalogue; published from the start %d times",
		time.Since(begun).Round(time.Second/10), r.log.count("what was kept of it is published"))
	t.Logf("the process had %d MiB at most", r.memory()>>20)
	everyChangeOnce(t, oracle.count(ctx, conn), all)
	r.stop()
}

// catalogue writes the catalogue that the next start takes.
func (r *driftRig) catalogue(version int, sager map[string]string) {
	r.t.Helper()
	for name, text := range driftFiles(version, sager) {
		if err := os.MkdirAll(filepath.Join(r.dir, "catalogue"), 0o755); err != nil {
			r.t.Fatal(err)
		}
		r.write(filepath.Join("catalogue", name), text)
	}
	r.catalog = driftCatalog(r.t, version, sager)
	m, err := mirror.New(r.catalog)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mirror = m
}

// memory is the most bytes that supstream had resident since its start.
func (r *driftRig) memory() int {
	r.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.proc.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				r.t.Fatal(err)
			}
			return kb << 10
		}
	}
	r.t.Fatal("no VmHWM")
	return 0
}
