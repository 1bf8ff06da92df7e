package sinks

import (
	"context"
	"errors"
	"fmt"

	"supstream/projections"
)

// Applied is the newest file of a chain that a Store holds; zero for none.
type Applied struct {
	Sequence uint64
	SHA256   string // of the manifest
}

// Store is where a receiver keeps the rows: a database, or memory. Rows of different chains do not mix.
type Store interface {
	// Applied tells how far a chain has come.
	Applied(ctx context.Context, c projections.Chain) (Applied, error)

	// Begin starts to load one file. Nothing of it may be seen before Commit.
	Begin(ctx context.Context, c projections.Chain, m *projections.Manifest) (Load, error)
}

// Load takes the rows of one file, then Commit or Rollback. A full load replaces all rows of the chain.
type Load interface {
	// Row stores (I and U), removes (D and O, harmless when the row is not there) or empties a table (T). The row is valid during
	// the call.
	Row(ctx context.Context, r *projections.Row) error
	// Commit makes the rows and the new state of the chain visible, both or neither.
	Commit(ctx context.Context, now Applied) error
	// Rollback forgets the file. After Commit it does nothing.
	Rollback(ctx context.Context) error
}

// ApplyReport is what Apply did to one chain.
type ApplyReport struct {
	Dir     string
	Chain   projections.Chain
	Files   int
	Rows    int64
	Newest  uint64 // sequence the store is at
	Problem *Problem
}

// Apply loads every chain below a folder into a store: each file once, in order, checked before it is committed. A chain that the
// store does not know begins with its newest full load. Applying again does nothing. A file that is damaged, missing or wrongly
// signed stops its chain, with a Problem, and leaves the store as it was after the file before.
func (r *Reader) Apply(ctx context.Context, dir string, into Store) ([]ApplyReport, error) {
	folders, err := r.folders(dir)
	if err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	var out []ApplyReport
	for i := range folders {
		report, err := r.applyChain(ctx, &folders[i], into)
		if err != nil {
			return out, fmt.Errorf("apply %s: %w", folders[i].dir, err)
		}
		out = append(out, report)
	}
	return out, nil
}

func (r *Reader) applyChain(ctx context.Context, c *chainFolder, into Store) (ApplyReport, error) {
	report := ApplyReport{Dir: c.dir}
	links, problem := r.readLinks(c)
	report.Problem = problem
	if len(links) == 0 {
		return report, nil
	}
	report.Chain, _ = links[0].manifest.Chain() // checked when it was read
	at, err := into.Applied(ctx, report.Chain)
	if err != nil {
		return report, err
	}
	report.Newest = at.Sequence
	todo, problem := remaining(links, at)
	if problem != nil {
		report.Problem = problem
		return report, nil
	}
	for _, l := range todo {
		err := r.load(ctx, c.dir, report.Chain, l, into)
		if problem := (*Problem)(nil); errors.As(err, &problem) {
			report.Problem = problem
			return report, nil
		}
		if err != nil {
			return report, fmt.Errorf("%s: %w", l.name, err)
		}
		report.Files++
		report.Rows += l.manifest.Data.Rows
		report.Newest = l.manifest.Sequence
	}
	return report, nil
}

// readLinks reads the manifests of a chain up to the first that is wrong.
func (r *Reader) readLinks(c *chainFolder) ([]*link, *Problem) {
	var out []*link
	for _, f := range c.files {
		if !f.manifest {
			continue
		}
		l, problem := r.readLink(c, f)
		if problem == nil && len(out) > 0 {
			problem = l.follows(out[len(out)-1])
		}
		if problem != nil {
			return out, problem
		}
		out = append(out, l)
	}
	return out, nil
}

// remaining are the files that a store at a place still needs. A later full load closes every gap.
func remaining(links []*link, at Applied) ([]*link, *Problem) {
	for i, l := range links {
		m := l.manifest
		switch {
		case m.Sequence == at.Sequence && l.sha256 != at.SHA256:
			return nil, &Problem{l.name, "it was applied with another content", "load the chain into an empty store, beginning with a full load"}
		case m.Sequence == at.Sequence:
			return links[i+1:], nil
		case at.Sequence > 0 && m.Sequence == at.Sequence+1 && m.Previous.SHA256 == at.SHA256:
			return links[i:], nil
		}
	}
	newest := links[len(links)-1].manifest.Sequence
	if at.Sequence > newest {
		return nil, nil
	}
	for i := len(links) - 1; i >= 0; i-- {
		if m := links[i].manifest; m.Kind.Replaces() && m.Sequence > at.Sequence {
			return links[i:], nil
		}
	}
	return nil, &Problem{links[0].name, fmt.Sprintf("the store has the chain up to sequence %d, the next file here is %d", at.Sequence,
		links[0].manifest.Sequence), askFull}
}

// load applies one file in one transaction of the store.
func (r *Reader) load(ctx context.Context, dir string, c projections.Chain, l *link, into Store) (err error) {
	tx, err := into.Begin(ctx, c, l.manifest)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
		}
	}()
	err = r.readData(ctx, dir, l.manifest, func(row *projections.Row) error { return tx.Row(ctx, row) })
	if err != nil {
		return err
	}
	return tx.Commit(ctx, Applied{Sequence: l.manifest.Sequence, SHA256: l.sha256})
}
