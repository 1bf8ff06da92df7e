package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"supstream/agreements"
	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/internal/pgtest"
	"supstream/projections"
)

// demoOptions are the flags of demo.
type demoOptions struct {
	length   time.Duration // of the traffic; 0: until it is asked to stop
	dir      string
	citizens int
	rate     float64 // transactions per second
	seed     uint64
}

func newDemo(a *app) *cobra.Command {
	o := demoOptions{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show everything on a throw-away Postgres, and prove the files right",
		Long: `Demo makes a Postgres server with synthetic citizens, starts "supstream run" on it and plays traffic, with deltas every five seconds for
five Opgaveloesere that have different agreements. On the way it kills "supstream run" with SIGKILL and starts it again.

At the end, after --for or at the first Ctrl-C, it applies every vendor's files to an empty database and compares with SQL on the mirror,
per Bruger and table. The exit code is 0 only if everything holds, and 3 if something differs. A second Ctrl-C ends it at once.

Everything is kept in one folder. A folder that an earlier demo made is emptied first; any other that is not empty is refused.
Postgres' own programs must be installed (postgresql 15 or later); nothing else is needed.`,
		Example: "  supstream demo --for 20s\n  supstream demo --citizens 50000 --rate 200",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return usage(cmd, "%v", err)
			}
			return a.demo(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&o.length, "for", 0, "how long the traffic goes on (default: until Ctrl-C)")
	flags.StringVar(&o.dir, "dir", "./demo-data", "`folder` for everything that the demo makes")
	flags.IntVar(&o.citizens, "citizens", 5000, "synthetic citizens in the mirror, 100 to 1000000")
	flags.Float64Var(&o.rate, "rate", 50, "transactions per second, up to 10000")
	flags.Uint64Var(&o.seed, "seed", 1, "decides citizens and traffic: the same seed gives the same ones")
	return cmd
}

func (o demoOptions) check() error {
	switch {
	case o.length < 0 || o.length > 0 && o.length < time.Second:
		return errors.New("--for: want at least 1s")
	case o.dir == "":
		return errors.New("--dir: must not be empty")
	case o.citizens < 100 || o.citizens > 1_000_000:
		return errors.New("--citizens: want 100 to 1000000")
	case !(o.rate > 0 && o.rate <= 10_000):
		return errors.New("--rate: want more than 0 and at most 10000 transactions per second")
	}
	return nil
}

// demo is one run of the command.
type demo struct {
	demoOptions
	screen   *screen
	place    *demoPlace
	command  string // this executable
	catalog  *catalog.Catalog
	mirror   *mirror.Mirror
	register *agreements.Register
	chains   []projections.Chain // that the agreements give
	pg       *pgtest.Server
	filled   mirror.Filled
	child    *child
	meter    *meter
	kills    int
}

const mirrorDatabase = "mirror"

func (a *app) demo(ctx context.Context, o demoOptions) (err error) {
	d := &demo{demoOptions: o, screen: newScreen(a.stdout)}
	if d.command, err = os.Executable(); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if d.place, err = takePlace(o.dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return errors.New("demo: stopped before there was any traffic; nothing was compared")
		}
		return fmt.Errorf("demo: %w", err)
	}
	if err := d.play(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	// From here on a Ctrl-C that came during the traffic has done its work; the next one ends the process.
	ctx = context.WithoutCancel(ctx)
	if err := d.settle(ctx); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	proof, err := d.prove(ctx)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if err := proof.print(d); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return findings(proof.verdict())
}

// close ends whatever still runs.
func (d *demo) close() error {
	d.screen.clear()
	if d.child != nil {
		d.child.kill()
	}
	var err error
	if d.pg != nil {
		err = d.pg.Close()
	}
	return errors.Join(err, d.place.close())
}

// prepare makes the mirror and starts supstream on it.
func (d *demo) prepare(ctx context.Context) error {
	d.screen.line("supstream demo: everything is in %s; Ctrl-C ends the traffic and proves the files\n", d.place.shown)
	var err error
	if d.catalog, err = catalog.Default(); err != nil {
		return err
	}
	if d.mirror, err = mirror.New(d.catalog); err != nil {
		return err
	}
	if err := d.startPostgres(ctx); err != nil {
		return err
	}
	if err := d.fill(ctx); err != nil {
		return err
	}
	if err := d.agree(); err != nil {
		return err
	}
	address, err := d.place.configure(d.pg.URL(mirrorDatabase))
	if err != nil {
		return err
	}
	d.meter = newMeter("http://" + address + "/metrics")
	if err := d.start(); err != nil {
		return err
	}
	d.screen.fact("supstream run", "process %d, log in %s", d.child.pid, d.place.show(demoLog))
	return d.awaitLoad(ctx)
}

