package projections_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"supstream/capture"
	"supstream/catalog"
	"supstream/projections"
	"supstream/projections/sinktest"
	"supstream/streams"
)

const (
	vendor = "leverandoer_a"
	other  = "leverandoer_b"
)

func expect(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestFullLoadThenDeltas(t *testing.T) {
	w := newWorld(t)
	w.grant(vendor, kommune("751"), "samtaler")
	w.write("samtaler", kommune("751"), "samtale", streams.OpRead, "a", "1")
	w.write("samtaler", kommune("101"), "samtale", streams.OpRead, "b", "1")
	w.mark()
	r := w.runner()
	w.run(r)
	c := chain(vendor, kommune("751"), "samtaler")
	expect(t, "full load", w.newest(c), []string{`I samtale {"id":"a"} {"id":"a","v":"1"} xid 1008 × 1`})

	w.write("samtaler", kommune("751"), "samtale", streams.OpUpdate, "a", "2")
	w.write("samtaler", kommune("751"), "samtale", streams.OpScopeIn, "b", "1")
	w.mark()
	w.run(r)
	expect(t, "delta", w.newest(c), []string{`U samtale {"id":"a"} {"id":"a","v":"2"} xid 1025 × 1`, `I samtale {"id":"b"} {"id":"b","v":"1"} xid 1033 × 1`})

	w.run(r)
	expect(t, "no new mark", w.kinds(c), "FD")
	w.mark()
	w.run(r)
	expect(t, "nothing happened, and that is told", w.kinds(c), "FDD")
	expect(t, "an empty delta", w.newest(c), []string{})
	expect(t, "nobody else got anything", w.sink.Chains(), []projections.Chain{c})
	expect(t, "files", w.metric("supstream_projection_files_total", "delta"), 2)
	expect(t, "age", w.metric("supstream_projection_newest_timestamp_seconds", vendor, "samtaler"), float64(w.now.Unix()))
}

func TestNoAgreementNoFile(t *testing.T) {
	w := newWorld(t)
	for _, area := range []string{"samtaler", "kodelister", "akasse_planudkast"} {
		w.write(area, kommune("751"), "samtale", streams.OpRead, "a", "1")
	}
	w.mark()
	r := w.runner()
	w.run(r)
	expect(t, "no grant", w.sink.Chains(), []projections.Chain(nil))

	w.grant(vendor, kommune("751"), "akasse_planudkast") // closed: a draft
	w.grant(vendor, akasse("901"), "fravaer")            // not for a-kasser
	w.grant(vendor, kommune("751"), "no_such_area")
	w.mark()
	w.run(r)
	expect(t, "grants that open nothing", w.sink.Chains(), []projections.Chain(nil))
	if w.metric("supstream_projection_errors_total", "closed") == 0 {
		t.Error("the grant for a closed area is not counted")
	}

	w.grant(vendor, kommune("751"), "samtaler")
	calls := 0
	w.asked = func(w *world) { // the agreement ends while the fold is made
		if calls++; calls > 1 {
			w.grants = nil
		}
	}
	w.mark()
	w.run(r)
	expect(t, "ended just before publishing", w.sink.Chains(), []projections.Chain(nil))
}

func TestGrantThatComesBackBeginsWithAFullLoad(t *testing.T) {
	w := newWorld(t)
	w.grant(vendor, kommune("751"), "samtaler")
	w.write("samtaler", kommune("751"), "samtale", streams.OpInsert, "a", "1")
	w.mark()
	r := w.runner()
	c := chain(vendor, kommune("751"), "samtaler")
	w.run(r)
	w.end(vendor)
	w.write("samtaler", kommune("751"), "samtale", streams.OpInsert, "b", "1")
	w.mark()
	w.run(r)
	expect(t, "while it is gone", w.kinds(c), "F")
	w.wait(time.Hour)
	w.grant(vendor, kommune("751"), "samtaler")
	w.run(r)
	expect(t, "before a mark within the grant", w.kinds(c), "F")
	w.mark()
	w.run(r)
	expect(t, "when it is back", w.kinds(c), "FF")
	expect(t, "rows", len(w.newest(c)), 2)
	w.mark()
	w.run(r)
	expect(t, "and goes on", w.kinds(c), "FFD")
}

func TestOneFailureStopsNobodyAndCatchesUp(t *testing.T) {
	w := newWorld(t)
	w.grant(vendor, kommune("751"), "samtaler")
	w.grant(other, kommune("751"), "samtaler")
	w.write("samtaler", kommune("751"), "samtale", streams.OpInsert, "a", "1")
	w.mark()
	r := w.runner()
	w.run(r)
	w.sink.Fail = func(d *projections.Delta) error {
		if d.Chain.Opgaveloeser == vendor {
			return fmt.Errorf("write: %w", syscall.ENOSPC)
		}
		return nil
	}
	for i := range 3 {
		w.write("samtaler", kommune("751"), "samtale", streams.OpUpdate, "a", fmt.Sprint(i))
		w.mark()
		if err := r.RunOnce(context.Background(), w.Now(), true); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("error %v", err)
		}
	}
	behind, ahead := chain(vendor, kommune("751"), "samtaler"), chain(other, kommune("751"), "samtaler")
	expect(t, "the one that fails", w.kinds(behind), "F")
	expect(t, "the other", w.kinds(ahead), "FDDD")
	expect(t, "counted", w.metric("supstream_projection_errors_total", "disk_full"), 3)
	w.sink.Fail = nil
	w.mark()
	w.run(r)
	expect(t, "caught up", w.kinds(behind), "FD")
	expect(t, "one delta for the whole gap", w.newest(behind), []string{`U samtale {"id":"a"} {"id":"a","v":"2"} xid 1035 × 3`})
	expect(t, "both end at the same place", w.sink.Files(behind)[1].Manifest.To, w.sink.Files(ahead)[4].Manifest.To)
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A range that is folded again gives the same file, also when the base has moved on meanwhile.
func TestSameFile(t *testing.T) {
	w := newWorld(t)
	w.grant(vendor, kommune("751"), "samtaler")
	r := w.runner()
	c := chain(vendor, kommune("751"), "samtaler")
	for i := range 4 {
		for j := range 20 {
			w.write("samtaler", kommune("751"), "samtale", []streams.Op{streams.OpInsert, streams.OpUpdate, streams.OpRead}[(i+j)%3], fmt.Sprint(j), fmt.Sprint(i))
		}
		w.mark()
		w.run(r)
		before := w.sink.Files(c)
		w.sink.Forget(c)
		w.run(r)
		expect(t, fmt.Sprintf("file %d made again", i+1), asJSON(t, w.sink.Files(c)[i]), asJSON(t, before[i]))
	}
}

func TestAreasAreCutTogether(t *testing.T) {
	w := newWorld(t)
	w.grant(vendor, kommune("751"), "samtaler", "fravaer")
	w.write("samtaler", kommune("751"), "samtale", streams.OpInsert, "a", "1")
	w.write("fravaer", kommune("751"), "fravaer", streams.OpInsert, "a", "1")
	w.mark()
	late := *w.areas["samtaler"].mark
	w.write("fravaer", kommune("751"), "fravaer", streams.OpInsert, "b", "1")
	w.mark()
	w.areas["samtaler"].mark = &late // the writer of this area is a little behind
	r := w.runner()
	w.run(r)
	one, two := chain(vendor, kommune("751"), "samtaler"), chain(vendor, kommune("751"), "fravaer")
	expect(t, "position", w.sink.Files(two)[0].Manifest.To.Position, w.sink.Files(one)[0].Manifest.To.Position)
	expect(t, "rows up to the cut", len(w.newest(two)), 1)
	w.mark()
	w.run(r)
	expect(t, "rows behind the cut", w.newest(two), []string{`I fravaer {"id":"b"} {"id":"b","v":"1"} xid 1025 × 1`})
}

func TestReferenceDataGoesToEveryGrantedBruger(t *testing.T) {
	w := newWorld(t)
	alle := catalog.Bruger{Axis: catalog.Alle}
	w.grant(vendor, kommune("751"), "kodelister")
	w.grant(other, akasse("901"), "kodelister")
	w.write("kodelister", alle, "kodeliste_vaerdi", streams.OpRead, "a", "1")
	w.mark()
	r := w.runner()
	w.run(r)
	w.write("kodelister", alle, "kodeliste_vaerdi", streams.OpUpdate, "a", "2")
	w.mark()
	w.run(r)
	for _, c := range []projections.Chain{chain(vendor, kommune("751"), "kodelister"), chain(other, akasse("901"), "kodelister")} {
		expect(t, c.String(), w.newest(c), []string{`U kodeliste_vaerdi {"id":"a"} {"id":"a","v":"2"} xid 1017 × 1`})
	}
}

func TestRangeGone(t *testing.T) {
	w := newWorld(t)
	w.grant(vendor, kommune("751"), "samtaler")
	w.write("samtaler", kommune("751"), "samtale", streams.OpInsert, "a", "1")
	w.mark()
	r := w.runner()
	w.run(r)
	c := chain(vendor, kommune("751"), "samtaler")

	// Position records replace each other: their sequences are missing though nothing is.
	w.mark()
	w.expire("samtaler")
	w.mark()
	w.run(r)
	expect(t, "only position records are gone", w.kinds(c), "FD")

	// The chain is behind by more than the retention, the base is not.
	w.sink.Fail = func(*projections.Delta) error { return errors.New("broken") }
	area, _ := w.catalog.Dataomraade("samtaler")
	for range 3 {
		w.write("samtaler", kommune("751"), "samtale", streams.OpUpdate, "a", "2")
		w.wait(area.Retention / 2)
		w.mark()
		if err := r.RunOnce(context.Background(), w.Now(), true); err == nil {
			t.Fatal("no error")
		}
	}
	w.sink.Fail = nil
	w.expire("samtaler")
	w.mark()
	w.run(r)
	expect(t, "a full load instead of a wrong delta", w.kinds(c), "FDF")
	expect(t, "rows", w.newest(c), []string{`I samtale {"id":"a"} {"id":"a","v":"2"} xid 1037 × 1`})
	if w.metric("supstream_projection_errors_total", "range_gone") == 0 {
		t.Error("not counted")
	}

	// The base is behind too: nothing can be made from what is left.
	w.write("samtaler", kommune("751"), "samtale", streams.OpUpdate, "a", "3")
	w.wait(2 * area.Retention)
	w.expire("samtaler")
	w.mark()
	err := r.RunOnce(context.Background(), w.Now(), true)
	if !errors.Is(err, projections.ErrRangeGone) || !strings.Contains(err.Error(), "samtaler") || !strings.Contains(err.Error(), "restore") {
		t.Errorf("error %v does not name area and remedy", err)
	}
	expect(t, "no file", w.kinds(c), "FDF")

	// The stream is made anew and loads again.
	w.areas["samtaler"] = &stream{first: 1, incarnation: "life2"}
	w.write("samtaler", kommune("751"), "samtale", streams.OpRead, "a", "3")
	w.mark()
	w.run(r)
	expect(t, "a full load of the new stream", w.kinds(c), "FDFF")
	expect(t, "rows", len(w.newest(c)), 1)
}

func TestLoadingAreaWaitsAndHoldsUpNobody(t *testing.T) {
	w := newWorld(t)
	w.grant(vendor, kommune("751"), "samtaler", "fravaer")
	w.write("samtaler", kommune("751"), "samtale", streams.OpRead, "a", "1")
	w.write("fravaer", kommune("751"), "fravaer", streams.OpRead, "a", "1")
	w.mark()
	w.areas["samtaler"].mark.Loading = true
	w.areas["samtaler"].mark.Position = capture.Position{LSN: 1}
	r := w.runner()
	w.run(r)
	expect(t, "chains", w.sink.Chains(), []projections.Chain{chain(vendor, kommune("751"), "fravaer")})
	expect(t, "waiting", w.metric("supstream_projection_waiting", "samtaler"), 1)
}

func TestDirectoryIsForOneRunner(t *testing.T) {
	w := newWorld(t)
	r := w.runner()
	_, err := projections.NewRunner(w.cfg, projections.Parts{Catalog: w.catalog, Grants: w, Source: w, Sink: w.sink})
	if !errors.Is(err, projections.ErrInUse) {
		t.Errorf("a second runner: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// Run follows the schedule, gives a new grant its full load without waiting for it, and ends with its context.
func TestRunFollowsTheSchedule(t *testing.T) {
	w := newWorld(t)
	w.grant(vendor, kommune("751"), "samtaler") // daily
	w.write("samtaler", kommune("751"), "samtale", streams.OpInsert, "a", "1")
	w.mark()
	r := w.runner()
	poll, stop := w.background(r)
	a, b := chain(vendor, kommune("751"), "samtaler"), chain(other, kommune("751"), "samtaler")
	poll()
	expect(t, "at the start", w.kinds(a), "F")
	w.mark()
	poll()
	expect(t, "not due", w.kinds(a), "F")
	w.grant(other, kommune("751"), "samtaler")
	w.mark()
	poll()
	expect(t, "the new one", w.kinds(b), "F")
	expect(t, "the old one", w.kinds(a), "F")
	w.wait(20 * time.Hour)
	w.mark()
	poll()
	expect(t, "the next day, old", w.kinds(a), "FD")
	expect(t, "the next day, new", w.kinds(b), "FD")
	stop()
}

// A chain that failed is tried again before the next slot, and nobody else gets anything out of turn.
func TestRunTriesAgain(t *testing.T) {
	w := newWorld(t)
	w.grant(vendor, kommune("751"), "samtaler")
	w.grant(other, kommune("751"), "samtaler")
	w.write("samtaler", kommune("751"), "samtale", streams.OpInsert, "a", "1")
	w.mark()
	broken := true
	w.sink.Fail = func(d *projections.Delta) error {
		if broken && d.Chain.Opgaveloeser == vendor {
			return errors.New("broken")
		}
		return nil
	}
	r := w.runner()
	poll, stop := w.background(r)
	a, b := chain(vendor, kommune("751"), "samtaler"), chain(other, kommune("751"), "samtaler")
	poll()
	expect(t, "while it is broken", w.kinds(a)+" "+w.kinds(b), " F")
	broken = false
	w.mark()
	poll()
	expect(t, "at once", w.kinds(a)+" "+w.kinds(b), " F")
	w.wait(w.cfg.Retry)
	w.mark()
	poll()
	expect(t, "after a while", w.kinds(a)+" "+w.kinds(b), "F F")
	stop()
}

// A due area waits for a mark at or after its time, until patience ends.
func TestRunWaitsForTheMark(t *testing.T) {
	w := newWorld(t)
	w.grant(vendor, kommune("751"), "samtaler")
	w.write("samtaler", kommune("751"), "samtale", streams.OpInsert, "a", "1")
	w.mark()
	r := w.runner()
	w.run(r)
	w.now = time.Date(2026, 1, 5, 22, 59, 50, 0, time.UTC)
	w.mark()
	w.now = time.Date(2026, 1, 5, 23, 0, 1, 0, time.UTC) // midnight in Denmark
	poll, stop := w.background(r)
	c := chain(vendor, kommune("751"), "samtaler")
	poll()
	expect(t, "a mark of before midnight", w.kinds(c), "F")
	w.wait(time.Minute)
	poll()
	expect(t, "at the end of patience", w.kinds(c), "FD")
	stop()
}

// Contiguous and FoldEqualsTable at the level of projections: random traffic, failures and restarts; then every chain is without a
// gap, and full loads with the deltas behind them give the rows of its Bruger.
func TestContiguousAndFoldEqualsTable(t *testing.T) {
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		w := newWorld(t)
		brugere := []catalog.Bruger{kommune("101"), kommune("751"), akasse("901")}
		for _, b := range brugere {
			w.grant(vendor, b, "samtaler")
		}
		tables := map[catalog.Bruger]map[string]string{}
		for _, b := range brugere {
			tables[b] = map[string]string{}
		}
		w.sink.Fail = func(*projections.Delta) error {
			if rnd.IntN(5) == 0 {
				return errors.New("the disk is gone for a moment")
			}
			return nil
		}
		w.cfg.Files, w.cfg.Memory = 1, 1<<20 // one at a time: rnd is not for several
		r := w.runner()
		for range 40 {
			for range rnd.IntN(60) {
				b, key, value := brugere[rnd.IntN(3)], fmt.Sprint(rnd.IntN(20)), fmt.Sprint(rnd.IntN(99))
				_, there := tables[b][key]
				switch {
				case !there:
					w.write("samtaler", b, "samtale", streams.OpInsert, key, value)
				case rnd.IntN(3) == 0:
					w.write("samtaler", b, "samtale", streams.OpScopeOut, key, "")
					delete(tables[b], key)
					continue
				default:
					w.write("samtaler", b, "samtale", streams.OpUpdate, key, value)
				}
				tables[b][key] = fmt.Sprintf(`{"id":%q,"v":%q}`, key, value)
			}
			w.mark()
			if rnd.IntN(6) == 0 {
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				w.reg = prometheus.NewRegistry()
				r = w.runner()
			}
			_ = r.RunOnce(context.Background(), w.Now(), true) // failures are part of it; what counts is checked below
		}
		w.sink.Fail = nil
		w.mark()
		w.run(r)
		for _, b := range brugere {
			got := replay(t, w.sink.Files(chain(vendor, b, "samtaler")))
			if !maps.Equal(got, tables[b]) {
				t.Fatalf("seed %d, %s: the files give\n%v\nwant\n%v", seed, b, got, tables[b])
			}
		}
	}
}

// replay applies files as a receiver does and checks that they follow each other.
func replay(t *testing.T, files []sinktest.File) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for i, f := range files {
		m := f.Manifest
		if m.Sequence != uint64(i+1) || i > 0 && m.Kind == projections.DeltaLoad && m.From != files[i-1].Manifest.To {
			t.Fatalf("file %d is not contiguous: %+v", i, m)
		}
		if m.Kind.Replaces() {
			clear(rows)
		}
		for _, text := range f.Rows {
			p := strings.Fields(text)
			key := strings.Trim(strings.TrimPrefix(p[2], `{"id":`), `"}`)
			if slices.Contains([]string{"I", "U"}, p[0]) {
				rows[key] = p[3]
			} else {
				delete(rows, key)
			}
		}
	}
	return rows
}
