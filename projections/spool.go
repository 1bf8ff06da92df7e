package projections

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"

	"supstream/catalog"
	"supstream/projections/durable"
)

// Spool is the directory of the runs that folds spill. They live as long as the process: what a crash leaves is removed when the
// Spool is opened again.
type Spool struct {
	fsys  durable.FS
	dir   string
	next  atomic.Uint64
	bytes func(n int64) // told of what is written
}

const runSuffix = ".run"

// OpenSpool takes dir into use, which must belong to nobody else, and removes the runs in it. spilled is told the bytes of each
// run that is written; it may be nil.
func OpenSpool(fsys durable.FS, dir string, spilled func(bytes int64)) (*Spool, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), runSuffix) {
			if err := fsys.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("spool: %w", err)
			}
		}
	}
	if spilled == nil {
		spilled = func(int64) {}
	}
	return &Spool{fsys: fsys, dir: dir, bytes: spilled}, nil
}

func (s *Spool) write(m memory) (*run, error) { return s.merge([]part{m}) }

// merge writes parts, oldest first, as one run.
func (s *Spool) merge(parts []part) (*run, error) {
	name := filepath.Join(s.dir, fmt.Sprintf("%08d%s", s.next.Add(1), runSuffix))
	f, err := s.fsys.Create(name)
	if err != nil {
		return nil, fmt.Errorf("spill: %w", err)
	}
	out := countingWriter{w: f}
	err = writeRun(context.Background(), &out, runIndex{}, parts, nil)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spill: %w", err), s.fsys.Remove(name))
	}
	s.bytes(out.n)
	r, err := openRun(s.fsys, name)
	if err != nil {
		return nil, fmt.Errorf("spill: %w", err)
	}
	return r, nil
}

func (s *Spool) remove(r *run) error {
	err := s.fsys.Remove(r.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// writeRun writes the fold of parts, oldest first. Only states that keep accepts are written; nil keeps all.
func writeRun(ctx context.Context, w io.Writer, index runIndex, parts []part, keep func(*state) bool) error {
	rw := newRunWriter(w, index)
	for _, b := range brugereOf(parts) {
		if err := rw.section(b); err != nil {
			return err
		}
		err := merge(ctx, parts, []catalog.Bruger{b}, func(s *state) error {
			if keep != nil && !keep(s) {
				return nil
			}
			return rw.add(s)
		})
		if err != nil {
			return err
		}
	}
	return rw.finish()
}
