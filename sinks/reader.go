package sinks

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"supstream/projections"
	"supstream/projections/durable"
)

// Reader reads trees of files as a vendor does: an outbox, what was fetched from one, or any folder within.
type Reader struct {
	Keys []ed25519.PublicKey // whose signatures count
	FS   durable.FS          // nil: the machine's files
}

func (r *Reader) fs() durable.FS {
	if r.FS == nil {
		return durable.OS{}
	}
	return r.FS
}

// Problem is what is wrong with a chain and what helps.
type Problem struct {
	File string // relative to the folder of the chain
	What string
	Ask  string // what to ask the sender for, or to do
}

// Error makes a Problem an error.
func (p *Problem) Error() string { return fmt.Sprintf("%s: %s; %s", p.File, p.What, p.Ask) }

const (
	askAgain = "fetch the file again; if it stays so, ask for a full load of the chain"
	askFull  = "fetch the missing files; if they are no longer there, ask for a full load of the chain"
	askKey   = "compare the key with the one that you were given when you were connected; do not load the file"
)

// chainFolder is one folder with manifests or data files.
type chainFolder struct {
	dir   string
	files []fileName
	extra []string // names that are not those of a chain
}

// folders finds the chains below dir, in order. A folder that cannot be one is passed by.
func (r *Reader) folders(dir string) ([]chainFolder, error) {
	entries, err := r.fs().ReadDir(dir)
	if err != nil {
		return nil, err
	}
	here := chainFolder{dir: dir}
	var out []chainFolder
	for _, e := range entries {
		f, isChain := parseName(e.Name())
		switch {
		case e.IsDir():
			below, err := r.folders(filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			out = append(out, below...)
		case isChain:
			here.files = append(here.files, f)
		case !strings.HasSuffix(e.Name(), durable.TempSuffix):
			here.extra = append(here.extra, e.Name())
		}
	}
	if len(here.files) > 0 {
		out = append([]chainFolder{here}, out...)
	}
	return out, nil
}

// link is a manifest whose place in the chain has been checked.
type link struct {
	name     string
	sha256   string // of the manifest
	manifest *projections.Manifest
}

// readLink reads the manifest and checks what it says of itself.
func (r *Reader) readLink(c *chainFolder, f fileName) (*link, *Problem) {
	b, err := readAll(r.fs(), filepath.Join(c.dir, f.name), MaxManifest)
	if err != nil {
		return nil, &Problem{f.name, fmt.Sprintf("cannot be read: %v", err), askAgain}
	}
	m, err := DecodeManifest(b, r.Keys)
	switch {
	case errors.Is(err, ErrSignature):
		return nil, &Problem{f.name, err.Error(), askKey}
	case err != nil:
		return nil, &Problem{f.name, err.Error(), askAgain}
	case m.Name()+ManifestSuffix != f.name:
		return nil, &Problem{f.name, "its content belongs to the name " + m.Name() + ManifestSuffix, askAgain}
	}
	if want := chainSuffix(m); !strings.HasSuffix(filepath.ToSlash(absolute(c.dir)), want) {
		return nil, &Problem{f.name, "it belongs into a folder " + strings.TrimPrefix(want, "/"), "remove it, and fetch the chain of this folder again"}
	}
	return &link{f.name, hexSHA256(b), m}, nil
}

// chainSuffix is how the folder of a chain ends, whatever it was copied to.
func chainSuffix(m *projections.Manifest) string {
	c, _ := m.Chain() // checked when it was read
	_, rest, _ := strings.Cut(c.String(), "/")
	return "/" + rest
}

func absolute(dir string) string {
	if a, err := filepath.Abs(dir); err == nil {
		return a
	}
	return dir
}

// follows checks that l comes right after last.
func (l *link) follows(last *link) *Problem {
	m, p := l.manifest, last.manifest
	gap := func(what string) *Problem { return &Problem{l.name, what, askFull} }
	switch {
	case m.Sequence != p.Sequence+1:
		return gap(fmt.Sprintf("sequence %d follows %d: %d files are missing", m.Sequence, p.Sequence, int64(m.Sequence-p.Sequence)-1))
	case m.Opgaveloeser != p.Opgaveloeser:
		return gap("it was made for another Opgaveloeser than the file before")
	case m.Previous.File != last.name:
		return gap("it follows " + m.Previous.File + ", which is not the file before it")
	case m.Previous.SHA256 != last.sha256:
		return gap("the manifest before it is not the one that it follows")
	case m.Kind.Replaces():
		return nil
	case m.From != p.To || m.Incarnation != p.Incarnation:
		return gap("it does not begin where the file before it ends")
	case !m.Period.Start.Equal(p.Period.End):
		return gap("its period does not begin where that of the file before ends")
	}
	return nil
}

// readData passes the rows of a file to yield and checks them against the manifest: size, digest, counts and order.
func (r *Reader) readData(ctx context.Context, dir string, m *projections.Manifest, yield func(*projections.Row) error) error {
	bad := func(format string, args ...any) error {
		return &Problem{m.Data.File, fmt.Sprintf(format, args...), askAgain}
	}
	f, err := r.fs().Open(filepath.Join(dir, m.Data.File))
	if errors.Is(err, fs.ErrNotExist) {
		return bad("the manifest lists it, but it is not there")
	}
	if err != nil {
		return bad("cannot be read: %v", err)
	}
	defer f.Close()
	if size, err := f.Size(); err != nil || size != m.Data.Bytes {
		return bad("it has %d bytes, the manifest says %d", size, m.Data.Bytes)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return bad("cannot be read: %v", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != m.Data.SHA256 {
		return bad("its SHA-256 is %s, the manifest says %s", got, m.Data.SHA256)
	}
	d, err := NewDecoder(io.NewSectionReader(f, 0, m.Data.Bytes))
	if err != nil {
		return bad("%v", err)
	}
	defer d.Close()
	found := newTally(m)
	var order rowOrder
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		row, err := d.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = errors.Join(found.add(row), order.check(row))
		}
		if err != nil {
			return bad("%v", err)
		}
		if d.Read() > m.Data.ContentBytes {
			break
		}
		if err := yield(row); err != nil {
			return err
		}
	}
	if d.Read() != m.Data.ContentBytes {
		return bad("it has not the %d bytes of content that the manifest says", m.Data.ContentBytes)
	}
	for i := range m.Tables {
		if found.tables[i].Rows != m.Tables[i].Rows {
			return bad("the rows of table %s are not as many as the manifest says", m.Tables[i].Table)
		}
	}
	return nil
}

// newTally counts from nothing, with the tables of a manifest.
func newTally(m *projections.Manifest) *tally {
	t := &tally{tables: slices.Clone(m.Tables)}
	for i := range t.tables {
		t.tables[i].Rows = projections.OpCounts{}
	}
	return t
}

// rowOrder checks that rows come in the order of table and key, each once.
type rowOrder struct {
	begun bool
	table string
	key   []byte
}

func (o *rowOrder) check(r *projections.Row) error {
	c := strings.Compare(o.table, r.Table)
	if c == 0 {
		c = strings.Compare(string(o.key), string(r.Key))
	}
	if o.begun && c >= 0 {
		return errors.New("the rows are not in the order of table and key")
	}
	o.begun, o.table = true, r.Table
	o.key = append(o.key[:0], r.Key...)
	return nil
}
