// Package durable makes files that are either complete under their name or not there at all, whatever happens in between.
//
//	err := durable.Write(durable.OS{}, "/data/a.json", func(w io.Writer) error { … })
//
// writes to a temporary name beside the file, syncs it, renames it and syncs the directory. When Write returns without an
// error the file survives a power cut; when it does not, the name holds what it held before. A crash can leave temporary
// files behind; Sweep removes them.
package durable

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// TempSuffix ends the names of files that are being written. Readers ignore them.
const TempSuffix = ".tmp"

// FS is the part of a file system that durable files need. OS is the real one; tests use one that loses what was not synced.
type FS interface {
	// Create makes an empty file, or empties the one that is there.
	Create(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (ReadFile, error)
	// Rename moves a file over another within one directory; it lasts after SyncDir.
	Rename(from, to string) error
	// Remove deletes a file; it lasts after SyncDir.
	Remove(name string) error
	// MkdirAll makes a directory and its parents, durably.
	MkdirAll(dir string) error
	// ReadDir lists a directory by name.
	ReadDir(dir string) ([]fs.DirEntry, error)
	// SyncDir makes the names in a directory last.
	SyncDir(dir string) error
}

// File is a file being written. Sync makes its content last.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// ReadFile is a file being read.
type ReadFile interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Size() (int64, error)
}

const writeBuffer = 64 << 10

// Write makes the file name hold exactly what fill writes, or leaves it as it was. A failed attempt removes its temporary file.
func Write(fsys FS, name string, fill func(io.Writer) error) error {
	temp := name + TempSuffix
	err := writeSynced(fsys, temp, fill)
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		if rerr := fsys.Remove(temp); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			return errors.Join(err, rerr)
		}
		return err
	}
	if err := fsys.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

func writeSynced(fsys FS, name string, fill func(io.Writer) error) error {
	f, err := fsys.Create(name)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	w := bufio.NewWriterSize(f, writeBuffer)
	err = fill(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Sweep removes the temporary files that a crash left in a directory. A directory that is not there is swept.
func Sweep(fsys FS, dir string) error {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), TempSuffix) {
			if err := fsys.Remove(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("sweep: %w", err)
			}
		}
	}
	return nil
}

// IsFull tells whether an error means that there is no room left: waiting and trying again can help.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// OS is the file system of the machine.
type OS struct{}

var _ FS = OS{}

// Create implements FS.
func (OS) Create(name string) (File, error) { return os.Create(name) }

// Open implements FS.
func (OS) Open(name string) (ReadFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// ReadDir implements FS.
func (OS) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

// MkdirAll implements FS: each directory that it makes is synced into its parent.
func (o OS) MkdirAll(dir string) error {
	err := os.Mkdir(dir, 0o755)
	switch {
	case err == nil:
		return o.SyncDir(filepath.Dir(dir))
	case errors.Is(err, fs.ErrExist):
		info, serr := os.Stat(dir)
		if serr == nil && !info.IsDir() {
			return err
		}
		return serr
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir:
		if err := o.MkdirAll(filepath.Dir(dir)); err != nil {
			return err
		}
		return o.MkdirAll(dir)
	}
	return err
}

// SyncDir implements FS.
func (OS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
