package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"supstream/internal/mirror"
)

// found is what a search through files saw.
type found struct {
	files   int
	bytes   int64    // read, unpacked ones included
	hits    []string // files that hold the text, by name or content
	broken  []string // files that could not be unpacked, so that what is in them was not seen
	control int      // files that hold the control text: 0 means that the search saw nothing
}

func (f found) plus(g found) found {
	return found{f.files + g.files, f.bytes + g.bytes, slices.Concat(f.hits, g.hits), slices.Concat(f.broken, g.broken), f.control + g.control}
}

// searcher looks for a text in files: in their names, in what they hold, and in what zstd and S2 have packed in them, as is done with our
// files and bases and with the blocks of JetStream. The control is a text that must be found; it shows that the search can see.
type searcher struct {
	text, control []byte
	zstd          *zstd.Decoder
}

func newSearcher(text, control string) (*searcher, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return &searcher{[]byte(text), []byte(control), d}, nil
}

// walk searches everything below dir but the folders to skip.
func (s *searcher) walk(dir string, skip ...string) (found, error) {
	var out found
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case slices.Contains(skip, p):
			return fs.SkipDir
		case bytes.Contains([]byte(e.Name()), s.text):
			out.hits = append(out.hits, p)
		}
		if !e.Type().IsRegular() {
			return nil
		}
		return s.file(p, &out)
	})
	if err != nil {
		return out, fmt.Errorf("search %s: %w", dir, err)
	}
	return out, nil
}

func (s *searcher) file(name string, out *found) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	hit, seen := false, false
	look := func(b []byte) {
		out.bytes += int64(len(b))
		hit = hit || bytes.Contains(b, s.text)
		seen = seen || bytes.Contains(b, s.control)
	}
	look(data)
	if err := s.unpack(data, look); err != nil {
		out.broken = append(out.broken, name)
	}
	out.files++
	if hit {
		out.hits = append(out.hits, name)
	}
	if seen {
		out.control++
	}
	return nil
}

// How packed data begin.
const (
	zstdMagic = "\x28\xb5\x2f\xfd"
	s2Magic   = "\xff\x06\x00\x00S2sTwO"
)

// unpack calls look with everything that is packed in a file.
func (s *searcher) unpack(data []byte, look func([]byte)) error {
	if bytes.HasPrefix(data, []byte(zstdMagic)) {
		plain, err := s.zstd.DecodeAll(data, nil)
		look(plain)
		return err
	}
	for {
		at := bytes.Index(data, []byte(s2Magic))
		if at < 0 {
			return nil
		}
		// What follows an S2 stream is none: the reader ends there with an error, after all that it could unpack.
		rest := bytes.NewReader(data[at:])
		plain, _ := io.ReadAll(s2.NewReader(rest))
		look(plain)
		data = data[max(at+len(s2Magic), len(data)-rest.Len()-len(s2Magic)):]
	}
}

// excluded counts the rows of the mirror that hold what must never leave it.
func excluded(ctx context.Context, conn *pgx.Conn) (int64, error) {
	rows, err := conn.Query(ctx, "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables "+
		"WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')")
	if err != nil {
		return 0, fmt.Errorf("list the tables of the mirror: %w", err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, fmt.Errorf("list the tables of the mirror: %w", err)
	}
	var sum int64
	for _, t := range tables {
		var n int64
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+t+" r WHERE strpos(r::text, $1) > 0", mirror.NeverLeaves).Scan(&n); err != nil {
			return 0, fmt.Errorf("count what is excluded in %s: %w", t, err)
		}
		sum += n
	}
	if sum == 0 {
		return 0, errors.New("the mirror holds nothing that is excluded, so its absence elsewhere would show nothing")
	}
	return sum, nil
}
