package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"supstream/catalog"
	"supstream/projections/durable"
	"supstream/streams"
)

// Base is the fold of an area's stream from its start: every row that every Bruger has, granted to somebody or not. It is kept as
// a stack of runs that follow each other, each covering a range of the stream, oldest first. A window is put on top, merged with
// those runs below it that are not much larger, so that a row is rewritten a few times only and what is quiet lies still.
//
// The names of the runs say which ranges they cover; together they are the checkpoint. A run that replaces others is complete
// before they are removed, so that a crash leaves either or both, and both are told apart by their ranges.
type Base struct {
	fsys durable.FS
	dir  string
	area string
	runs []*run
	mark streams.Mark // may be later than the newest run says, when nothing happened since
}

// quietBase is how long a base may pass over an empty range without writing that down.
const quietBase = time.Hour

// OpenBase opens the base of an area in a directory of its own, which need not be there yet, and clears away what a crash left.
func OpenBase(fsys durable.FS, dir, area string) (*Base, error) {
	b := &Base{fsys: fsys, dir: dir, area: area}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("base of %s: %w", area, err)
	}
	if err := durable.Sweep(fsys, dir); err != nil {
		return nil, fmt.Errorf("base of %s: %w", area, err)
	}
	if err := b.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("base of %s: %w; remove %s to have it built again from the stream", area, err, dir), b.Close())
	}
	return b, nil
}

// runRange is the range of the stream that a run's name tells.
type runRange struct {
	from, to uint64
	name     string
}

func rangeName(from uint64, to streams.Mark) string {
	return fmt.Sprintf("%016X-%016X-%s%s", from, to.Seq, to.Position, runSuffix)
}

func parseRangeName(name string) (runRange, bool) {
	r := runRange{name: name}
	var position string
	n, err := fmt.Sscanf(strings.TrimSuffix(name, runSuffix), "%016X-%016X-%s", &r.from, &r.to, &position)
	return r, err == nil && n == 3 && strings.HasSuffix(name, runSuffix)
}

// load opens the runs that cover the stream from its start and removes those that others replace.
func (b *Base) load() error {
	entries, err := b.fsys.ReadDir(b.dir)
	if err != nil {
		return err
	}
	var ranges []runRange
	for _, e := range entries {
		if r, ok := parseRangeName(e.Name()); ok {
			ranges = append(ranges, r)
		}
	}
	used, spare := cover(ranges)
	for _, r := range used {
		opened, err := openRun(b.fsys, filepath.Join(b.dir, r.name))
		if err != nil {
			return err
		}
		b.runs = append(b.runs, opened)
		i := &opened.index
		if i.From != r.from || i.To != r.to || i.Dataomraade != b.area || i.Incarnation != b.runs[0].index.Incarnation {
			return fmt.Errorf("%s: %w: its content is not what its name says", r.name, errDamaged)
		}
		b.mark = streams.Mark{Seq: i.To, Time: time.UnixMicro(i.Time).UTC(), Incarnation: i.Incarnation}
		if err := b.mark.Position.UnmarshalText([]byte(i.Position)); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	end := b.mark.Seq
	for _, r := range spare {
		if r.to > end {
			return fmt.Errorf("%s: the runs before it are missing", r.name)
		}
		if err := b.fsys.Remove(filepath.Join(b.dir, r.name)); err != nil {
			return err
		}
	}
	return nil
}

// cover picks runs that follow each other from the start of the stream, the widest at each step; spare are the others.
func cover(ranges []runRange) (used, spare []runRange) {
	slices.SortFunc(ranges, func(a, b runRange) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to))
	})
	var end uint64
	for _, r := range ranges {
		if r.from == end && (r.to > end || len(used) == 0) {
			used = append(used, r)
			end = r.to
			continue
		}
		spare = append(spare, r)
	}
	return used, spare
}

// Mark is how far the base has come; zero before the first window.
func (b *Base) Mark() streams.Mark { return b.mark }

// Advance puts a window on top: fold is what happened behind Mark, up to and including to.
func (b *Base) Advance(ctx context.Context, fold *Fold, to streams.Mark) error {
	if len(b.runs) > 0 && fold.Events() == 0 {
		saved := time.UnixMicro(b.runs[len(b.runs)-1].index.Time)
		if to.Seq == b.mark.Seq || to.Time.Sub(saved) < quietBase {
			b.mark = to
			return nil
		}
	}
	keep := b.undisturbed(fold)
	index := runIndex{Dataomraade: b.area, Incarnation: to.Incarnation, To: to.Seq, Position: to.Position.String(), Time: to.Time.UnixMicro()}
	if keep > 0 {
		index.From = b.runs[keep-1].index.To
	}
	merged := b.runs[keep:]
	parts := make([]part, 0, len(merged)+len(fold.runs)+1)
	for _, r := range merged {
		parts = append(parts, r)
	}
	parts = append(parts, fold.parts()...)
	var want func(*state) bool
	if keep == 0 {
		want = func(s *state) bool { return s.last.HasRow() } // below it lies nothing that could have the row
	}
	name := filepath.Join(b.dir, rangeName(index.From, to))
	err := durable.Write(b.fsys, name, func(w io.Writer) error { return writeRun(ctx, w, index, parts, want) })
	if err != nil {
		return fmt.Errorf("base of %s: %w", b.area, err)
	}
	r, err := openRun(b.fsys, name)
	if err != nil {
		return fmt.Errorf("base of %s: %w", b.area, err)
	}
	old := slices.Clone(merged)
	b.runs, b.mark = append(b.runs[:keep:keep], r), to
	return b.remove(old)
}

// undisturbed is the number of runs at the bottom that stay as they are: each is more than twice as large as all above it.
func (b *Base) undisturbed(fold *Fold) int {
	n := fold.states()
	keep := len(b.runs)
	for keep > 0 && b.runs[keep-1].index.states() <= 2*n {
		keep--
		n += b.runs[keep].index.states()
	}
	return keep
}

// Reset forgets everything: the next window begins at the start of the stream.
func (b *Base) Reset() error {
	runs := b.runs
	b.runs, b.mark = nil, streams.Mark{}
	slices.Reverse(runs) // newest first: what a crash leaves still begins at the start
	return b.remove(runs)
}

func (b *Base) remove(runs []*run) error {
	for _, r := range runs {
		if err := errors.Join(r.Close(), b.fsys.Remove(r.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("base of %s: remove old run: %w", b.area, err)
		}
	}
	return nil
}

// rows yields what is there for some Brugere whose tables do not overlap: each row as I, with one change, its last.
func (b *Base) rows(ctx context.Context, brugere []catalog.Bruger, yield func(*Row) error) error {
	parts := make([]part, len(b.runs))
	for i, r := range b.runs {
		parts[i] = r
	}
	var row Row
	return merge(ctx, parts, brugere, func(s *state) error {
		if !s.last.HasRow() {
			return nil
		}
		s.fill(&row)
		row.Op, row.Changes = OpInsert, 1
		return yield(&row)
	})
}

// Close closes the files.
func (b *Base) Close() error {
	var errs []error
	for _, r := range b.runs {
		errs = append(errs, r.Close())
	}
	b.runs = nil
	return errors.Join(errs...)
}
