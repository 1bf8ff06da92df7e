package mirror

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// FillOptions says what a mirror is filled with.
type FillOptions struct {
	Seed     uint64
	Citizens int // default 5000
	// Progress, when not nil, is told after each table: its name, its rows, and the tables done and in all.
	Progress func(table string, rows int64, done, tables int)
}

// Filled tells what Fill wrote.
type Filled struct {
	Citizens int
	Rows     int64
	Tables   map[string]int64 // rows by schema.table
}

// Fill writes synthetic citizens and their rows to the empty tables of a mirror, one transaction per table. The content depends on
// the catalogue, the seed and the number of citizens only.
func (m *Mirror) Fill(ctx context.Context, conn *pgx.Conn, opts FillOptions) (Filled, error) {
	if opts.Citizens == 0 {
		opts.Citizens = 5000
	}
	k := m.newMaker(opts.Seed, uint64(opts.Citizens))
	filled := Filled{Citizens: opts.Citizens, Tables: map[string]int64{}}
	for i, s := range m.tables {
		n, err := k.copyTable(ctx, conn, s)
		if err != nil {
			return filled, fmt.Errorf("fill table %s: %w", s.Table, err)
		}
		filled.Tables[s.Table.String()] = n
		filled.Rows += n
		if opts.Progress != nil {
			opts.Progress(s.Table.String(), n, i+1, len(m.tables))
		}
	}
	if err := execute(ctx, conn, "ANALYZE"); err != nil {
		return filled, fmt.Errorf("analyze the filled mirror: %w", err)
	}
	return filled, nil
}

// copyTable writes all rows of a table with COPY.
func (k *maker) copyTable(ctx context.Context, conn *pgx.Conn, s *shape) (int64, error) {
	return copyRows(ctx, conn, s, func(w *copyWriter) {
		var buf []value
		switch s.nature {
		case reference:
			for id := range k.referenceRows(s) {
				k.r.restart(hash("row", k.seed, id), hash(s.name))
				kommune := ""
				if len(k.kommuner.codes) > 0 {
					kommune, _ = k.centre(id)
				}
				buf = k.row(s, &citizen{kommune: kommune}, id, k.someDay(), buf)
				w.row(buf)
			}
		case shared:
			for id := range k.sharedRows() {
				k.r.restart(hash("row", k.seed, id), hash(s.name))
				c := citizen{number: id, kommune: k.someKommune(0.02, 0.01)}
				buf = k.row(s, &c, id, k.someDay(), buf)
				w.row(buf)
			}
		default:
			for n := range k.citizens {
				rows := k.rows(s, n)
				if rows == 0 {
					continue
				}
				c := k.citizen(n)
				for i := range rows {
					id := n<<rowBits | uint64(i)
					k.r.restart(hash("row", k.seed, id), hash(s.name))
					buf = k.row(s, &c, id, k.someDay(), buf)
					w.row(buf)
				}
			}
		}
	})
}

// someDay is a moment from 2020 to 2025, most of them late.
func (k *maker) someDay() time.Time {
	const micros = 6 * 365 * 24 * 3600 * 1_000_000
	back := k.r.Float64()
	return time.Date(2025, 12, 31, 12, 0, 0, 0, time.UTC).Add(-time.Duration(back*back*micros) * time.Microsecond)
}

// copyRows sends rows in the text format of COPY while write makes them. It stops early, without an error of its own, when the
// server refuses them.
func copyRows(ctx context.Context, conn *pgx.Conn, s *shape, write func(*copyWriter)) (int64, error) {
	read, pipe := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := copyWriter{out: bufio.NewWriterSize(pipe, 1<<16)}
		write(&w)
		if w.err == nil {
			w.err = w.out.Flush()
		}
		pipe.CloseWithError(w.err)
	}()
	tag, err := conn.PgConn().CopyFrom(ctx, read, fmt.Sprintf("COPY %s (%s) FROM STDIN", s.name, s.columnList()))
	read.CloseWithError(io.ErrClosedPipe) // ends a writer that is still at work
	<-done
	return tag.RowsAffected(), err
}

// copyWriter writes rows in the text format of COPY. After an error it writes nothing.
type copyWriter struct {
	out *bufio.Writer
	err error
}

func (w *copyWriter) row(values []value) {
	if w.err != nil {
		return
	}
	for i, v := range values {
		if i > 0 {
			w.out.WriteByte('\t')
		}
		if v.null {
			w.out.WriteString(`\N`)
		} else if strings.ContainsAny(v.s, "\\\n\r\t") {
			escape(w.out, v.s)
		} else {
			w.out.WriteString(v.s)
		}
	}
	w.err = w.out.WriteByte('\n')
}

func escape(out *bufio.Writer, s string) {
	for i := range len(s) {
		switch s[i] {
		case '\\':
			out.WriteString(`\\`)
		case '\n':
			out.WriteString(`\n`)
		case '\r':
			out.WriteString(`\r`)
		case '\t':
			out.WriteString(`\t`)
		default:
			out.WriteByte(s[i])
		}
	}
}
