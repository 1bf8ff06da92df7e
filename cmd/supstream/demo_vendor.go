package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"supstream/projections"
	"supstream/sinks"
)

// checkFiles verifies a vendor's folder as the vendor would, and that it holds its chains, all of them and no other.
func (v *vendorProof) checkFiles(ctx context.Context, reader *sinks.Reader, dir string) error {
	_, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(v.chains) == 0:
		return nil // nothing was granted, and nothing is there
	case errors.Is(err, fs.ErrNotExist):
		v.problems = append(v.problems, "it has no folder")
		return nil
	case err != nil:
		return err
	case len(v.chains) == 0:
		v.problems = append(v.problems, "it has a folder, and no grant")
		return nil
	}
	if v.reports, err = reader.Verify(ctx, dir); err != nil {
		return err
	}
	want := map[projections.Chain]bool{}
	for _, c := range v.chains {
		want[c] = true
	}
	for _, r := range v.reports {
		if r.Problem != nil {
			v.problems = append(v.problems, fmt.Sprintf("%s: %v", r.Dir, r.Problem))
			continue
		}
		if !want[r.Chain] {
			v.problems = append(v.problems, fmt.Sprintf("%s: there is no grant for it", r.Dir))
		}
		delete(want, r.Chain)
		full, err := filepath.Glob(filepath.Join(r.Dir, "*."+projections.FullLoad.Letter()+sinks.ManifestSuffix))
		if err != nil {
			return err
		}
		v.full += len(full)
	}
	for c := range want {
		v.problems = append(v.problems, fmt.Sprintf("%s: it has no files that are right", c))
	}
	return nil
}

// load applies all files to an empty database. What cannot be applied is a problem.
func (v *vendorProof) load(ctx context.Context, reader *sinks.Reader, dir string, conn *pgx.Conn) error {
	store, err := sinks.NewPostgresStore(ctx, conn, vendorSchema)
	if err != nil {
		return err
	}
	reports, err := reader.Apply(ctx, dir, store)
	if err != nil {
		return fmt.Errorf("load the files of %s: %w", v.ID, err)
	}
	for _, r := range reports {
		if r.Problem != nil {
			v.problems = append(v.problems, fmt.Sprintf("%s: load: %v", r.Dir, r.Problem))
		}
	}
	return nil
}
