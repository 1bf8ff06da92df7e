package ops

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"supstream/capture"
	"supstream/catalog"
	"supstream/internal/pgtest"
	"supstream/streams"
)

// TestRole starts Postgres with the settings of docker-compose.yml and makes the role as the image does. Nothing more may be needed for capture
// to start, and the role may change nothing.
func TestRole(t *testing.T) {
	ctx := t.Context()
	command := loadCompose(t).Services["postgres"].Command
	set := map[string]string{}
	for i := 2; i < len(command); i += 2 {
		name, value, ok := strings.Cut(command[i], "=")
		if command[i-1] != "-c" || !ok {
			t.Fatalf("command of postgres: %v", command)
		}
		set[name] = value
	}
	if set["wal_level"] != "logical" || set["max_slot_wal_keep_size"] == "" {
		t.Errorf("settings of postgres: %v", set)
	}
	pg := pgtest.NewWith(t, pgtest.Options{Settings: set})
	if err := pg.CreateDatabase(ctx, "dfdg"); err != nil {
		t.Fatal(err)
	}
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	if err := pg.Exec(ctx, "dfdg", catalog.DDL(cat)); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("it's secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	psql := exec.Command(pg.Program("psql"), "--no-psqlrc", "--quiet", "--file=postgres/20-supstream.sql", pg.URL("dfdg"))
	psql.Env = append(os.Environ(), "SUPSTREAM_PASSWORD_FILE="+password)
	if out, err := psql.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("psql: %v\n%s", err, out)
	}
	cfg, err := pgx.ParseConfig(pg.URL("dfdg"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.User, cfg.Password = "supstream", "it's secret"
	findings, err := capture.Preflight(ctx, cfg, cat, "supstream", "supstream")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Level == capture.Problem {
			t.Errorf("%s: %s: %s", f.Subject, f.Text, f.Fix)
		}
	}
	readAll(t, cat, cfg)
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, sql := range []string{"DELETE FROM samtale", "CREATE TABLE mine (a int)", "ALTER PUBLICATION supstream ADD TABLE samtale", "CREATE ROLE other"} {
		if _, err := conn.Exec(ctx, sql); err == nil || !strings.Contains(err.Error(), "42501") && !strings.Contains(err.Error(), "42P01") {
			t.Errorf("%s: %v; want it to be refused", sql, err)
		}
	}
}

// readAll captures until every table has been read.
func readAll(t *testing.T, cat *catalog.Catalog, cfg *pgx.ConnConfig) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	log := quiet(t)
	embedded, err := streams.StartEmbedded(streams.EmbeddedConfig{StoreDir: t.TempDir(), MaxStore: 256 << 20, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer embedded.Stop()
	nc, err := nats.Connect("", embedded.Option())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := (streams.Topology{Catalog: cat, Mirror: "test"}).Apply(ctx, js); err != nil {
		t.Fatal(err)
	}
	unread := map[string]bool{}
	for _, area := range cat.Dataomraader() {
		for _, table := range area.Tables {
			if area.Open() {
				unread[table.String()] = true
			}
		}
	}
	reg := prometheus.NewRegistry()
	metrics := streams.NewMetrics(reg)
	done := false
	err = capture.New(capture.Config{
		Postgres: cfg, Catalog: cat, Slot: "supstream", Publication: "supstream", MarkEvery: time.Second, Log: log, Metrics: capture.NewMetrics(reg),
		Open: func(ctx context.Context) (capture.Publisher, error) {
			return streams.OpenPublisher(ctx, nc, streams.PublisherConfig{Catalog: cat, Mirror: "test", Key: []byte("key"), Log: log, Metrics: metrics})
		},
		Progress: func(p capture.LoadProgress) {
			if p.Done {
				delete(unread, p.Table)
			}
			if len(unread) == 0 {
				done = true
				stop()
			}
		},
	}).Run(ctx)
	if err != nil || !done {
		t.Fatalf("capture: %v; %d tables not read", err, len(unread))
	}
}
