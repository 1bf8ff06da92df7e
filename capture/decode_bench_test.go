package capture

import (
	"context"
	"encoding/binary"
	"os"
	"testing"

	"supstream/catalog"
)

// none takes changes and does nothing.
type none struct{ changes int }

func (n *none) change(context.Context, *Change) error   { n.changes++; return nil }
func (n *none) advance(context.Context, boundary) error { return nil }

// BenchmarkDecode decodes an update with its old row, in a transaction of one.
func BenchmarkDecode(b *testing.B) {
	cat, err := catalog.Load(os.DirFS("../testdata/bench/catalog"))
	if err != nil {
		b.Fatal(err)
	}
	table, _ := cat.Table("public", "aktivitet")
	d := newDecoder(cat)
	r := &relation{id: 7, table: table, full: true, key: make([]bool, len(table.Columns))}
	for i := range table.Columns {
		r.columns = append(r.columns, i)
	}
	d.relations[r.id] = r

	row := binary.BigEndian.AppendUint16(nil, uint16(len(table.Columns)))
	for range table.Columns {
		row = binary.BigEndian.AppendUint32(append(row, 't'), 27)
		row = append(row, "27 bytes, about the average"...)
	}
	update := binary.BigEndian.AppendUint32([]byte{'U'}, r.id)
	update = append(append(append(append(update, 'O'), row...), 'N'), row...)
	begin := append([]byte{'B'}, make([]byte, 8+8+4)...)
	commit := append([]byte{'C'}, make([]byte, 1+8+8+8)...)

	h, ctx := &none{}, context.Background()
	b.SetBytes(int64(len(begin) + len(update) + len(commit)))
	for b.Loop() {
		for _, msg := range [][]byte{begin, update, commit} {
			if err := d.decode(ctx, msg, h); err != nil {
				b.Fatal(err)
			}
		}
	}
	if h.changes == 0 {
		b.Fatal("no change came out")
	}
}

func BenchmarkQueue(b *testing.B) {
	q, msg := newQueue(), make([]byte, 400)
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		if q.push(msg) {
			continue
		}
		for batch := q.take(); len(batch) > 0; {
			batch.next()
		}
	}
}
