package sinks

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"supstream/projections"
)

// DataSuffix ends the names of data files: lines of JSON, compressed with Zstandard.
const DataSuffix = ".ndjson.zst"

// timeFormat is RFC 3339 in UTC with microseconds, the resolution of Postgres.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// newZstd makes a compressor whose output depends on its input only: one goroutine, and an empty input makes a frame too.
//
// The level was chosen by measurement, see the figures in docs/FILES.md.
func newZstd() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithZeroFrames(true))
}

// Encoder writes the rows of a data file. It may be used for one file after the other.
type Encoder struct {
	zstd    *zstd.Encoder
	sum     hash.Hash
	out     io.Writer
	written int64 // compressed
	content int64
	rows    int64
	line    []byte
}

// NewEncoder makes an Encoder; Reset points it to a file.
func NewEncoder() (*Encoder, error) {
	z, err := newZstd()
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &Encoder{zstd: z, sum: sha256.New()}, nil
}

// Reset begins a file.
func (e *Encoder) Reset(w io.Writer) {
	e.out, e.written, e.content, e.rows = w, 0, 0, 0
	e.sum.Reset()
	e.zstd.Reset(compressed{e})
}

// compressed is where the compressor writes to.
type compressed struct{ e *Encoder }

func (c compressed) Write(p []byte) (int, error) {
	n, err := c.e.out.Write(p)
	c.e.written += int64(n)
	c.e.sum.Write(p[:n])
	return n, err
}

// Row writes one row.
func (e *Encoder) Row(r *projections.Row) error {
	e.line = AppendRow(e.line[:0], r)
	e.content += int64(len(e.line))
	e.rows++
	_, err := e.zstd.Write(e.line)
	return err
}

// Close ends the file and describes it, all but its name.
func (e *Encoder) Close() (projections.DataFile, error) {
	if err := e.zstd.Close(); err != nil {
		return projections.DataFile{}, err
	}
	return projections.DataFile{Bytes: e.written, ContentBytes: e.content, SHA256: hex.EncodeToString(e.sum.Sum(nil)), Rows: e.rows}, nil
}

// AppendRow appends the line of a row.
func AppendRow(b []byte, r *projections.Row) []byte {
	b = append(b, `{"op":"`...)
	b = append(b, byte(r.Op))
	b = append(b, `","table":"`...)
	b = append(b, r.Table...) // a slug, nothing to escape
	b = append(b, '"')
	if len(r.Key) > 0 {
		b = append(b, `,"key":`...)
		b = append(b, r.Key...)
	}
	if len(r.Row) > 0 {
		b = append(b, `,"row":`...)
		b = append(b, r.Row...)
	}
	b = append(b, `,"time":"`...)
	b = r.Time.UTC().AppendFormat(b, timeFormat)
	b = append(b, `","xid":`...)
	b = strconv.AppendUint(b, uint64(r.XID), 10)
	b = append(b, `,"changes":`...)
	b = strconv.AppendUint(b, r.Changes, 10)
	return append(b, "}\n"...)
}
