// Package sinktest holds what every projections.Sink must do, as a test suite, and a Sink in memory that does it.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"supstream/projections"
)

// Memory is a Sink in memory for tests.
type Memory struct {
	// Fail, when set, is asked before each file is published; its error is returned instead.
	Fail func(*projections.Delta) error

	mu     sync.Mutex // guards chains
	chains map[projections.Chain][]File
}

// File is a published file: the manifest and its rows as text, one per row.
type File struct {
	Manifest projections.Manifest
	Rows     []string
}

var _ projections.Sink = (*Memory)(nil)

// NewMemory returns an empty Sink.
func NewMemory() *Memory { return &Memory{chains: map[projections.Chain][]File{}} }

// Files are the files of a chain, oldest first.
func (m *Memory) Files(c projections.Chain) []File {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.chains[c])
}

// Chains are all chains that have files, in order.
func (m *Memory) Chains() []projections.Chain {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []projections.Chain
	for c := range m.chains {
		out = append(out, c)
	}
	slices.SortFunc(out, projections.Chain.Compare)
	return out
}

// Forget removes the newest file of a chain, as if the machine had crashed before it.
func (m *Memory) Forget(c projections.Chain) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chains[c] = m.chains[c][:len(m.chains[c])-1]
}

// Last implements projections.Sink.
func (m *Memory) Last(_ context.Context, c projections.Chain) (projections.Manifest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.chains[c]); n > 0 {
		return m.chains[c][n-1].Manifest, nil
	}
	return projections.Manifest{}, projections.ErrNoManifest
}

// Publish implements projections.Sink.
func (m *Memory) Publish(ctx context.Context, d *projections.Delta) (projections.Manifest, error) {
	if m.Fail != nil {
		if err := m.Fail(d); err != nil {
			return projections.Manifest{}, err
		}
	}
	var last *projections.Manifest
	var ref *projections.Reference
	if have, err := m.Last(ctx, d.Chain); err == nil {
		if have.Repeats(d) {
			return have, nil
		}
		last, ref = &have, &projections.Reference{File: have.Name()}
	} else if !errors.Is(err, projections.ErrNoManifest) {
		return projections.Manifest{}, err
	}
	manifest, err := projections.NewManifest(d, last, ref)
	if err != nil {
		return projections.Manifest{}, err
	}
	f := File{}
	err = d.Rows(ctx, func(r *projections.Row) error {
		return f.add(manifest, r)
	})
	if err != nil {
		return projections.Manifest{}, err
	}
	manifest.Data = projections.DataFile{File: manifest.Name(), Rows: int64(len(f.Rows))}
	f.Manifest = *manifest
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chains[d.Chain] = append(m.chains[d.Chain], f)
	return *manifest, nil
}

func (f *File) add(m *projections.Manifest, r *projections.Row) error {
	i := slices.IndexFunc(m.Tables, func(t projections.TableContents) bool { return t.Table == r.Table })
	if i < 0 {
		return fmt.Errorf("table %s is not in the schema of the area", r.Table)
	}
	if r.Op == projections.OpNone {
		m.Tables[i].NetZero++
		return nil
	}
	f.Rows = append(f.Rows, RowText(r))
	return m.Tables[i].Rows.Add(r.Op, 1)
}

// RowText is a row as the tests of this package and its users compare them: "I samtale {key} {row} xid 7 × 2".
func RowText(r *projections.Row) string {
	s := fmt.Sprintf("%c %s", r.Op, r.Table)
	for _, part := range [][]byte{r.Key, r.Row} {
		if len(part) > 0 {
			s += " " + string(part)
		}
	}
	return fmt.Sprintf("%s xid %d × %d", s, r.XID, r.Changes)
}
