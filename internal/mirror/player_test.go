package mirror_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/internal/pgtest"
)

func player(t *testing.T, m *mirror.Mirror, server *pgtest.Server, db string, opts mirror.PlayerOptions) *mirror.Player {
	t.Helper()
	opts.Connect = func(ctx context.Context) (*pgx.Conn, error) { return server.Connect(ctx, db) }
	p, err := m.Player(opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func play(t *testing.T, p *mirror.Player) map[mirror.Pattern]mirror.Count {
	t.Helper()
	if err := p.Play(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p.Counts()
}

func TestPlayEveryPattern(t *testing.T) {
	c, m := dfdg(t)
	server := pgtest.New(t)
	var sums []map[string]mirror.Digest
	for _, db := range []string{"a", "b"} {
		conn := filled(t, m, server, db, mirror.FillOptions{Seed: 3, Citizens: 400})
		before := checksum(t, m, conn)
		counts := play(t, player(t, m, server, db, mirror.PlayerOptions{Seed: 4, BatchSize: 300, Limit: 600}))
		for _, p := range m.Patterns() {
			if n := counts[p]; n.Transactions == 0 || n.Rows == 0 || n.Unknown > 0 || n.Failed > 0 {
				t.Errorf("pattern %s: %+v, want at least one transaction with rows and nothing failed", p, n)
			}
		}
		if len(m.Patterns()) != 32 {
			t.Errorf("%d patterns, want 32", len(m.Patterns()))
		}
		after := checksum(t, m, conn)
		if same := slices.Collect(equalKeys(before, after)); len(same) > 3 {
			t.Errorf("nothing changed in %v", same)
		}
		agreeOnOwners(t, c, conn)
		keepsPromise(t, c, conn)
		sums = append(sums, after)
	}
	if !maps.Equal(sums[0], sums[1]) {
		t.Error("one seed on one content had two outcomes")
	}
	counts := play(t, player(t, m, server, "a", mirror.PlayerOptions{Seed: 4, BatchSize: 300, Limit: 200}))
	for p, n := range counts {
		if n.Failed > 0 {
			t.Errorf("a second play of one seed: pattern %s: %+v", p, n)
		}
	}
}

func equalKeys(a, b map[string]mirror.Digest) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range a {
			if a[k] == b[k] && !yield(k) {
				return
			}
		}
	}
}

// agreeOnOwners checks that the rows of a citizen belong to whoever person_tilhoersforhold says.
func agreeOnOwners(t *testing.T, c *catalog.Catalog, conn *pgx.Conn) {
	t.Helper()
	for _, table := range tables(c) {
		if _, ok := table.Column("cpr"); !ok || table.Name == "person_identitet" {
			continue
		}
		sql := "SELECT count(*)::text FROM " + table.SQL() + " t LEFT JOIN person_tilhoersforhold p USING (cpr) WHERE t.kommune_kode IS DISTINCT FROM p.kommune_kode OR t.akasse_kode IS DISTINCT FROM p.akasse_kode"
		if n := texts(t, conn, sql); n[0] != "0" {
			t.Errorf("%s: %s rows disagree with person_tilhoersforhold", table, n[0])
		}
	}
}

// keepsPromise checks that NeverLeaves stands in all texts that stay here, and in no other.
func keepsPromise(t *testing.T, c *catalog.Catalog, conn *pgx.Conn) {
	t.Helper()
	for _, table := range tables(c) {
		stays := fmt.Sprint(!table.Area.Open())
		if table.Draft != nil {
			stays = fmt.Sprintf("%s = 'kladde'", catalog.QuoteIdentifier(table.Columns[table.Draft.Column].Name))
		}
		for _, col := range table.Columns {
			if !col.FreeText {
				continue
			}
			sql := fmt.Sprintf("SELECT count(*)::text FROM %s WHERE (%s LIKE '%%%s%%') <> (%s)", table.SQL(), catalog.QuoteIdentifier(col.Name), mirror.NeverLeaves, stays)
			if n := texts(t, conn, sql); n[0] != "0" {
				t.Errorf("%s.%s: %s texts break the promise of NeverLeaves", table, col.Name, n[0])
			}
		}
	}
}

func TestPlayAtRate(t *testing.T) {
	_, m := dfdg(t)
	server := pgtest.New(t)
	filled(t, m, server, "mirror", mirror.FillOptions{Seed: 3, Citizens: 20})
	start := time.Now()
	counts := play(t, player(t, m, server, "mirror", mirror.PlayerOptions{Seed: 1, Rate: 50, Limit: 25, Patterns: []mirror.Pattern{mirror.Insert, mirror.Update}}))
	if d := time.Since(start); d < 400*time.Millisecond {
		t.Errorf("25 transactions at 50/s took %v, want about 500 ms", d)
	}
	if n := counts[mirror.Insert].Transactions + counts[mirror.Update].Transactions; n < 20 || len(counts) != 2 {
		t.Errorf("got %+v, want about 25 transactions of the two patterns", counts)
	}
}

func TestPlayErrors(t *testing.T) {
	_, m := dfdg(t)
	connect := func(context.Context) (*pgx.Conn, error) { return nil, fmt.Errorf("nobody there") }
	for want, opts := range map[string]mirror.PlayerOptions{
		"no way to connect":          {},
		`pattern "dance" is unknown`: {Connect: connect, Patterns: []mirror.Pattern{"dance"}},
	} {
		if _, err := m.Player(opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	p, err := m.Player(mirror.PlayerOptions{Connect: connect})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Play(t.Context()); err == nil || err.Error() != "play: connect: nobody there" {
		t.Errorf("got %v", err)
	}
	server := pgtest.New(t)
	if err := m.Schema(t.Context(), connectTo(t, server)); err != nil {
		t.Fatal(err)
	}
	empty := player(t, m, server, "postgres", mirror.PlayerOptions{Patterns: []mirror.Pattern{mirror.Update}})
	if err := empty.Play(t.Context()); err == nil || !strings.Contains(err.Error(), "fill the mirror first") {
		t.Errorf("an empty mirror: got %v", err)
	}
}

func connectTo(t *testing.T, server *pgtest.Server) *pgx.Conn { return connect(t, server, "postgres") }

func TestPlaySurvivesRestarts(t *testing.T) {
	c, m := dfdg(t)
	server := pgtest.New(t)
	filled(t, m, server, "mirror", mirror.FillOptions{Seed: 3, Citizens: 200})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	players := []*mirror.Player{
		player(t, m, server, "mirror", mirror.PlayerOptions{Seed: 1, BatchSize: 500}),
		player(t, m, server, "mirror", mirror.PlayerOptions{Seed: 2, BatchSize: 500}),
	}
	done := make(chan error, len(players))
	for _, p := range players {
		go func() { done <- p.Play(ctx) }()
	}
	for i, end := range []func() error{
		func() error { return server.Stop(pgtest.Immediate) },
		server.Kill,
		func() error { return server.Stop(pgtest.Fast) },
	} {
		for _, p := range players {
			want := played(p) + 40
			eventually(t, fmt.Sprintf("player goes on after %d restarts", i), func() bool { return played(p) >= want }, done)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range players {
		want := played(p) + 40
		eventually(t, "player goes on after the last restart", func() bool { return played(p) >= want }, done)
	}
	stop()
	for range players {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	conn := connect(t, server, "mirror")
	keepsPromise(t, c, conn)
	agreeOnOwners(t, c, conn)
}

func played(p *mirror.Player) (n int64) {
	for _, c := range p.Counts() {
		n += c.Transactions
	}
	return n
}

func eventually(t *testing.T, what string, condition func() bool, failed <-chan error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for !condition() {
		select {
		case <-tick.C:
		case err := <-failed:
			t.Fatalf("%s: the play ended: %v", what, err)
		case <-timeout:
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
