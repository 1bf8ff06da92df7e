package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"supstream/agreements"
	"supstream/capture"
	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/projections"
	"supstream/projections/durable"
	"supstream/sinks"
)

// chains lists what the agreements give now.
func (w *world) chains() []projections.Chain {
	w.t.Helper()
	r, err := agreements.LoadPath(filepath.Join(w.dir, "agreements.yaml"), w.catalog)
	if err != nil {
		w.t.Fatal(err)
	}
	var chains []projections.Chain
	for _, g := range r.Grants(time.Now()) {
		area, _ := w.catalog.Dataomraade(g.Dataomraade)
		chains = append(chains, projections.Chain{Opgaveloeser: g.Opgaveloeser, Bruger: g.Bruger, Dataomraade: g.Dataomraade, Version: area.Version})
	}
	if len(chains) == 0 {
		w.t.Fatal("the agreements of the test give nothing")
	}
	return chains
}

func (w *world) outbox() string { return filepath.Join(w.dir, "data", "outbox") }

// delivered waits until every chain has a file that reaches end.
func (w *world) delivered(ctx context.Context, end capture.Position) {
	w.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader) // only to look
	if err != nil {
		w.t.Fatal(err)
	}
	box, err := sinks.NewOutbox(durable.OS{}, w.outbox(), key)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range w.chains() {
		w.eventually(ctx, "wait for the files of "+c.String(), func() error {
			m, err := box.Last(ctx, c)
			if err == nil && m.To.Position < end.String() {
				err = fmt.Errorf("at %s, want %s", m.To.Position, end)
			}
			return err
		})
	}
}

func (w *world) reader(v string) *sinks.Reader {
	w.t.Helper()
	names, err := filepath.Glob(filepath.Join(w.outbox(), v, sinks.KeysFolder, "*.pem"))
	if err != nil || len(names) == 0 {
		w.t.Fatalf("public keys of %s: %v", v, errors.Join(err, os.ErrNotExist))
	}
	keys, err := sinks.ReadPublicKeys(names...)
	if err != nil {
		w.t.Fatal(err)
	}
	return &sinks.Reader{Keys: keys}
}

// applied loads a vendor's files into an empty store, as the vendor would.
func (w *world) applied(ctx context.Context, v string) *sinks.MemoryStore {
	w.t.Helper()
	store := sinks.NewMemoryStore()
	reports, err := w.reader(v).Apply(ctx, filepath.Join(w.outbox(), v), store)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range reports {
		if r.Problem != nil {
			w.t.Errorf("apply %s: %v", r.Chain, r.Problem)
		}
	}
	return store
}

// compareFiles compares the rows of a chain with SQL on the mirror.
func (w *world) compareFiles(ctx context.Context, t *testing.T, conn *pgx.Conn, c projections.Chain, store *sinks.MemoryStore) {
	t.Helper()
	area, _ := w.catalog.Dataomraade(c.Dataomraade)
	got := map[string]map[string]string{}
	for at, row := range store.Rows(c) {
		i := slices.IndexFunc(area.Tables, func(t *catalog.Table) bool { return t.Slug == at.Table })
		if i < 0 {
			t.Fatalf("%s: unknown table %s", c, at.Table)
		}
		key, canonical, err := mirror.Canonical(area.Tables[i], []byte(row))
		if err != nil {
			t.Fatal(err)
		}
		if got[at.Table] == nil {
			got[at.Table] = map[string]string{}
		}
		got[at.Table][key] = canonical
	}
	for _, table := range area.Tables {
		bruger := c.Bruger
		if table.Everybody {
			bruger = catalog.Bruger{Axis: catalog.Alle}
		}
		want, err := w.mirror.Truth(ctx, conn, table, bruger)
		if err != nil {
			t.Fatal(err)
		}
		if d := difference(want, got[table.Slug]); d != "" {
			t.Errorf("%s %s: %s", c, table, d)
		}
	}
}
