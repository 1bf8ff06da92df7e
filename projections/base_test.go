package projections

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"supstream/capture"
	"supstream/projections/durable"
	"supstream/projections/durable/crashfs"
	"supstream/streams"
)

func openBase(t *testing.T, fsys durable.FS) *Base {
	t.Helper()
	b, err := OpenBase(fsys, "bases/samtaler", "samtaler")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// markAfter is the mark behind event n.
func markAfter(n int) streams.Mark {
	return streams.Mark{Seq: uint64(n), Position: capture.Position{LSN: uint64(n)*16 + 1}, Time: stamp(n), Incarnation: "life1"}
}

// advance brings a base to the end of the events, from where it is.
func advance(t *testing.T, b *Base, events []streams.Event) error {
	t.Helper()
	window := events[b.Mark().Seq:]
	return b.Advance(context.Background(), foldAll(t, newSpool(t), 0, window), markAfter(len(events)))
}

// Wherever the power is cut while a base moves on, it is found as it was or as it should be, and goes on from there.
func TestBaseSurvivesEveryCrash(t *testing.T) {
	events := history(rand.New(rand.NewPCG(3, 4)), 120)
	steps := []int{40, 60, 61, 100, 120}
	reference := openBase(t, crashfs.New())
	want := map[uint64][]string{0: nil}
	for _, n := range steps {
		if err := advance(t, reference, events[:n]); err != nil {
			t.Fatal(err)
		}
		want[uint64(n)] = rowsOf(t, reference.rows, kommune("751"))
	}
	for at := 1; ; at++ {
		fsys := crashfs.New()
		fsys.CrashAt(at)
		err := func() error {
			b, err := OpenBase(fsys, "bases/samtaler", "samtaler")
			for _, n := range steps {
				if err == nil {
					err = advance(t, b, events[:n])
				}
			}
			return err
		}()
		b := openBase(t, fsys.Recover())
		rows, known := want[b.Mark().Seq]
		if !known || !slices.Equal(rowsOf(t, b.rows, kommune("751")), rows) {
			t.Fatalf("crash at step %d: the base is at %d with other rows", at, b.Mark().Seq)
		}
		if b.Mark().Seq < 120 {
			if err := advance(t, b, events); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(rowsOf(t, b.rows, kommune("751")), want[120]) {
			t.Fatalf("crash at step %d: the base does not catch up", at)
		}
		if err == nil {
			return
		}
		if !errors.Is(err, crashfs.ErrCrashed) {
			t.Fatalf("step %d: %v", at, err)
		}
	}
}

func TestBaseFewRunsAndQuiet(t *testing.T) {
	fsys := crashfs.New()
	b := openBase(t, fsys)
	var events []streams.Event
	for i := 1; i <= 2000; i++ {
		events = append(events, event(i, kommune("751"), "samtale", streams.OpInsert, fmt.Sprint(i), "1"))
		if i%10 == 0 {
			if err := advance(t, b, events); err != nil {
				t.Fatal(err)
			}
			if n := len(b.runs); n > 8 {
				t.Fatalf("%d runs after %d windows", n, i/10)
			}
		}
	}
	files, steps := len(fsys.Files()), fsys.Steps()
	quiet := func(d time.Duration) {
		to := b.Mark()
		to.Seq, to.Time = to.Seq+1, to.Time.Add(d)
		if err := b.Advance(context.Background(), foldAll(t, newSpool(t), 0, nil), to); err != nil {
			t.Fatal(err)
		}
	}
	quiet(time.Minute)
	if fsys.Steps() != steps || b.Mark().Seq != 2001 {
		t.Errorf("a quiet window wrote something, or did not move the base: %d", b.Mark().Seq)
	}
	quiet(2 * time.Hour)
	if fsys.Steps() == steps || len(fsys.Files()) > files+1 {
		t.Errorf("after two hours of quiet the place is not written down: %d files, before %d", len(fsys.Files()), files)
	}
	if again := openBase(t, fsys); again.Mark() != b.Mark() || len(rowsOf(t, again.rows, kommune("751"))) != 2000 {
		t.Errorf("opened again it is at %+v, want %+v", again.Mark(), b.Mark())
	}
}

func TestBaseDamaged(t *testing.T) {
	fsys := crashfs.New()
	b := openBase(t, fsys)
	events := history(rand.New(rand.NewPCG(5, 6)), 50)
	if err := advance(t, b, events); err != nil {
		t.Fatal(err)
	}
	for name, content := range fsys.Files() {
		for what, damaged := range map[string]string{
			"cut short":      content[:len(content)-1],
			"a bit changed":  content[:30] + string(content[30]^1) + content[31:],
			"index changed":  content[:len(content)-30] + "x" + content[len(content)-29:],
			"nothing at all": "",
		} {
			other := crashfs.New()
			other.Put(name, damaged)
			b, err := OpenBase(other, "bases/samtaler", "samtaler")
			if err == nil {
				err = b.rows(context.Background(), b.runs[0].brugere()[:1], func(*Row) error { return nil })
			}
			if err == nil || !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), "bases/samtaler") {
				t.Errorf("%s: error %v does not name the file", what, err)
			}
		}
	}
}
