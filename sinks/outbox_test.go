package sinks

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"supstream/projections"
	"supstream/projections/durable"
	"supstream/projections/durable/crashfs"
	"supstream/projections/sinktest"
	"supstream/streams"
)

// testKey is the same key in every test.
func testKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

func publicKeys() []ed25519.PublicKey {
	return []ed25519.PublicKey{testKey().Public().(ed25519.PublicKey)}
}

func newOutbox(t testing.TB, fsys durable.FS, dir string) *Outbox {
	t.Helper()
	o, err := NewOutbox(fsys, dir, testKey())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func publish(t testing.TB, o *Outbox, deltas ...*projections.Delta) []projections.Manifest {
	t.Helper()
	var out []projections.Manifest
	for _, d := range deltas {
		m, err := o.Publish(context.Background(), d)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// threeFiles is a chain with a full load and two deltas.
func threeFiles(t testing.TB, c projections.Chain) []*projections.Delta {
	return []*projections.Delta{
		sinktest.Delta(t, c, streams.Mark{}, sinktest.Mark(1), sinktest.Row('I', "a", "1"), sinktest.Row('I', "b", "1")),
		sinktest.Delta(t, c, sinktest.Mark(1), sinktest.Mark(2), sinktest.Row('D', "a", ""), sinktest.Row('U', "b", "2"), sinktest.Row('I', "c", "2")),
		sinktest.Delta(t, c, sinktest.Mark(2), sinktest.Mark(3), sinktest.Row('T', "", ""), sinktest.Row('I', "d", "3")),
	}
}

func TestOutboxIsASink(t *testing.T) {
	dir := t.TempDir()
	o := newOutbox(t, durable.OS{}, dir)
	sinktest.Run(t, o, func(t *testing.T, c projections.Chain) [][]string {
		r := Reader{Keys: publicKeys()}
		folder := chainFolder{dir: o.chainDir(c)}
		var err error
		if folder.files, err = listChain(o.fsys, folder.dir); err != nil {
			t.Fatal(err)
		}
		links, problem := r.readLinks(&folder)
		if problem != nil {
			t.Fatal(problem)
		}
		var out [][]string
		for _, l := range links {
			var rows []string
			if err := r.readData(context.Background(), folder.dir, l.manifest, func(row *projections.Row) error {
				rows = append(rows, sinktest.RowText(row))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			out = append(out, rows)
		}
		return out
	})
}

// The same deltas make the same names and the same bytes, whenever and wherever.
func TestSameBytes(t *testing.T) {
	tree := func() map[string]string {
		fsys := crashfs.New()
		publish(t, newOutbox(t, fsys, "outbox"), threeFiles(t, sinktest.Chain("a"))...)
		return fsys.Files()
	}
	first, second := tree(), tree()
	if len(first) != 7 || !maps.Equal(first, second) {
		t.Errorf("%d files, then %d, and they are not the same", len(first), len(second))
	}
	if got, want := slices.Sorted(maps.Keys(first)), []string{
		"outbox/a/keys/" + KeyID(publicKeys()[0]) + ".pem",
		"outbox/a/kommune-751/samtaler/v1/00000001-0000000000000000-00000000-0000000000001000-00000000.F.json",
		"outbox/a/kommune-751/samtaler/v1/00000001-0000000000000000-00000000-0000000000001000-00000000.F.ndjson.zst",
		"outbox/a/kommune-751/samtaler/v1/00000002-0000000000001000-00000000-0000000000002000-00000000.D.json",
		"outbox/a/kommune-751/samtaler/v1/00000002-0000000000001000-00000000-0000000000002000-00000000.D.ndjson.zst",
		"outbox/a/kommune-751/samtaler/v1/00000003-0000000000002000-00000000-0000000000003000-00000000.D.json",
		"outbox/a/kommune-751/samtaler/v1/00000003-0000000000002000-00000000-0000000000003000-00000000.D.ndjson.zst",
	}; !slices.Equal(got, want) {
		t.Errorf("names\n%s", strings.Join(got, "\n"))
	}
}

// Wherever the power is cut, a reader sees a valid chain with all that was published, and the next attempt gives the same tree.
func TestOutboxSurvivesEveryCrash(t *testing.T) {
	c := sinktest.Chain("a")
	want := crashfs.New()
	publish(t, newOutbox(t, want, "/outbox"), threeFiles(t, c)...)
	for at := 1; ; at++ {
		fsys := crashfs.New()
		fsys.CrashAt(at)
		o := newOutbox(t, fsys, "/outbox")
		published := 0
		var failure error
		for _, d := range threeFiles(t, c) {
			if _, failure = o.Publish(context.Background(), d); failure != nil {
				break
			}
			published++
		}
		if failure == nil {
			if at < 30 {
				t.Fatalf("only %d steps", at)
			}
			return
		}
		if !errors.Is(failure, crashfs.ErrCrashed) {
			t.Fatalf("step %d: %v", at, failure)
		}
		after := fsys.Recover()
		checkTree(t, at, after, published)
		publish(t, newOutbox(t, after, "/outbox"), threeFiles(t, c)[published:]...)
		if got := after.Files(); !maps.Equal(got, want.Files()) {
			t.Fatalf("crash at step %d: after another attempt the tree is\n%s", at, strings.Join(slices.Sorted(maps.Keys(got)), "\n"))
		}
	}
}

// checkTree verifies a tree: at least the files that were published, at most one more.
func checkTree(t *testing.T, step int, fsys durable.FS, published int) {
	t.Helper()
	r := Reader{Keys: publicKeys(), FS: fsys}
	reports, err := r.Verify(context.Background(), "/outbox")
	if err != nil {
		if published > 0 {
			t.Fatalf("crash at step %d: %v", step, err)
		}
		return
	}
	got := reports[0]
	if got.Problem != nil && got.Files > 0 || got.Files < published || got.Files > published+1 {
		t.Fatalf("crash at step %d, %d files published: %+v", step, published, got)
	}
}

func TestFullDiskLeavesNothing(t *testing.T) {
	c := sinktest.Chain("a")
	deltas := threeFiles(t, c)
	for at := 1; ; at++ {
		fsys := crashfs.New()
		o := newOutbox(t, fsys, "/outbox")
		publish(t, o, deltas[0])
		fsys.FailAt(at, syscall.ENOSPC)
		_, err := o.Publish(context.Background(), deltas[1])
		if err == nil {
			return
		}
		if !durable.IsFull(err) {
			t.Fatalf("step %d: %v", at, err)
		}
		for name := range fsys.Files() {
			if strings.HasSuffix(name, durable.TempSuffix) {
				t.Errorf("full at step %d: %s is left", at, name)
			}
		}
		checkTree(t, at, fsys, 1)
		publish(t, o, deltas[1:]...)
		checkTree(t, at, fsys, 3)
	}
}

// The zstd and openssl commands, which are no work of ours, read what we write.
func TestStrangersReadIt(t *testing.T) {
	dir := t.TempDir()
	o := newOutbox(t, durable.OS{}, dir)
	m := publish(t, o, threeFiles(t, sinktest.Chain("a"))...)[1]
	chain := o.chainDir(sinktest.Chain("a"))
	out, err := exec.Command("zstd", "-dc", filepath.Join(chain, m.Data.File)).Output()
	want := `{"op":"D","table":"samtale","key":{"samtale_id":"a"},"time":"2026-01-01T08:00:00.123456Z","xid":7,"changes":1}
{"op":"U","table":"samtale","key":{"samtale_id":"b"},"row":{"samtale_id":"b","aftaletekst":"2"},"time":"2026-01-01T08:00:00.123456Z","xid":7,"changes":1}
{"op":"I","table":"samtale","key":{"samtale_id":"c"},"row":{"samtale_id":"c","aftaletekst":"2"},"time":"2026-01-01T08:00:00.123456Z","xid":7,"changes":1}
`
	if err != nil || string(out) != want {
		t.Errorf("zstd -dc: %v\n%s", err, out)
	}
	script := `sed 's/,"signature":"[^"]*"}$//' "$1" | tr -d '\n' > signed &&
		sed 's/.*,"signature":"\([^"]*\)"}$/\1/' "$1" | base64 -d > signature &&
		openssl pkeyutl -verify -pubin -inkey "$2" -rawin -in signed -sigfile signature`
	cmd := exec.Command("sh", "-ec", script, "sh", filepath.Join(chain, m.Name()+ManifestSuffix), filepath.Join(dir, "a", KeysFolder, KeyID(o.PublicKey())+".pem"))
	cmd.Dir = t.TempDir()
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Verified Successfully") {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

func TestEmptyDataFileIsAFrame(t *testing.T) {
	dir := t.TempDir()
	o := newOutbox(t, durable.OS{}, dir)
	m := publish(t, o, sinktest.Delta(t, sinktest.Chain("a"), streams.Mark{}, sinktest.Mark(1)))[0]
	name := filepath.Join(o.chainDir(sinktest.Chain("a")), m.Data.File)
	if out, err := exec.Command("zstd", "-t", name).CombinedOutput(); err != nil || m.Data.Rows != 0 || m.Data.Bytes == 0 {
		t.Errorf("%+v: %v\n%s", m.Data, err, out)
	}
}

func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "signing.pem")
	key, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadOrCreateKey(path)
	if err != nil || !key.Equal(again) {
		t.Fatalf("read again: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("files beside the key: %v, %v", entries, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
	text, err := EncodePublicKey(key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "public.pem"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	keys, err := ReadPublicKeys(filepath.Join(filepath.Dir(path), "public.pem"))
	if err != nil || len(keys) != 1 || !keys[0].Equal(key.Public()) {
		t.Errorf("public key: %v, %v", keys, err)
	}
}

func BenchmarkEncoder(b *testing.B) {
	rows := make([]projections.Row, 100_000)
	var content int64
	for i := range rows {
		rows[i] = realisticRow(i)
		content += int64(len(AppendRow(nil, &rows[i])))
	}
	e, err := NewEncoder()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(content)
	for b.Loop() {
		e.Reset(io.Discard)
		for i := range rows {
			if err := e.Row(&rows[i]); err != nil {
				b.Fatal(err)
			}
		}
		f, err := e.Close()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(f.ContentBytes)/float64(f.Bytes), "ratio")
	}
	b.ReportMetric(float64(len(rows)*b.N)/b.Elapsed().Seconds(), "rows/s")
}

// realisticRow is a row about like those of area samtaler, with Danish text that varies.
func realisticRow(i int) projections.Row {
	words := strings.Fields(`Borgeren har søgt stillinger inden for lager logistik rengøring pædagogik sygepleje og ønsker vejledning om opkvalificering
		efteruddannelse virksomhedspraktik løntilskud mentor jobplan rådighed ferie sygdom barsel fleksjob revalidering aftale næste møde telefonisk
		fremmøde dokumentation arbejdsgiver kontrakt opsigelse ledighed dagpenge kontanthjælp kørekort truckcertifikat dansk engelsk CV ansøgning`)
	var text strings.Builder
	x := uint64(i)*2862933555777941757 + 3037000493
	for range 12 + x>>60*3 {
		x = x*2862933555777941757 + 3037000493
		fmt.Fprintf(&text, "%s ", words[x>>33%uint64(len(words))])
	}
	id := fmt.Sprintf("%08x-%04x-4%03x-9%03x-%012x", uint32(x>>7), uint16(x>>3), x>>21&0xfff, x>>40&0xfff, x>>13&0xffffffffffff)
	return projections.Row{
		Op: projections.OpUpdate, Table: "samtale", Time: sinktest.Mark(1).Time.Add(time.Duration(i) * 1234567 * time.Microsecond), XID: uint32(i), Changes: 1 + x>>62,
		Key: fmt.Appendf(nil, `{"samtale_id":"%s"}`, id),
		Row: fmt.Appendf(nil, `{"samtale_id":"%s","cpr":"%010d","kommune_kode":"751","akasse_kode":%d,"samtaletype":%d,"kontaktform":%d,`+
			`"afholdt_dato":"2026-01-%02d","aftaletekst":"%s","oprettet_tid":"2026-01-%02dT%02d:%02d:%02d.%06dZ","opdateret_tid":null}`,
			id, x>>30%10000000000, 901+x>>50%22, 1+x>>20%19, 1+x>>10%5, 1+x>>11%28, strings.TrimSpace(text.String()), 1+x>>12%28, x>>13%24, x>>14%60, x>>15%60, x>>16%1000000),
	}
}
