package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"supstream/agreements"
	"supstream/internal/mirror"
	"supstream/projections"
	"supstream/sinks"
)

// proof is what the demo found out about the files.
type proof struct {
	vendors  []*vendorProof
	foreign  []string // folders of the outbox that belong to nobody who has a grant
	excluded int64    // rows of the mirror with the text that must not leave
	files    found    // the search for it everywhere but in Postgres
	store    found    // of which in the store of JetStream
	took     time.Duration
}

// vendorProof is what was found about the files of one vendor.
type vendorProof struct {
	agreements.Opgaveloeser
	chains   []projections.Chain
	reports  []sinks.ChainReport
	full     int      // full loads among the files
	problems []string // with files: signature, chain, digests; and rows of others
	tables   []comparison
}

// The vendors' databases hold their rows in this schema.
const vendorSchema = "leverance"

// prove checks the files of all vendors, loads them and compares.
func (d *demo) prove(ctx context.Context) (*proof, error) {
	begun := time.Now()
	key, err := sinks.LoadOrCreateKey(d.place.path("data/keys/manifest.pem"))
	if err != nil {
		return nil, err
	}
	reader := &sinks.Reader{Keys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}}
	p := &proof{}
	d.screen.passing("  checking, loading and comparing")
	defer d.screen.clear()
	var g errgroup.Group
	g.SetLimit(2)
	for _, o := range d.register.Opgaveloesere() {
		v := &vendorProof{Opgaveloeser: o, chains: chainsOf(d.chains, o.ID)}
		p.vendors = append(p.vendors, v)
		g.Go(func() error { return d.proveVendor(ctx, reader, v) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if p.foreign, err = foreign(d.place.path(demoOutbox), d.chains); err != nil {
		return nil, err
	}
	if err := d.proveExcluded(ctx, p); err != nil {
		return nil, err
	}
	p.took = time.Since(begun)
	return p, d.place.write(demoComparison, p.everyTable())
}

func (d *demo) proveVendor(ctx context.Context, reader *sinks.Reader, v *vendorProof) error {
	dir := filepath.Join(d.place.path(demoOutbox), v.ID)
	if err := v.checkFiles(ctx, reader, dir); err != nil || len(v.chains) == 0 {
		return err
	}
	database := "vendor_" + strings.ReplaceAll(v.ID, "-", "_")
	if err := d.pg.CreateDatabase(ctx, database); err != nil {
		return err
	}
	vendor, err := d.pg.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer vendor.Close(ctx)
	if _, err := vendor.Exec(ctx, "SET synchronous_commit = off"); err != nil { // it is thrown away
		return err
	}
	if err := v.load(ctx, reader, dir, vendor); err != nil {
		return err
	}
	truth, err := d.pg.Connect(ctx, mirrorDatabase)
	if err != nil {
		return err
	}
	defer truth.Close(ctx)
	c := comparer{mirror: d.mirror, catalog: d.catalog, truth: truth, vendor: vendor, schema: vendorSchema}
	tables, strangers, err := c.compare(ctx, v.chains)
	v.tables, v.problems = tables, append(v.problems, strangers...)
	return err
}

// proveExcluded looks everywhere for what must not have left the mirror.
func (d *demo) proveExcluded(ctx context.Context, p *proof) error {
	conn, err := d.pg.Connect(ctx, mirrorDatabase)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if p.excluded, err = excluded(ctx, conn); err != nil {
		return err
	}
	const control = `"kommune_kode"` // a column that every vendor gets
	s, err := newSearcher(mirror.NeverLeaves, control)
	if err != nil {
		return err
	}
	defer s.zstd.Close()
	store := d.place.path("data/nats")
	if p.store, err = s.walk(store); err != nil {
		return err
	}
	others, err := s.walk(d.place.dir, d.place.path("postgres"), store)
	p.files = p.store.plus(others)
	return err
}

// foreign lists the files of an outbox that lie in no chain of the agreements, the public keys of vendors with grants apart.
func foreign(outbox string, chains []projections.Chain) ([]string, error) {
	known := map[string]bool{}
	for _, c := range chains {
		known[filepath.Join(outbox, filepath.FromSlash(c.String()))] = true
		known[filepath.Join(outbox, c.Opgaveloeser, sinks.KeysFolder)] = true
	}
	var out []string
	err := filepath.WalkDir(outbox, func(p string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !known[filepath.Dir(p)] {
			out = append(out, p)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for files of nobody: %w", err)
	}
	return out, nil
}

// verdict is nil when everything holds.
func (p *proof) verdict() error {
	var wrong []error
	for _, v := range p.vendors {
		for _, problem := range v.problems {
			wrong = append(wrong, fmt.Errorf("%s: %s", v.ID, problem))
		}
		for _, c := range v.tables {
			if c.differences() > 0 {
				wrong = append(wrong, errors.New(c.String()))
			}
		}
	}
	for _, f := range p.foreign {
		wrong = append(wrong, fmt.Errorf("%s: nobody has a grant for this file", f))
	}
	for _, f := range p.files.hits {
		wrong = append(wrong, fmt.Errorf("%s: holds what must not leave the mirror", f))
	}
	for _, f := range p.files.broken {
		wrong = append(wrong, fmt.Errorf("%s: cannot be unpacked", f))
	}
	if p.files.control == 0 || p.store.control == 0 {
		wrong = append(wrong, errors.New("the search for what must not leave the mirror did not find what it must find, so it shows nothing"))
	}
	if p.rows() == 0 {
		wrong = append(wrong, errors.New("no row was compared, so the comparison shows nothing"))
	}
	const shown = 20
	if n := len(wrong) - shown; n > 0 {
		wrong = append(wrong[:shown], fmt.Errorf("and %d more", n))
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("demo: it does not hold:\n%w", errors.Join(wrong...))
}

// rows is how many rows were compared.
func (p *proof) rows() int {
	sum := 0
	for _, v := range p.vendors {
		for _, c := range v.tables {
			sum += c.rows
		}
	}
	return sum
}
