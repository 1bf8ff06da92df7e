package projections

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"supstream/capture"
	"supstream/catalog"
	"supstream/projections/durable/crashfs"
	"supstream/streams"
)

func kommune(kode string) catalog.Bruger { return catalog.Bruger{Axis: catalog.Kommune, Kode: kode} }

// stamp is the commit time of transaction n of every test.
func stamp(n int) time.Time {
	return time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Second)
}

// event makes event n of a stream: its own transaction.
func event(n int, b catalog.Bruger, table string, op streams.Op, key, row string) streams.Event {
	e := streams.Event{
		ID: fmt.Sprint(n), Seq: uint64(n), Position: capture.Position{LSN: uint64(n) * 16, Ordinal: 1},
		Dataomraade: "samtaler", Table: table, Op: op, Bruger: b, Time: stamp(n), XID: uint32(n),
	}
	if key != "" {
		e.Key = fmt.Appendf(nil, `{"id":%q}`, key)
	}
	if row != "" {
		e.Row = fmt.Appendf(nil, `{"id":%q,"v":%q}`, key, row)
	}
	return e
}

func (r *Row) text() string {
	return strings.TrimRight(fmt.Sprintf("%c %s %s %s xid %d × %d", r.Op, r.Table, r.Key, r.Row, r.XID, r.Changes), " ")
}