// startPostgres keeps the data in the demo's folder, or where root's Postgres can reach them.
func (d *demo) startPostgres(ctx context.Context) error {
	begun := time.Now()
	dir, where := d.place.path("postgres"), ""
	var err error
	d.pg, err = pgtest.Start(ctx, pgtest.Options{Dir: dir})
	if errors.Is(err, pgtest.ErrUnreachable) {
		where = ", data in a temporary folder: root's Postgres runs as another user, who cannot enter " + d.place.shown
		d.pg, err = pgtest.Start(ctx, pgtest.Options{})
	}
	if err != nil {
		return err
	}
	version, err := d.pg.Query(ctx, "postgres", "SHOW server_version")
	if err != nil {
		return err
	}
	d.screen.fact("Postgres", "%s on port %d%s (%s)", strings.Fields(version[0][0])[0], d.pg.Port(), where, since(begun))
	return nil
}

func (d *demo) fill(ctx context.Context) error {
	begun := time.Now()
	if err := d.pg.CreateDatabase(ctx, mirrorDatabase); err != nil {
		return err
	}
	conn, err := d.pg.Connect(ctx, mirrorDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := d.mirror.Schema(ctx, conn); err != nil {
		return err
	}
	if err := d.mirror.Exclude(ctx, conn); err != nil {
		return err
	}
	bar := d.screen.progress("  filling the mirror", "tables")
	d.filled, err = d.mirror.Fill(ctx, conn, mirror.FillOptions{Seed: d.seed, Citizens: d.citizens,
		Progress: func(_ string, _ int64, done, tables int) { bar.set(int64(done), int64(tables)) }})
	d.screen.clear()
	if err != nil {
		return err
	}
	d.screen.fact("mirror", "%s citizens who do not exist, %d tables, %s rows (%s)",
		thousands(int64(d.filled.Citizens)), len(d.filled.Tables), thousands(d.filled.Rows), since(begun))
	return nil
}

// agree writes the agreements and tells what they give.
func (d *demo) agree() error {
	if err := d.place.write(demoAgreementsFile, demoAgreements); err != nil {
		return err
	}
	var err error
	if d.register, err = agreements.LoadPath(d.place.path(demoAgreementsFile), d.catalog); err != nil {
		return err
	}
	d.chains = grantedChains(d.register, d.catalog, time.Now())
	d.screen.fact("agreements", "%d vendors (Opgaveløsere), %d grants of a dataområde for a Bruger", len(d.register.Opgaveloesere()), len(d.chains))
	for _, v := range d.register.Opgaveloesere() {
		if len(chainsOf(d.chains, v.ID)) == 0 {
			d.screen.fact("", "%s gets nothing: %s", v.ID, d.whyNot(v.ID))
		}
	}
	return nil
}

// whyNot is what the vendor without grants lacks, as the register says it.
func (d *demo) whyNot(vendor string) string {
	err := d.register.Access(time.Now(), vendor, catalog.Bruger{Axis: catalog.Kommune, Kode: "101"}, "samtaler")
	var missing *agreements.MissingError
	if !errors.As(err, &missing) || len(missing.Missing) == 0 {
		return "it has no grant"
	}
	return missing.Missing[0].String()
}

func (d *demo) start() (err error) {
	d.child, err = startChild(d.command, d.place.path(demoConfig), d.place.path(demoLog))
	return err
}

// loadPatience is how long the first load may stand still before the demo gives up.
const loadPatience = time.Minute

// awaitLoad waits until what is in the mirror is in the streams.
func (d *demo) awaitLoad(ctx context.Context) error {
	begun, moved, rows := time.Now(), time.Now(), 0.0
	expected := int64(0)
	for _, area := range d.catalog.Dataomraader() {
		for _, t := range area.Tables {
			if area.Open() {
				expected += d.filled.Tables[t.String()]
			}
		}
	}
	bar := d.screen.progress("  first load", "rows")
	defer d.screen.clear()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.child.done:
			return d.endedEarly()
		case <-tick.C:
		}
		r, err := d.meter.read(ctx)
		if err == nil && r.loaded != rows {
			rows, moved = r.loaded, time.Now()
			bar.set(int64(rows), expected)
		}
		if err == nil && r.streaming && r.pendingTables == 0 && int64(rows) >= expected {
			d.screen.clear()
			d.screen.fact("first load", "%s rows are events now (%s)", thousands(int64(rows)), since(begun))
			return nil
		}
		if time.Since(moved) > loadPatience {
			return fmt.Errorf("the first load has stood still for %s at %s of %s rows; see %s", loadPatience, thousands(int64(rows)), thousands(expected), d.place.show(demoLog))
		}
	}
}

// endedEarly says how supstream run ended that should have gone on.
func (d *demo) endedEarly() error {
	return fmt.Errorf("supstream run ended by itself (%v); the end of %s:\n%s", d.child.err, d.place.show(demoLog), tail(d.place.path(demoLog), 10))
}

// connect opens a connection to a database of the demo.
func (d *demo) connect(database string) func(context.Context) (*pgx.Conn, error) {
	return func(ctx context.Context) (*pgx.Conn, error) { return d.pg.Connect(ctx, database) }
}

// tail is the last lines of a text file.
func tail(name string, lines int) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// invocation is how the user calls this program: the path from here when it is shorter.
func invocation(command string) string {
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, command); err == nil && len(rel) < len(command) {
			return rel
		}
	}
	return command
}
