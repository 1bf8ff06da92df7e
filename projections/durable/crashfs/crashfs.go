// Package crashfs is a file system in memory for tests of durability. It keeps apart what was written and what would
// survive a power cut: content lasts after Sync, names last after SyncDir.
//
// Every step that changes something is counted. CrashAt makes one of them fail, and all after it, as if the power were cut
// just before it; Recover then gives the file system as it would be found after the restart. FailAt makes a single step
// fail with an error of choice, for instance a full disk.
package crashfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"testing/fstest"

	"supstream/projections/durable"
)

// ErrCrashed is the error of every step at and after the crash.
var ErrCrashed = errors.New("the machine has crashed")

// FS implements durable.FS.
type FS struct {
	mu      sync.Mutex // guards all below
	now     map[string]*node
	lasting map[string]*node
	dirs    map[string]bool
	steps   int
	crashAt int
	failAt  int
	failure error
}

type node struct{ content, synced []byte }

var _ durable.FS = (*FS)(nil)

// New returns an empty file system.
func New() *FS {
	return &FS{now: map[string]*node{}, lasting: map[string]*node{}, dirs: map[string]bool{".": true, "/": true}}
}

// Steps is the number of changing steps so far.
func (f *FS) Steps() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.steps
}

// CrashAt cuts the power just before step n, counted from 1 and from now on.
func (f *FS) CrashAt(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashAt = f.steps + n
}

// FailAt makes step n, counted from 1 and from now on, fail with err without doing anything.
func (f *FS) FailAt(n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failAt, f.failure = f.steps+n, err
}

// Recover returns what is found after the crash: names that were synced, each with the content that was synced.
func (f *FS) Recover() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := New()
	for dir := range f.dirs {
		out.dirs[dir] = true
	}
	for name, n := range f.lasting {
		kept := &node{content: bytes.Clone(n.synced), synced: bytes.Clone(n.synced)}
		out.now[name], out.lasting[name] = kept, kept
	}
	return out
}

// Files returns the files as a reader sees them now.
func (f *FS) Files() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]string{}
	for name, n := range f.now {
		out[name] = string(n.content)
	}
	return out
}

// Put writes a file as if it had always been there.
func (f *FS) Put(name, content string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = path.Clean(name)
	n := &node{content: []byte(content), synced: []byte(content)}
	f.now[name], f.lasting[name] = n, n
	f.mkdirs(path.Dir(name))
}

// step counts a change; it must be called with mu held.
func (f *FS) step() error {
	if f.crashAt > 0 && f.steps+1 >= f.crashAt {
		return ErrCrashed
	}
	f.steps++
	if f.failAt == f.steps {
		return f.failure
	}
	return nil
}

// Create implements durable.FS.
func (f *FS) Create(name string) (durable.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = path.Clean(name)
	if err := f.step(); err != nil {
		return nil, err
	}
	if !f.dirs[path.Dir(name)] {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrNotExist}
	}
	n := &node{}
	f.now[name] = n
	return &handle{f, n}, nil
}

// Open implements durable.FS.
func (f *FS) Open(name string) (durable.ReadFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.now[path.Clean(name)]
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return reader{bytes.NewReader(bytes.Clone(n.content))}, nil
}

// Rename implements durable.FS.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, to = path.Clean(from), path.Clean(to)
	if err := f.step(); err != nil {
		return err
	}
	if f.now[from] == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	f.now[to] = f.now[from]
	delete(f.now, from)
	return nil
}

// Remove implements durable.FS.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = path.Clean(name)
	if err := f.step(); err != nil {
		return err
	}
	if f.now[name] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(f.now, name)
	return nil
}

// MkdirAll implements durable.FS.
func (f *FS) MkdirAll(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir = path.Clean(dir)
	if f.dirs[dir] {
		return nil
	}
	if err := f.step(); err != nil {
		return err
	}
	f.mkdirs(dir)
	return nil
}

func (f *FS) mkdirs(dir string) {
	for ; !f.dirs[dir]; dir = path.Dir(dir) {
		f.dirs[dir] = true
	}
}

// ReadDir implements durable.FS.
func (f *FS) ReadDir(dir string) ([]fs.DirEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir = path.Clean(dir)
	if !f.dirs[dir] {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: fs.ErrNotExist}
	}
	tree := fstest.MapFS{}
	for name, n := range f.now {
		if path.Dir(name) == dir {
			tree[path.Base(name)] = &fstest.MapFile{Data: n.content}
		}
	}
	for name := range f.dirs {
		if path.Dir(name) == dir && name != dir {
			tree[path.Base(name)] = &fstest.MapFile{Mode: fs.ModeDir}
		}
	}
	entries, err := tree.ReadDir(".")
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// SyncDir implements durable.FS.
func (f *FS) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir = path.Clean(dir)
	if err := f.step(); err != nil {
		return err
	}
	for name := range f.lasting {
		if path.Dir(name) == dir {
			delete(f.lasting, name)
		}
	}
	for name, n := range f.now {
		if path.Dir(name) == dir {
			f.lasting[name] = n
		}
	}
	return nil
}

type handle struct {
	fs *FS
	n  *node
}

func (h *handle) Write(p []byte) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.step(); err != nil {
		return 0, err
	}
	h.n.content = append(h.n.content, p...)
	return len(p), nil
}

func (h *handle) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.step(); err != nil {
		return err
	}
	h.n.synced = bytes.Clone(h.n.content)
	return nil
}

func (h *handle) Close() error { return nil }

type reader struct{ *bytes.Reader }

func (r reader) Close() error         { return nil }
func (r reader) Size() (int64, error) { return r.Reader.Size(), nil }

var _ io.ReaderAt = reader{}
