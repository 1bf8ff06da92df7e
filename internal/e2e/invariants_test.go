package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/catalog"
	"supstream/internal/mirror"
	"supstream/streams"
)

// TestInvariants runs supstream on a mirror that changes while it is being
// read for the first time, and then checks what must always hold.
func TestInvariants(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	w := newWorld(ctx, t, options{citizens: 500, every: "1s"})
	conn := w.connect(ctx)
	defer conn.Close(ctx)
	oracle := w.newOracle(ctx, conn)
	w.start()
	js := w.jetstream(ctx)
	w.eventually(ctx, "wait for the slot", func() error { return w.slotExists(ctx, conn) })
	before := oracle.count(ctx, conn) // what happened before the slot is none of its business
	if len(before) != 0 {
		t.Fatal("the mirror changed before it was played on")
	}
	w.play(ctx, 7, 100, 15*time.Second)
	w.check(ctx, t, js, conn, oracle)
}

func (w *world) slotExists(ctx context.Context, conn *pgx.Conn) error {
	s, err := capture.ReadSlot(ctx, conn, "supstream")
	if err == nil && !s.Active {
		err = fmt.Errorf("slot is not active")
	}
	return err
}

// play makes traffic for a while.
func (w *world) play(ctx context.Context, seed uint64, rate float64, d time.Duration) {
	w.t.Helper()
	ctx, stop := context.WithTimeout(ctx, d)
	defer stop()
	p := w.player(seed, rate)
	if err := p.Play(ctx); err != nil && ctx.Err() == nil {
		w.t.Fatal(err)
	}
	for pattern, c := range p.Counts() {
		w.t.Logf("played %s: %+v", pattern, c)
	}
}

// check checks the invariants of the product after all traffic has ended, and
// stops supstream on the way.
func (w *world) check(ctx context.Context, t *testing.T, js jetstream.JetStream, conn *pgx.Conn, o *oracle) {
	t.Helper()
	end := w.settle(ctx, js)
	w.delivered(ctx, end)
	folds := map[string]*folded{}
	var all []*streams.Event
	for _, area := range w.open() {
		f, events := w.fold(ctx, js, area)
		folds[area.Slug] = f
		all = append(all, events...)
	}
	want := o.count(ctx, conn)
	t.Run("EveryChangeOnce", func(t *testing.T) { everyChangeOnce(t, want, all) })
	t.Run("OnlyToOwner", func(t *testing.T) { w.onlyToOwner(t, all) })
	t.Run("FoldEqualsTable", func(t *testing.T) {
		for _, area := range w.open() {
			w.compare(ctx, t, conn, area, folds[area.Slug])
		}
		for _, v := range vendors() {
			if v.broken {
				continue
			}
			store := w.applied(ctx, v.id)
			for _, c := range w.chains() {
				if c.Opgaveloeser == v.id {
					w.compareFiles(ctx, t, conn, c, store)
				}
			}
		}
	})
	t.Run("ExcludedNeverSeen", func(t *testing.T) { w.excludedNeverSeen(ctx, t, js, all) })
	t.Run("NoAgreementNoFile", func(t *testing.T) { w.noAgreementNoFile(t) })
	w.stop()
	t.Run("Contiguous", func(t *testing.T) { w.contiguous(ctx, t) })
	t.Run("SameBytes", func(t *testing.T) { w.sameBytes(ctx, t, end) })
	t.Run("NoPersonalDataOutsidePayloads", func(t *testing.T) { w.noPersonalData(ctx, t, conn, all) })
}

// everyChangeOnce compares the changes told to anybody with those that the
// oracle counted in each transaction. That ids grow, and so come once, was
// checked while reading.
func everyChangeOnce(t *testing.T, want changeCount, all []*streams.Event) {
	got := changeCount{}
	last := map[string]string{}
	for _, e := range all {
		if e.Op == streams.OpRead {
			continue
		}
		if change := e.Position.String(); last[e.Dataomraade] != change {
			last[e.Dataomraade] = change
			got[fmt.Sprintf("%d %s.%s", e.XID, "public", e.Table)]++
		}
	}
	if len(want) < 100 {
		t.Fatalf("the oracle has seen only %d transactions and tables: the test shows nothing", len(want))
	}
	wrong := 0
	for at, n := range want {
		if got[at] != n {
			if wrong++; wrong <= 10 {
				t.Errorf("transaction and table %s: %d changes in the stream, want %d", at, got[at], n)
			}
		}
	}
	for at, n := range got {
		if want[at] == 0 {
			if wrong++; wrong <= 20 {
				t.Errorf("transaction and table %s: %d changes in the stream, none in the mirror", at, n)
			}
		}
	}
	t.Logf("%d transactions and tables compared", len(want))
}

