package sinks

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"

	"supstream/projections"
	"supstream/projections/durable"
)

// KeysFolder is the folder of an Opgaveloeser with the public keys of the manifests.
const KeysFolder = "keys"

// Outbox keeps chains of files below a directory. One process at a time may write to it; readers need no lock, for a manifest
// appears after everything that it names and nothing changes afterwards.
type Outbox struct {
	fsys     durable.FS
	dir      string
	key      ed25519.PrivateKey
	public   ed25519.PublicKey
	encoders sync.Pool

	mu   sync.Mutex      // guards keys
	keys map[string]bool // Opgaveloesere that have the public key
}

var _ projections.Sink = (*Outbox)(nil)

// NewOutbox takes a directory into use, which is made when the first file is.
func NewOutbox(fsys durable.FS, dir string, key ed25519.PrivateKey) (*Outbox, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("outbox: the signing key is not an Ed25519 key")
	}
	return &Outbox{fsys: fsys, dir: dir, key: key, public: public, keys: map[string]bool{}}, nil
}

// PublicKey is the key that the manifests are checked with.
func (o *Outbox) PublicKey() ed25519.PublicKey { return o.public }

func (o *Outbox) chainDir(c projections.Chain) string {
	return filepath.Join(o.dir, filepath.FromSlash(c.String()))
}

// Last implements projections.Sink.
func (o *Outbox) Last(_ context.Context, c projections.Chain) (projections.Manifest, error) {
	files, err := listChain(o.fsys, o.chainDir(c))
	if err != nil {
		return projections.Manifest{}, fmt.Errorf("outbox: %w", err)
	}
	m, _, err := o.newest(c, files)
	if err != nil {
		return projections.Manifest{}, err
	}
	if m == nil {
		return projections.Manifest{}, projections.ErrNoManifest
	}
	return *m, nil
}

// newest reads the newest manifest of a listing; nil when there is none.
func (o *Outbox) newest(c projections.Chain, files []fileName) (*projections.Manifest, *projections.Reference, error) {
	for i := len(files) - 1; i >= 0; i-- {
		if !files[i].manifest {
			continue
		}
		name := filepath.Join(o.chainDir(c), files[i].name)
		b, err := readAll(o.fsys, name, MaxManifest)
		if err != nil {
			return nil, nil, fmt.Errorf("outbox: %w", err)
		}
		m, err := parseManifest(b) // by us, or by us with an earlier key
		if err != nil {
			return nil, nil, fmt.Errorf("outbox: %s: %w; restore it from a copy, or remove the folder to begin with a full load", name, err)
		}
		return m, &projections.Reference{File: files[i].name, SHA256: hexSHA256(b)}, nil
	}
	return nil, nil, nil
}

// Publish implements projections.Sink: the data file first, then the manifest, each complete before it has its name.
func (o *Outbox) Publish(ctx context.Context, d *projections.Delta) (projections.Manifest, error) {
	m, err := o.publish(ctx, d)
	if err != nil {
		return projections.Manifest{}, fmt.Errorf("outbox: %w", err)
	}
	return *m, nil
}

func (o *Outbox) publish(ctx context.Context, d *projections.Delta) (*projections.Manifest, error) {
	dir := o.chainDir(d.Chain)
	files, err := listChain(o.fsys, dir)
	if err != nil {
		return nil, err
	}
	last, ref, err := o.newest(d.Chain, files)
	if err != nil {
		return nil, err
	}
	if last != nil && last.Repeats(d) {
		return last, nil
	}
	m, err := projections.NewManifest(d, last, ref)
	if err != nil {
		return nil, err
	}
	if err := o.prepare(d.Chain, m.Sequence, files); err != nil {
		return nil, err
	}
	m.Key = KeyID(o.public)
	data := m.Name() + DataSuffix
	err = durable.Write(o.fsys, filepath.Join(dir, data), func(w io.Writer) error { return o.encode(ctx, w, d, m) })
	if err != nil {
		return nil, err
	}
	m.Data.File = data
	text, err := EncodeManifest(m, o.key)
	if err != nil {
		return nil, err
	}
	err = durable.Write(o.fsys, filepath.Join(dir, m.Name()+ManifestSuffix), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// prepare makes the folders, puts the public key beside them and removes what an attempt left that never got a manifest.
func (o *Outbox) prepare(c projections.Chain, sequence uint64, files []fileName) error {
	dir := o.chainDir(c)
	if err := o.fsys.MkdirAll(dir); err != nil {
		return err
	}
	if err := durable.Sweep(o.fsys, dir); err != nil {
		return err
	}
	for _, f := range files {
		if f.sequence >= sequence {
			if err := o.fsys.Remove(filepath.Join(dir, f.name)); err != nil {
				return fmt.Errorf("remove a file without manifest: %w", err)
			}
		}
	}
	return o.publishKey(c.Opgaveloeser)
}

func (o *Outbox) publishKey(opgaveloeser string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys[opgaveloeser] {
		return nil
	}
	text, err := EncodePublicKey(o.public)
	if err != nil {
		return err
	}
	dir := filepath.Join(o.dir, opgaveloeser, KeysFolder)
	if err := o.fsys.MkdirAll(dir); err != nil {
		return err
	}
	err = durable.Write(o.fsys, filepath.Join(dir, KeyID(o.public)+".pem"), func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	o.keys[opgaveloeser] = true
	return nil
}

// encode writes the rows and counts them in the manifest.
func (o *Outbox) encode(ctx context.Context, w io.Writer, d *projections.Delta, m *projections.Manifest) error {
	e, _ := o.encoders.Get().(*Encoder)
	if e == nil {
		var err error
		if e, err = NewEncoder(); err != nil {
			return err
		}
	}
	e.Reset(w)
	tables := tallyOf(m)
	err := d.Rows(ctx, func(r *projections.Row) error {
		if err := tables.add(r); err != nil {
			return err
		}
		if r.Op == projections.OpNone {
			return nil
		}
		return e.Row(r)
	})
	if err != nil {
		return err // the encoder is in the middle of a frame: it is not used again
	}
	if m.Data, err = e.Close(); err != nil {
		return err
	}
	o.encoders.Put(e)
	return nil
}

// tally counts rows in the tables of a manifest.
type tally struct {
	tables []projections.TableContents
	recent *projections.TableContents
}

func tallyOf(m *projections.Manifest) *tally { return &tally{tables: m.Tables} }

func (t *tally) add(r *projections.Row) error {
	if t.recent == nil || t.recent.Table != r.Table {
		t.recent = nil
		for i := range t.tables {
			if t.tables[i].Table == r.Table {
				t.recent = &t.tables[i]
			}
		}
		if t.recent == nil {
			return fmt.Errorf("table %s is not in the schema of the area", r.Table)
		}
	}
	if r.Op == projections.OpNone {
		t.recent.NetZero++
		return nil
	}
	return t.recent.Rows.Add(r.Op, 1)
}

// listChain lists the files of a chain by name, which is the order of sequence; none when the folder is not there.
func listChain(fsys durable.FS, dir string) ([]fileName, error) {
	entries, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []fileName
	for _, e := range entries {
		if f, ok := parseName(e.Name()); ok && !e.IsDir() {
			out = append(out, f)
		}
	}
	return out, nil
}
