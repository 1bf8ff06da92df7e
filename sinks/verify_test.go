package sinks

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"supstream/projections"
	"supstream/projections/durable/crashfs"
	"supstream/projections/sinktest"
	"supstream/streams"
)

const chainFolderName = "/outbox/a/kommune-751/samtaler/v1/"

var fileNames = [...]string{
	"00000001-0000000000000000-00000000-0000000000001000-00000000.F",
	"00000002-0000000000001000-00000000-0000000000002000-00000000.D",
	"00000003-0000000000002000-00000000-0000000000003000-00000000.D",
}

// tree is a chain of three files, as a map from path to content.
func tree(t *testing.T) map[string]string {
	t.Helper()
	fsys := crashfs.New()
	publish(t, newOutbox(t, fsys, "/outbox"), threeFiles(t, sinktest.Chain("a"))...)
	return fsys.Files()
}

func reader(files map[string]string) *Reader {
	fsys := crashfs.New()
	for name, content := range files {
		fsys.Put(name, content)
	}
	return &Reader{Keys: publicKeys(), FS: fsys}
}

func TestVerify(t *testing.T) {
	r := reader(tree(t))
	reports, err := r.Verify(context.Background(), "/outbox")
	if err != nil || len(reports) != 1 {
		t.Fatalf("%d reports, %v", len(reports), err)
	}
	got := reports[0]
	if got.Problem != nil || got.Chain != sinktest.Chain("a") || got.Files != 3 || got.Rows != 7 || got.First != 1 || got.Newest != 3 || len(got.Extra) != 0 ||
		got.Position != "0000000000003000-00000000" || !got.Until.Equal(sinktest.Mark(3).Time) {
		t.Errorf("%+v", got)
	}
	if _, err := r.Verify(context.Background(), "/outbox/a/keys"); err == nil {
		t.Error("a folder without chains is verified")
	}
	stranger := Reader{FS: r.FS, Keys: []ed25519.PublicKey{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32)).Public().(ed25519.PublicKey)}}
	if reports, err := stranger.Verify(context.Background(), "/outbox"); err != nil || reports[0].Problem == nil || !strings.Contains(reports[0].Problem.What, "not among") {
		t.Errorf("with another key: %+v, %v", reports, err)
	}
}

// Whatever is done to a tree is found and named, and a store is left as it was before the file.
func TestDamage(t *testing.T) {
	at := func(i int, suffix string) string { return chainFolderName + fileNames[i] + suffix }
	other := func(seed byte, deltas ...*projections.Delta) map[string]string {
		fsys := crashfs.New()
		o, err := NewOutbox(fsys, "/outbox", ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
		if err != nil {
			t.Fatal(err)
		}
		publish(t, o, deltas...)
		return fsys.Files()
	}
	c := sinktest.Chain("a")
	for _, tc := range []struct {
		name    string
		damage  func(files map[string]string)
		file    string // named in the problem
		what    string
		applied int // files that a store takes
	}{
		{"data cut short", func(f map[string]string) { f[at(1, DataSuffix)] = f[at(1, DataSuffix)][:40] }, fileNames[1] + DataSuffix, "bytes", 1},
		{"a bit of the data changed", func(f map[string]string) {
			b := []byte(f[at(1, DataSuffix)])
			b[len(b)/2] ^= 1
			f[at(1, DataSuffix)] = string(b)
		}, fileNames[1] + DataSuffix, "SHA-256", 1},
		{"data missing", func(f map[string]string) { delete(f, at(2, DataSuffix)) }, fileNames[2] + DataSuffix, "not there", 2},
		{"data of another file", func(f map[string]string) { f[at(1, DataSuffix)] = f[at(2, DataSuffix)] }, fileNames[1] + DataSuffix, "", 1},
		{"manifest changed", func(f map[string]string) {
			f[at(1, ManifestSuffix)] = strings.Replace(f[at(1, ManifestSuffix)], `"U":1`, `"U":2`, 1)
		}, fileNames[1] + ManifestSuffix, "", 1},
		{"manifest changed, sums right", func(f map[string]string) {
			f[at(1, ManifestSuffix)] = strings.Replace(f[at(1, ManifestSuffix)], `"I":1,"U":1`, `"I":2,"U":0`, 1)
		}, fileNames[1] + ManifestSuffix, "signature", 1},
		{"manifest cut short", func(f map[string]string) { f[at(1, ManifestSuffix)] = f[at(1, ManifestSuffix)][:200] }, fileNames[1] + ManifestSuffix, "not a manifest", 1},
		{"signed by another", func(f map[string]string) { maps.Copy(f, other(9, threeFiles(t, c)...)) }, fileNames[0] + ManifestSuffix, "not among", 0},
		{"a file missing in the middle", func(f map[string]string) { delete(f, at(1, DataSuffix)); delete(f, at(1, ManifestSuffix)) },
			fileNames[2] + ManifestSuffix, "1 files are missing", 1},
		{"a manifest missing in the middle", func(f map[string]string) { delete(f, at(1, ManifestSuffix)) }, fileNames[2] + ManifestSuffix, "1 files are missing", 1},
		{"the full load missing", func(f map[string]string) { delete(f, at(0, DataSuffix)); delete(f, at(0, ManifestSuffix)) }, fileNames[1] + ManifestSuffix, "builds on", 0},
		{"another history before it", func(f map[string]string) {
			replaced := other(7, sinktest.Delta(t, c, streams.Mark{}, sinktest.Mark(1), sinktest.Row('I', "z", "9")))
			maps.Copy(f, replaced)
		}, fileNames[1] + ManifestSuffix, "not the one that it follows", 1},
		{"of another Bruger", func(f map[string]string) {
			d := threeFiles(t, c)[0]
			d.Chain.Bruger.Kode = "101"
			for name, content := range other(7, d) {
				f[strings.Replace(name, "kommune-101", "kommune-751", 1)] = content
			}
		}, fileNames[0] + ManifestSuffix, "folder kommune-101/samtaler/v1", 0},
		{"renamed", func(f map[string]string) {
			for _, suffix := range []string{DataSuffix, ManifestSuffix} {
				f[chainFolderName+"00000004-0000000000003000-00000000-0000000000004000-00000000.D"+suffix] = f[at(2, suffix)]
			}
		}, "00000004-0000000000003000-00000000-0000000000004000-00000000.D" + ManifestSuffix, "belongs to the name", 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := tree(t)
			tc.damage(files)
			r := reader(files)
			reports, err := r.Verify(context.Background(), "/outbox")
			if err != nil {
				t.Fatal(err)
			}
			p := reports[0].Problem
			if p == nil || p.File != tc.file || !strings.Contains(p.What, tc.what) || p.Ask == "" {
				t.Errorf("verify: %+v", p)
			}
			store := NewMemoryStore()
			applied, err := r.Apply(context.Background(), "/outbox", store)
			if err != nil || applied[0].Problem == nil || applied[0].Files != tc.applied {
				t.Errorf("apply: %+v, %v; want a problem after %d files", applied, err, tc.applied)
			}
			if have, _ := store.Applied(context.Background(), c); have.Sequence != uint64(tc.applied) {
				t.Errorf("the store is at %d", have.Sequence)
			}
		})
	}
}

