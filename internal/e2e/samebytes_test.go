package e2e

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"supstream/capture"
	"supstream/projections"
	"supstream/projections/durable"
	"supstream/sinks"
)

// sameBytes takes the newest files of chains away, as a lost disk would, and
// lets supstream make them again: the range has the same bytes as before.
func (w *world) sameBytes(ctx context.Context, t *testing.T, end capture.Position) {
	want := map[projections.Chain]projections.Manifest{}
	for _, c := range w.chains() {
		if m, ok := w.forget(t, c); ok {
			want[c] = m
		}
	}
	if len(want) == 0 {
		t.Fatal("no chain ends with a change and quiet files behind it")
	}
	w.start()
	w.delivered(ctx, end)
	w.stop()
	_, key, err := ed25519.GenerateKey(rand.Reader) // only to look
	if err != nil {
		t.Fatal(err)
	}
	box, err := sinks.NewOutbox(durable.OS{}, w.outbox(), key)
	if err != nil {
		t.Fatal(err)
	}
	for c, before := range want {
		manifests := w.manifests(t, c)
		i := slices.IndexFunc(manifests, func(m projections.Manifest) bool { return m.Sequence == before.Sequence })
		if i < 0 {
			t.Errorf("%s: file %d was not made again", c, before.Sequence)
			continue
		}
		if m := manifests[i]; m.Data.SHA256 != before.Data.SHA256 || m.From != before.From || m.Data.Rows != before.Data.Rows {
			t.Errorf("%s: file %d has other content than before", c, before.Sequence)
		}
		if _, err := box.Last(ctx, c); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d files were made again", len(want))
}

// forget removes the newest file of a chain that holds a change, and the empty
// ones behind it. Only deltas can be made again: a full load is the state of
// its moment.
func (w *world) forget(t *testing.T, c projections.Chain) (projections.Manifest, bool) {
	t.Helper()
	manifests := w.manifests(t, c)
	i := len(manifests) - 1
	for i >= 0 && manifests[i].Kind == projections.DeltaLoad && manifests[i].Data.Rows == 0 {
		i--
	}
	if i < 0 || manifests[i].Kind != projections.DeltaLoad {
		return projections.Manifest{}, false
	}
	dir := filepath.Join(w.outbox(), filepath.FromSlash(c.String()))
	for _, m := range slices.Backward(manifests[i:]) {
		for _, name := range []string{m.Name() + sinks.ManifestSuffix, m.Data.File} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return manifests[i], true
}

// manifests reads the manifests of a chain in order.
func (w *world) manifests(t *testing.T, c projections.Chain) []projections.Manifest {
	t.Helper()
	dir := filepath.Join(w.outbox(), filepath.FromSlash(c.String()))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []projections.Manifest
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), sinks.ManifestSuffix) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		var m projections.Manifest
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		list = append(list, m)
	}
	return list
}
