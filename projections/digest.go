package projections

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// digest is a count of rows and a checksum that does not depend on their order: the sum of the first 128 bits of the SHA-256 of
// each. A sum, unlike xor, does not lose a row that is there twice.
type digest struct {
	rows   int64
	hi, lo uint64
}

func (d *digest) add(sum [sha256.Size]byte) {
	var carry uint64
	d.lo, carry = bits.Add64(d.lo, binary.BigEndian.Uint64(sum[8:]), 0)
	d.hi, _ = bits.Add64(d.hi, binary.BigEndian.Uint64(sum[:]), carry)
	d.rows++
}

// digests are one for each table of each Bruger.
type digests struct {
	of  map[shardKey]*digest
	buf []byte
}

func newDigests() *digests { return &digests{of: map[shardKey]*digest{}} }

func (d *digests) add(k shardKey, key, row []byte) {
	one := d.of[k]
	if one == nil {
		one = &digest{}
		d.of[k] = one
	}
	d.buf = appendText(d.buf[:0], key)
	d.buf = append(d.buf, row...)
	one.add(sha256.Sum256(d.buf))
}

// differing lists where two sets of digests do not agree.
func (d *digests) differing(o *digests) []shardKey {
	var out []shardKey
	for k, mine := range d.of {
		if other := o.of[k]; other == nil || *mine != *other {
			out = append(out, k)
		}
	}
	for k := range o.of {
		if d.of[k] == nil {
			out = append(out, k)
		}
	}
	return out
}