func TestExtraFilesAreReported(t *testing.T) {
	files := tree(t)
	files[chainFolderName+"notes.txt"] = "x"
	files[chainFolderName+"00000004-0000000000003000-00000000-0000000000004000-00000000.D.ndjson.zst"] = "no manifest yet"
	files[chainFolderName+"00000005.tmp"] = "being written"
	reports, err := reader(files).Verify(context.Background(), "/outbox")
	want := []string{"notes.txt", "00000004-0000000000003000-00000000-0000000000004000-00000000.D.ndjson.zst"}
	if err != nil || reports[0].Problem != nil || !slices.Equal(reports[0].Extra, want) {
		t.Errorf("%+v, %v", reports[0], err)
	}
}

func TestApply(t *testing.T) {
	c := sinktest.Chain("a")
	fsys := crashfs.New()
	o := newOutbox(t, fsys, "/outbox")
	r := Reader{Keys: publicKeys(), FS: fsys}
	store := NewMemoryStore()
	apply := func() ApplyReport {
		t.Helper()
		reports, err := r.Apply(context.Background(), "/outbox", store)
		if err != nil || reports[0].Problem != nil {
			t.Fatalf("%+v, %v", reports, err)
		}
		return reports[0]
	}
	row := func(id, value string) string { return `{"samtale_id":"` + id + `","aftaletekst":"` + value + `"}` }
	at := func(id string) RowKey { return RowKey{"samtale", `{"samtale_id":"` + id + `"}`} }
	deltas := threeFiles(t, c)
	publish(t, o, deltas[:2]...)
	if got := apply(); got.Files != 2 || got.Rows != 5 || got.Newest != 2 {
		t.Errorf("%+v", got)
	}
	if want := map[RowKey]string{at("b"): row("b", "2"), at("c"): row("c", "2")}; !maps.Equal(store.Rows(c), want) {
		t.Errorf("rows %v", store.Rows(c))
	}
	if got := apply(); got.Files != 0 || got.Newest != 2 {
		t.Errorf("again: %+v", got)
	}
	publish(t, o, deltas[2], sinktest.Delta(t, c, sinktest.Mark(3), sinktest.Mark(4), sinktest.Row('D', "never seen", ""), sinktest.Row('U', "new", "4")))
	if got := apply(); got.Files != 2 {
		t.Errorf("%+v", got)
	}
	if want := map[RowKey]string{at("d"): row("d", "3"), at("new"): row("new", "4")}; !maps.Equal(store.Rows(c), want) {
		t.Errorf("rows %v", store.Rows(c))
	}
	// A store that is behind what is left goes on with the next full load; a new store begins with the newest.
	publish(t, o, sinktest.Delta(t, c, streams.Mark{}, sinktest.Mark(5), sinktest.Row('I', "e", "5")))
	publish(t, o, sinktest.Delta(t, c, sinktest.Mark(5), sinktest.Mark(6), sinktest.Row('I', "f", "6")))
	behind := NewMemoryStore()
	behind.chains[c] = &memoryChain{Applied{Sequence: 2, SHA256: store.chains[c].applied.SHA256}, nil}
	for name := range fsys.Files() {
		for _, old := range []string{"/00000001-", "/00000002-", "/00000003-"} {
			if strings.Contains(name, old) {
				if err := fsys.Remove(name); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for what, s := range map[string]*MemoryStore{"behind": behind, "new": NewMemoryStore(), "in step": store} {
		if _, err := r.Apply(context.Background(), "/outbox", s); err != nil {
			t.Fatal(err)
		}
		if want := map[RowKey]string{at("e"): row("e", "5"), at("f"): row("f", "6")}; !maps.Equal(s.Rows(c), want) {
			t.Errorf("%s: rows %v", what, s.Rows(c))
		}
	}
}

func TestStoreFailureIsNotAProblemOfTheFile(t *testing.T) {
	broken := errors.New("the database is away")
	_, err := reader(tree(t)).Apply(context.Background(), "/outbox", failingStore{NewMemoryStore(), broken})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), fileNames[0]) {
		t.Errorf("error %v", err)
	}
}

type failingStore struct {
	*MemoryStore
	err error
}

func (s failingStore) Begin(context.Context, projections.Chain, *projections.Manifest) (Load, error) {
	return nil, s.err
}
