package projections

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/klauspost/compress/s2"

	"supstream/catalog"
	"supstream/projections/durable"
	"supstream/streams"
)

// A run is a file of sorted states, one section per Bruger:
//
//	section*  each an S2 stream of its own, with a checksum per block
//	index     JSON, see runIndex
//	8 bytes   CRC-32C and length of the index, big endian
//	8 bytes   "SUPRUN01"
//
// A state in a section is: length of the table's name and the name (0: as before), length of the key and the key, first op, last
// op, changes, xid, time, length of the row and the row; all numbers are varints.
type run struct {
	name  string
	file  durable.ReadFile
	index runIndex
}

type runIndex struct {
	Dataomraade string       `json:"dataomraade,omitempty"`
	Incarnation string       `json:"incarnation,omitempty"`
	From        uint64       `json:"from"` // stream sequences: from < event <= to
	To          uint64       `json:"to"`
	Position    string       `json:"position,omitempty"`
	Time        int64        `json:"time,omitempty"` // microseconds
	Sections    []runSection `json:"sections"`
}

type runSection struct {
	Bruger string `json:"bruger"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	States int64  `json:"states"`

	bruger catalog.Bruger
}

const (
	runMagic   = "SUPRUN01"
	runTrailer = 4 + 4 + len(runMagic)
	runBlock   = 64 << 10
)

// states is the number of states in all sections.
func (i *runIndex) states() int64 {
	var n int64
	for _, s := range i.Sections {
		n += s.States
	}
	return n
}

// runWriter writes a run. Sections come in the order of Brugere, states in their order.
type runWriter struct {
	out     countingWriter
	s2      *s2.Writer
	buf     []byte
	table   string
	index   runIndex
	current *runSection
}

func newRunWriter(w io.Writer, index runIndex) *runWriter {
	rw := &runWriter{out: countingWriter{w: w}, index: index}
	rw.index.Sections = []runSection{}
	rw.s2 = s2.NewWriter(nil, s2.WriterConcurrency(1), s2.WriterBlockSize(runBlock), s2.WriterBetterCompression())
	return rw
}

func (w *runWriter) section(b catalog.Bruger) error {
	if err := w.endSection(); err != nil {
		return err
	}
	w.index.Sections = append(w.index.Sections, runSection{Bruger: b.String(), Offset: w.out.n})
	w.current = &w.index.Sections[len(w.index.Sections)-1]
	w.table = ""
	w.s2.Reset(&w.out)
	return nil
}

func (w *runWriter) add(s *state) error {
	b := w.buf[:0]
	table := s.table
	if table == w.table {
		table = ""
	}
	w.table = s.table
	b = appendText(b, table)
	b = appendText(b, s.key)
	b = append(b, byte(s.first), byte(s.last))
	b = binary.AppendUvarint(b, s.changes)
	b = binary.AppendUvarint(b, uint64(s.xid))
	b = binary.AppendVarint(b, s.time)
	b = appendText(b, s.row)
	w.buf = b
	w.current.States++
	_, err := w.s2.Write(b)
	return err
}

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (w *runWriter) endSection() error {
	if w.current == nil {
		return nil
	}
	if err := w.s2.Close(); err != nil {
		return err
	}
	w.current.Bytes = w.out.n - w.current.Offset
	w.current = nil
	return nil
}

func (w *runWriter) finish() error {
	if err := w.endSection(); err != nil {
		return err
	}
	index, err := json.Marshal(&w.index)
	if err != nil {
		return err
	}
	n := len(index)
	index = binary.BigEndian.AppendUint32(index, crc32.Checksum(index, castagnoli()))
	index = binary.BigEndian.AppendUint32(index, uint32(n))
	_, err = w.out.Write(append(index, runMagic...))
	return err
}

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once inside the package

type countingWriter struct {
	w io.Writer
	n int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.n += int64(n)
	return n, err
}

// errDamaged is a run that is not as it was written.
var errDamaged = errors.New("the file is damaged")

func openRun(fsys durable.FS, name string) (*run, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	r := &run{name: name, file: f}
	if err := r.readIndex(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
	}
	return r, nil
}

func (r *run) readIndex() error {
	size, err := r.file.Size()
	if err != nil {
		return err
	}
	var trailer [runTrailer]byte
	if size < int64(runTrailer) {
		return fmt.Errorf("%w: %d bytes", errDamaged, size)
	}
	if _, err := r.file.ReadAt(trailer[:], size-int64(runTrailer)); err != nil {
		return err
	}
	n := int64(binary.BigEndian.Uint32(trailer[4:]))
	if string(trailer[8:]) != runMagic || n > size-int64(runTrailer) {
		return fmt.Errorf("%w: no end mark", errDamaged)
	}
	index := make([]byte, n)
	if _, err := r.file.ReadAt(index, size-int64(runTrailer)-n); err != nil {
		return err
	}
	if crc32.Checksum(index, castagnoli()) != binary.BigEndian.Uint32(trailer[:]) {
		return fmt.Errorf("%w: checksum of the index", errDamaged)
	}
	if err := json.Unmarshal(index, &r.index); err != nil {
		return err
	}
	for i := range r.index.Sections {
		s := &r.index.Sections[i]
		if s.bruger, err = catalog.ParseBruger(s.Bruger); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the file and leaves it where it is.
func (r *run) Close() error { return r.file.Close() }

func (r *run) brugere() []catalog.Bruger {
	out := make([]catalog.Bruger, len(r.index.Sections))
	for i := range r.index.Sections {
		out[i] = r.index.Sections[i].bruger
	}
	return out
}

func (r *run) open(b catalog.Bruger) (cursor, error) {
	i, found := slices.BinarySearchFunc(r.index.Sections, b, func(s runSection, b catalog.Bruger) int { return s.bruger.Compare(b) })
	if !found {
		return &runCursor{}, nil
	}
	s := r.index.Sections[i]
	in := s2.NewReader(io.NewSectionReader(r.file, s.Offset, s.Bytes), s2.ReaderMaxBlockSize(runBlock), s2.ReaderAllocBlock(runBlock))
	return &runCursor{name: r.name, in: bufio.NewReaderSize(in, 16<<10), left: s.States}, nil
}

// runCursor reads one section.
type runCursor struct {
	name  string
	in    *bufio.Reader
	left  int64
	state state
	key   []byte
}

func (c *runCursor) next() (*state, error) {
	if c.left == 0 {
		return nil, nil
	}
	if err := c.read(); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: it ends early", errDamaged)
		}
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	c.left--
	return &c.state, nil
}

func (c *runCursor) read() error {
	s := &c.state
	var err error
	if c.key, err = c.text(c.key); err != nil {
		return err
	}
	if len(c.key) > 0 {
		s.table = string(c.key)
	}
	if c.key, err = c.text(c.key); err != nil {
		return err
	}
	s.key = string(c.key)
	var ops [2]byte
	if _, err := io.ReadFull(c.in, ops[:]); err != nil {
		return err
	}
	s.first, s.last = streams.Op(ops[0]), streams.Op(ops[1])
	if s.changes, err = binary.ReadUvarint(c.in); err != nil {
		return err
	}
	xid, err := binary.ReadUvarint(c.in)
	if err != nil {
		return err
	}
	s.xid = uint32(xid)
	if s.time, err = binary.ReadVarint(c.in); err != nil {
		return err
	}
	s.row, err = c.text(s.row)
	return err
}

// maxText is more than Postgres can hold in a row.
const maxText = 2 << 30

// text reads a length and that many bytes into b.
func (c *runCursor) text(b []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(c.in)
	if err != nil {
		return b, err
	}
	if n > maxText {
		return b, fmt.Errorf("%w: a length of %d bytes", errDamaged, n)
	}
	b = slices.Grow(b[:0], int(n))[:n]
	_, err = io.ReadFull(c.in, b)
	return b, err
}

func (c *runCursor) close() error { return nil }
