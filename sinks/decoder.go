package sinks

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"supstream/projections"
)

// MaxLine is the longest line that a Decoder accepts: 1 GiB, the most that Postgres holds in a value.
const MaxLine = 1 << 30

// maxWindow is the memory that a frame may ask for: 128 MiB, as the zstd command allows.
const maxWindow = 128 << 20

// Decoder reads the rows of a data file.
type Decoder struct {
	zstd *zstd.Decoder
	in   *bufio.Reader
	line []byte
	row  projections.Row
	raw  rowLine
	n    int64
	size int64
}

type rowLine struct {
	Op      string          `json:"op"`
	Table   string          `json:"table"`
	Key     json.RawMessage `json:"key"`
	Row     json.RawMessage `json:"row"`
	Time    time.Time       `json:"time"`
	XID     uint32          `json:"xid"`
	Changes uint64          `json:"changes"`
}

// NewDecoder makes a Decoder of compressed data. Close frees what it holds.
func NewDecoder(r io.Reader) (*Decoder, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &Decoder{zstd: z, in: bufio.NewReaderSize(z, 256<<10)}, nil
}

// Close frees the decompressor.
func (d *Decoder) Close() { d.zstd.Close() }

// Read is the number of uncompressed bytes read so far.
func (d *Decoder) Read() int64 { return d.size }

// Next returns the next row, valid until the call after, and io.EOF at the end. Errors name the line.
func (d *Decoder) Next() (*projections.Row, error) {
	d.n++
	line, err := d.next()
	if err == io.EOF {
		return nil, io.EOF
	}
	if err == nil {
		err = d.parse(line)
	}
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", d.n, err)
	}
	return &d.row, nil
}

// next returns a line without its end.
func (d *Decoder) next() ([]byte, error) {
	d.line = d.line[:0]
	for {
		part, err := d.in.ReadSlice('\n')
		d.size += int64(len(part))
		if err == nil && len(d.line) == 0 {
			return part[:len(part)-1], nil
		}
		d.line = append(d.line, part...)
		switch {
		case len(d.line) > MaxLine:
			return nil, fmt.Errorf("longer than %d bytes", MaxLine)
		case err == nil:
			return d.line[:len(d.line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF && len(d.line) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return nil, errors.New("the file ends within a line")
		default:
			return nil, fmt.Errorf("decompress: %w", err)
		}
	}
}

// parse checks what docs/FILES.md promises of a line. Members it does not know are left alone.
func (d *Decoder) parse(line []byte) error {
	d.raw = rowLine{Key: d.raw.Key[:0], Row: d.raw.Row[:0]}
	if err := json.Unmarshal(line, &d.raw); err != nil {
		return errors.New("not a JSON object with the members of a row") // the cause could show content
	}
	if len(d.raw.Op) != 1 || d.raw.Table == "" || d.raw.Time.IsZero() || d.raw.Changes == 0 {
		return errors.New("op, table, time or changes is missing or wrong")
	}
	op := projections.Op(d.raw.Op[0])
	var known projections.OpCounts
	if err := known.Add(op, 1); err != nil {
		return err
	}
	wantKey, wantRow := op != projections.OpTruncate, op == projections.OpInsert || op == projections.OpUpdate
	if isObject(d.raw.Key) != wantKey || isObject(d.raw.Row) != wantRow {
		return fmt.Errorf("key and row do not fit to op %c", op)
	}
	d.row = projections.Row{Op: op, Table: d.raw.Table, Key: d.raw.Key, Row: d.raw.Row, Time: d.raw.Time, XID: d.raw.XID, Changes: d.raw.Changes}
	return nil
}

func isObject(b []byte) bool { return bytes.HasPrefix(b, []byte("{")) }
