package sinks

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"supstream/projections"
)

// ChainReport is what Verify found in one folder. Problem is the first thing that is wrong; nil when all is well up to Newest.
type ChainReport struct {
	Dir      string
	Chain    projections.Chain // of the first manifest that could be read
	Files    int               // manifests with their data that are right
	Rows     int64
	Bytes    int64 // of data files
	First    uint64
	Newest   uint64
	Position string    // the chain holds everything committed before it
	Until    time.Time // the same on the clock of Postgres
	Problem  *Problem
	Extra    []string // files that no manifest lists; a reader leaves them alone
}

// Verify checks every chain below a folder: signatures, names, sequence, links, contiguity, sizes, digests, counts and rows. The
// error is for what could not be looked at; what is wrong with a chain is in its report. A folder without chains is an error.
func (r *Reader) Verify(ctx context.Context, dir string) ([]ChainReport, error) {
	folders, err := r.folders(dir)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	if len(folders) == 0 {
		return nil, fmt.Errorf("verify: %s holds no files of a chain", dir)
	}
	out := make([]ChainReport, 0, len(folders))
	for i := range folders {
		report, err := r.verifyChain(ctx, &folders[i])
		if err != nil {
			return out, fmt.Errorf("verify: %w", err)
		}
		out = append(out, report)
	}
	return out, nil
}

func (r *Reader) verifyChain(ctx context.Context, c *chainFolder) (ChainReport, error) {
	report := ChainReport{Dir: c.dir, Extra: c.extra}
	listed := map[string]bool{}
	var last *link
	for _, f := range c.files {
		if !f.manifest || report.Problem != nil {
			continue
		}
		l, problem := r.readLink(c, f)
		if problem == nil {
			listed[l.name], listed[l.manifest.Data.File] = true, true
			if problem = begins(l, last); problem == nil {
				if err := r.readData(ctx, c.dir, l.manifest, func(*projections.Row) error { return nil }); err != nil && !errors.As(err, &problem) {
					return report, err
				}
			}
		}
		if problem != nil {
			report.Problem = problem
			continue
		}
		report.add(l)
		last = l
	}
	if report.Problem == nil {
		for _, f := range c.files {
			if !listed[f.name] {
				report.Extra = append(report.Extra, f.name)
			}
		}
	}
	if last == nil && report.Problem == nil {
		report.Problem = &Problem{filepath.Base(c.dir), "it has data files and no manifest", "wait for the manifest, which comes last, or fetch it"}
	}
	return report, nil
}

// begins checks the place of a link: after the one before, or as the first of what is there, which must be a full load.
func begins(l, last *link) *Problem {
	if last != nil {
		return l.follows(last)
	}
	if !l.manifest.Kind.Replaces() {
		return &Problem{l.name, "it is a delta, and what it builds on is not there", askFull}
	}
	return nil
}

func (c *ChainReport) add(l *link) {
	m := l.manifest
	if c.Files == 0 {
		c.Chain, _ = m.Chain() // checked when it was read
		c.First = m.Sequence
	}
	c.Files++
	c.Rows += m.Data.Rows
	c.Bytes += m.Data.Bytes
	c.Newest, c.Position, c.Until = m.Sequence, m.To.Position, m.Period.End
}