// onlyToOwner checks each row against the subject it was published on.
func (w *world) onlyToOwner(t *testing.T, all []*streams.Event) {
	rows := 0
	for _, e := range all {
		area, _ := w.catalog.Dataomraade(e.Dataomraade)
		i := slices.IndexFunc(area.Tables, func(t *catalog.Table) bool { return t.Slug == e.Table })
		table := area.Tables[i]
		if e.Row == nil || table.Everybody {
			continue
		}
		owner := slices.IndexFunc(table.Owners, func(o catalog.Owner) bool { return o.Axis == e.Bruger.Axis })
		if owner < 0 {
			t.Fatalf("%s: published to %s, whose axis it does not have", e.ID, e.Bruger)
		}
		var row map[string]any
		if err := json.Unmarshal(e.Row, &row); err != nil {
			t.Fatal(err)
		}
		code, _ := row[table.Columns[table.Owners[owner].Column].Name].(string)
		if strings.TrimSpace(code) != e.Bruger.Kode {
			t.Errorf("event %s of %s was published to somebody who does not own the row", e.ID, table)
		}
		rows++
	}
	if rows == 0 {
		t.Fatal("no row was seen")
	}
}

// excludedNeverSeen searches everything that left for the text that stands in
// all drafts, closed areas, unlisted columns and third-party tables.
func (w *world) excludedNeverSeen(ctx context.Context, t *testing.T, js jetstream.JetStream, all []*streams.Event) {
	for _, e := range all {
		if bytes.Contains(e.Row, []byte(mirror.NeverLeaves)) || bytes.Contains(e.Key, []byte(mirror.NeverLeaves)) {
			t.Errorf("event %s holds what must not leave", e.ID)
		}
	}
	names := js.StreamNames(ctx)
	for name := range names.Name() {
		slug := strings.ToLower(strings.TrimPrefix(name, "DFDG_"))
		if area, ok := w.catalog.Dataomraade(slug); name != streams.HeldStream && name != streams.DriftStream && (!ok || !area.Open()) {
			t.Errorf("there is a stream %s", name)
		}
	}
	if names.Err() != nil {
		t.Fatal(names.Err())
	}
	files := 0
	for name, content := range w.delivery(t) {
		files++
		if bytes.Contains(content, []byte(mirror.NeverLeaves)) {
			t.Errorf("file %s holds what must not leave", name)
		}
	}
	if files == 0 {
		t.Fatal("no file was searched")
	}
}

// delivery yields all files in the outbox, decompressed.
func (w *world) delivery(t *testing.T) func(yield func(string, []byte) bool) {
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, []byte) bool) {
		defer decoder.Close()
		err := filepath.WalkDir(w.outbox(), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(name)
			if err == nil && strings.HasSuffix(name, ".zst") {
				content, err = decoder.DecodeAll(content, nil)
			}
			if err != nil {
				return err
			}
			if !yield(name, content) {
				return io.EOF
			}
			return nil
		})
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
}

// noAgreementNoFile checks that there are folders for exactly what is granted.
func (w *world) noAgreementNoFile(t *testing.T) {
	granted := map[string]bool{}
	for _, c := range w.chains() {
		granted[filepath.FromSlash(c.String())] = true
	}
	err := filepath.WalkDir(w.outbox(), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".pem") {
			return err
		}
		chain, err := filepath.Rel(w.outbox(), filepath.Dir(name))
		if err == nil && !granted[chain] {
			t.Errorf("there is a file %s in %s, which nobody was granted", d.Name(), chain)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vendors() {
		if _, err := os.Stat(filepath.Join(w.outbox(), v.id)); v.broken && err == nil {
			t.Errorf("there is a folder of %s, who has no grant", v.id)
		}
	}
}

// contiguous verifies every chain as its vendor would.
func (w *world) contiguous(ctx context.Context, t *testing.T) {
	for _, v := range vendors() {
		if v.broken {
			continue
		}
		reports, err := w.reader(v.id).Verify(ctx, filepath.Join(w.outbox(), v.id))
		if err != nil {
			t.Fatal(err)
		}
		files := 0
		for _, r := range reports {
			files += r.Files
			if r.Problem != nil {
				t.Errorf("%s: %v", r.Chain, r.Problem)
			}
			if len(r.Extra) > 0 {
				t.Errorf("%s: files that no manifest lists: %v", r.Chain, r.Extra)
			}
		}
		t.Logf("%s: %d chains, %d files", v.id, len(reports), files)
	}
}

// noPersonalData searches all that is not a payload for all CPR numbers.
func (w *world) noPersonalData(ctx context.Context, t *testing.T, conn *pgx.Conn, all []*streams.Event) {
	numbers, err := w.mirror.Citizens(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	search := map[string]bool{}
	for _, n := range numbers {
		search[n] = true
	}
	look := func(where, text string) {
		digits := 0
		for i := 0; i <= len(text); i++ {
			if i < len(text) && text[i] >= '0' && text[i] <= '9' {
				digits++
				continue
			}
			for at := i - digits; at+10 <= i; at++ {
				if search[text[at:at+10]] {
					t.Errorf("%s holds a CPR number", where)
				}
			}
			digits = 0
		}
	}
	if len(search) < 100 {
		t.Fatal("there are no citizens to search for")
	}
	look("the log", w.log.String())
	for _, e := range all {
		look("an event id", e.ID)
	}
	err = filepath.WalkDir(filepath.Join(w.dir, "data"), func(name string, d fs.DirEntry, err error) error {
		look("a file name", name)
		if err == nil && strings.HasSuffix(name, ".json") {
			var text []byte
			text, err = os.ReadFile(name)
			look("manifest "+d.Name(), string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