func newSpool(t testing.TB) *Spool {
	t.Helper()
	s, err := OpenSpool(crashfs.New(), "spool", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// foldAll folds events with a memory budget and closes the fold at the end of the test.
func foldAll(t testing.TB, spool *Spool, budget int64, events []streams.Event) *Fold {
	t.Helper()
	c := NewCompactor(spool, budget)
	for i := range events {
		if err := c.Add(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	f := c.Finish()
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func rowsOf(t testing.TB, rows func(context.Context, []catalog.Bruger, func(*Row) error) error, brugere ...catalog.Bruger) []string {
	t.Helper()
	var out []string
	err := rows(context.Background(), brugere, func(r *Row) error {
		out = append(out, r.text())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFold(t *testing.T) {
	b := kommune("751")
	tests := []struct {
		name   string
		events []streams.Event
		want   []string
	}{
		{"insert, update, update", []streams.Event{
			event(1, b, "samtale", streams.OpInsert, "a", "1"), event(2, b, "samtale", streams.OpUpdate, "a", "2"), event(3, b, "samtale", streams.OpUpdate, "a", "3"),
		}, []string{`I samtale {"id":"a"} {"id":"a","v":"3"} xid 3 × 3`}},
		{"insert and delete is net zero", []streams.Event{
			event(1, b, "samtale", streams.OpInsert, "a", "1"), event(2, b, "samtale", streams.OpDelete, "a", ""),
		}, []string{`- samtale {"id":"a"}  xid 2 × 2`}},
		{"delete and insert of one key is an update", []streams.Event{
			event(1, b, "samtale", streams.OpDelete, "a", ""), event(2, b, "samtale", streams.OpInsert, "a", "2"),
		}, []string{`U samtale {"id":"a"} {"id":"a","v":"2"} xid 2 × 2`}},
		{"out of scope is not deleted", []streams.Event{
			event(1, b, "samtale", streams.OpUpdate, "a", "1"), event(2, b, "samtale", streams.OpScopeOut, "a", ""),
			event(3, b, "samtale", streams.OpDelete, "b", ""),
		}, []string{`O samtale {"id":"a"}  xid 2 × 2`, `D samtale {"id":"b"}  xid 3 × 1`}},
		{"out and back", []streams.Event{
			event(1, b, "samtale", streams.OpScopeOut, "a", ""), event(2, b, "samtale", streams.OpScopeIn, "a", "2"),
		}, []string{`U samtale {"id":"a"} {"id":"a","v":"2"} xid 2 × 2`}},
		{"in and out is net zero", []streams.Event{
			event(1, b, "samtale", streams.OpScopeIn, "a", "1"), event(2, b, "samtale", streams.OpScopeOut, "a", ""),
		}, []string{`- samtale {"id":"a"}  xid 2 × 2`}},
		{"read: unknown before", []streams.Event{
			event(1, b, "samtale", streams.OpRead, "a", "1"), event(2, b, "samtale", streams.OpRead, "b", "1"), event(3, b, "samtale", streams.OpDelete, "b", ""),
		}, []string{`I samtale {"id":"a"} {"id":"a","v":"1"} xid 1 × 1`, `D samtale {"id":"b"}  xid 3 × 2`}},
		{"truncate", []streams.Event{
			event(1, b, "samtale", streams.OpUpdate, "a", "1"), event(2, b, "moede", streams.OpUpdate, "a", "1"), event(3, b, "samtale", streams.OpTruncate, "", ""),
			event(4, b, "samtale", streams.OpInsert, "b", "2"), event(5, b, "samtale", streams.OpInsert, "c", "2"), event(6, b, "samtale", streams.OpDelete, "c", ""),
		}, []string{
			`U moede {"id":"a"} {"id":"a","v":"1"} xid 2 × 1`, `T samtale   xid 3 × 1`,
			`I samtale {"id":"b"} {"id":"b","v":"2"} xid 4 × 1`, `- samtale {"id":"c"}  xid 6 × 2`,
		}},
		{"other Brugere are not looked at", []streams.Event{
			event(1, kommune("101"), "samtale", streams.OpInsert, "a", "1"), event(2, b, "samtale", streams.OpInsert, "b", "1"),
		}, []string{`I samtale {"id":"b"} {"id":"b","v":"1"} xid 2 × 1`}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			spool := newSpool(t)
			if got := rowsOf(t, foldAll(t, spool, 0, tc.events).rows, b); !slices.Equal(got, tc.want) {
				t.Errorf("in memory:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if got := rowsOf(t, foldAll(t, spool, 1, tc.events).rows, b); !slices.Equal(got, tc.want) {
				t.Errorf("with a run per event:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

func TestFoldRefusesHalfEvents(t *testing.T) {
	b := kommune("751")
	for name, e := range map[string]streams.Event{
		"no key":            event(1, b, "samtale", streams.OpDelete, "", ""),
		"insert, no row":    event(1, b, "samtale", streams.OpInsert, "a", ""),
		"delete with a row": event(1, b, "samtale", streams.OpDelete, "a", "1"),
	} {
		if err := NewCompactor(newSpool(t), 0).Add(&e); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// world is the naive oracle: tables as maps, per Bruger.
type world map[catalog.Bruger]map[[2]string]string

func (w world) clone() world {
	out := world{}
	for b, rows := range w {
		out[b] = maps.Clone(rows)
	}
	return out
}

func (w world) apply(e *streams.Event) {
	rows := w[e.Bruger]
	if rows == nil {
		rows = map[[2]string]string{}
		w[e.Bruger] = rows
	}
	at := [2]string{e.Table, string(e.Key)}
	switch {
	case e.Op.HasRow():
		rows[at] = string(e.Row)
	case e.Op == streams.OpTruncate:
		maps.DeleteFunc(rows, func(k [2]string, _ string) bool { return k[0] == e.Table })
	default:
		delete(rows, at)
	}
}

// applyRow is what docs/FILES.md tells receivers to do, with every check that the contract allows.
func applyRow(t *testing.T, rows map[[2]string]string, r *Row) {
	t.Helper()
	at := [2]string{r.Table, string(r.Key)}
	_, known := rows[at]
	switch r.Op {
	case OpInsert, OpUpdate:
		if !known && r.Op == OpUpdate {
			t.Fatalf("%s: update of a row that is not there", r.text())
		}
		rows[at] = string(r.Row)
	case OpDelete, OpScopeOut:
		delete(rows, at)
	case OpTruncate:
		maps.DeleteFunc(rows, func(k [2]string, _ string) bool { return k[0] == r.Table })
	case OpNone:
		if known {
			t.Fatalf("%s: net zero, but the receiver has it", r.text())
		}
	}
}

// history makes random events that a router could have made: an op fits to whether the row is there.
func history(rnd *rand.Rand, n int) []streams.Event {
	w := world{}
	out := make([]streams.Event, 0, n)
	for i := 1; i <= n; i++ {
		b := kommune([]string{"101", "751", "851"}[rnd.IntN(3)])
		table := []string{"moede", "samtale"}[rnd.IntN(2)]
		key := fmt.Sprint(rnd.IntN(12))
		_, there := w[b][[2]string{table, fmt.Sprintf(`{"id":%q}`, key)}]
		value := fmt.Sprint(rnd.IntN(1000), strings.Repeat("æ", rnd.IntN(40)))
		var op streams.Op
		switch {
		case rnd.IntN(60) == 0:
			op, key, value = streams.OpTruncate, "", ""
		case rnd.IntN(12) == 0:
			op = streams.OpRead
		case there:
			op = []streams.Op{streams.OpUpdate, streams.OpDelete, streams.OpScopeOut}[rnd.IntN(3)]
		default:
			op = []streams.Op{streams.OpInsert, streams.OpScopeIn}[rnd.IntN(2)]
		}
		if !op.HasRow() {
			value = ""
		}
		e := event(i, b, table, op, key, value)
		w.apply(&e)
		out = append(out, e)
	}
	return out
}

// The fold of any window, in memory or spilled, takes a receiver from the state before it to the state after it; the base has that
// state; and what is spilled has the same rows in the same order as what is not.
func TestFoldEqualsOracle(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		events := history(rnd, 1+rnd.IntN(600))
		spool := newSpool(t)
		base, err := OpenBase(crashfs.New(), "base", "samtaler")
		if err != nil {
			t.Fatal(err)
		}
		before, after := world{}, world{}
		for len(events) > 0 {
			n := 1 + rnd.IntN(len(events))
			window := events[:n]
			events = events[n:]
			small := foldAll(t, spool, int64(1+rnd.IntN(8000)), window)
			large := foldAll(t, spool, 0, window)
			for i := range window {
				after.apply(&window[i])
			}
			to := streams.Mark{Seq: window[n-1].Seq, Position: capture.Position{LSN: window[n-1].Position.LSN + 1}, Time: window[n-1].Time, Incarnation: "x"}
			if err := base.Advance(context.Background(), small, to); err != nil {
				t.Fatal(err)
			}
			for _, b := range []catalog.Bruger{kommune("101"), kommune("751"), kommune("851")} {
				spilled := rowsOf(t, small.rows, b)
				if inMemory := rowsOf(t, large.rows, b); !slices.Equal(spilled, inMemory) {
					t.Fatalf("seed %d, %s: spilled\n%s\nin memory\n%s", seed, b, strings.Join(spilled, "\n"), strings.Join(inMemory, "\n"))
				}
				got := maps.Clone(before[b])
				if got == nil {
					got = map[[2]string]string{}
				}
				if err := small.rows(context.Background(), []catalog.Bruger{b}, func(r *Row) error { applyRow(t, got, r); return nil }); err != nil {
					t.Fatal(err)
				}
				full := map[[2]string]string{}
				if err := base.rows(context.Background(), []catalog.Bruger{b}, func(r *Row) error { applyRow(t, full, r); return nil }); err != nil {
					t.Fatal(err)
				}
				if !maps.Equal(got, after[b]) && len(got)+len(after[b]) > 0 {
					t.Fatalf("seed %d, %s: deltas give\n%v\nwant\n%v", seed, b, got, after[b])
				}
				if !maps.Equal(full, after[b]) && len(full)+len(after[b]) > 0 {
					t.Fatalf("seed %d, %s: the base gives\n%v\nwant\n%v", seed, b, full, after[b])
				}
			}
			before = after.clone()
		}
		if err := base.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSpoolIsSweptAndFoldsCleanUp(t *testing.T) {
	fsys := crashfs.New()
	fsys.Put("spool/00000001.run", "left by a crash")
	spool, err := OpenSpool(fsys, "spool", nil)
	if err != nil {
		t.Fatal(err)
	}
	var events []streams.Event
	for i := 1; i <= 400; i++ { // more than one merge of runs
		events = append(events, event(i, kommune("751"), "samtale", streams.OpInsert, fmt.Sprint(i), "1"))
	}
	c := NewCompactor(spool, 1)
	for i := range events {
		if err := c.Add(&events[i]); err != nil {
			t.Fatal(err)
		}
	}
	f := c.Finish()
	if n := len(rowsOf(t, f.rows, kommune("751"))); n != 400 {
		t.Errorf("%d rows, want 400", n)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if files := fsys.Files(); len(files) != 0 {
		t.Errorf("files left: %v", slices.Collect(maps.Keys(files)))
	}
}
