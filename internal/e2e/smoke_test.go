package e2e

import (
	"context"
	"fmt"
	"log/slog"
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

func TestSmoke(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pg := pgtest.New(t)
	if err := pg.CreateDatabase(ctx, "mirror"); err != nil {
		t.Fatal(err)
	}
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pg.Connect(ctx, "mirror")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, catalog.DDL(cat)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, `INSERT INTO kodeliste_vaerdi SELECT 'liste', 'k'||g, 'tekst', '2020-01-01', null, now() FROM generate_series(1,12000) g`); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	emb, err := streams.StartEmbedded(streams.EmbeddedConfig{StoreDir: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer emb.Stop()
	nc, err := nats.Connect("", emb.Option(), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, _ := jetstream.New(nc)
	if err := (streams.Topology{Catalog: cat, Mirror: "test"}).Apply(ctx, js); err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	sm, cm := streams.NewMetrics(reg), capture.NewMetrics(reg)
	pcfg, err := pgx.ParseConfig(pg.URL("mirror"))
	if err != nil {
		t.Fatal(err)
	}
	c := capture.New(capture.Config{Postgres: pcfg, Catalog: cat, Slot: "supstream", Publication: "supstream", MarkEvery: time.Second,
		Open: func(ctx context.Context) (capture.Publisher, error) {
			return streams.OpenPublisher(ctx, nc, streams.PublisherConfig{Catalog: cat, Mirror: "test", Key: []byte("k"), BatchEvents: 5000, Log: log, Metrics: sm})
		},
		Progress: func(p capture.LoadProgress) { fmt.Println(p) },
		Log: log, Metrics: cm})
	runCtx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- c.Run(runCtx) }()
	r := streams.NewReader(js)
	for {
		m, err := r.Newest(ctx, "kodelister")
		if err == nil && !m.Loading {
			t.Log(m)
			break
		}
		if ctx.Err() != nil { t.Fatal("timeout") }
		select { case err := <-done: t.Fatal(err); default: }
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := conn.Exec(ctx, `UPDATE kodeliste_vaerdi SET tekst='ny ''"\ æøå' WHERE kode='k7'; DELETE FROM kodeliste_vaerdi WHERE kode='k8'`); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := r.Newest(ctx, "kodelister")
		if err != nil { t.Fatal(err) }
		n := 0
		if err := r.Read(ctx, "kodelister", 0, m.Seq, func(e *streams.Event) error {
			n++
			if e.Op != streams.OpRead { fmt.Println(e.ID, e.Op, string(e.Key), string(e.Row)) }
			return nil
		}); err != nil { t.Fatal(err) }
		fmt.Println(n, m)
		if n == 12002 { break }
		if ctx.Err() != nil { t.Fatal("timeout") }
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil { t.Fatal(err) }
}
