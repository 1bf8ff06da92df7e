package durable_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"supstream/projections/durable"
	"supstream/projections/durable/crashfs"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// At every step at which the power can be cut, the name holds the old content or the new one, and nothing else.
func TestWriteSurvivesEveryCrash(t *testing.T) {
	for at := 1; ; at++ {
		fsys := crashfs.New()
		fsys.Put("d/a", "old")
		fsys.CrashAt(at)
		err := durable.Write(fsys, "d/a", text("new"))
		after := fsys.Recover().Files()
		if err == nil {
			if after["d/a"] != "new" {
				t.Fatalf("written without error, but after a crash it is %q", after["d/a"])
			}
			if at != 6 { // create, write, sync, rename, sync of the directory
				t.Fatalf("%d steps, want 5", at-1)
			}
			return
		}
		if !errors.Is(err, crashfs.ErrCrashed) {
			t.Fatalf("step %d: %v", at, err)
		}
		if after["d/a"] != "old" {
			t.Errorf("crash at step %d: %q, want the old content", at, after["d/a"])
		}
	}
}

func TestWriteOnFullDisk(t *testing.T) {
	fsys := crashfs.New()
	fsys.Put("d/a", "old")
	fsys.FailAt(2, syscall.ENOSPC)
	err := durable.Write(fsys, "d/a", text("new"))
	if !durable.IsFull(err) {
		t.Fatalf("error %v is not about a full disk", err)
	}
	if got := fsys.Files(); len(got) != 1 || got["d/a"] != "old" {
		t.Fatalf("files after a full disk: %q", got)
	}
}

func TestOS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	fsys := durable.OS{}
	if err := fsys.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := fsys.MkdirAll(dir); err != nil {
		t.Fatalf("a second time: %v", err)
	}
	name := filepath.Join(dir, "x")
	for _, content := range []string{"one", "two"} {
		if err := durable.Write(fsys, name, text(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil || string(got) != content {
			t.Fatalf("read %q, %v; want %q", got, err, content)
		}
	}
	if err := os.WriteFile(name+durable.TempSuffix, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := durable.Sweep(fsys, dir); err != nil {
		t.Fatal(err)
	}
	entries, err := fsys.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "x" {
		t.Fatalf("after the sweep: %v, %v", entries, err)
	}
	if err := fsys.MkdirAll(filepath.Join(name, "c")); err == nil {
		t.Fatal("made a directory below a file")
	}
}
