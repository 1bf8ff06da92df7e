package mirror

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// rng is a source of choices that depends on its seeds only.
type rng struct {
	*rand.Rand
	source *rand.PCG
}

func newRNG(a, b uint64) rng {
	source := rand.NewPCG(a, b)
	return rng{rand.New(source), source}
}

// restart makes the source give what a new one with these seeds would give.
func (r rng) restart(a, b uint64) { r.source.Seed(a, b) }

// chance is true with probability p.
func (r rng) chance(p float64) bool { return r.Float64() < p }

// between returns a number from lo to hi, both included.
func (r rng) between(lo, hi int) int { return lo + r.IntN(hi-lo+1) }

func pick[T any](r rng, from []T) T { return from[r.IntN(len(from))] }

func (r rng) uuid() string { return uuid(r.Uint64(), r.Uint64()) }

// uuid writes 122 bits as a version 4 UUID.
func uuid(a, b uint64) string {
	a = a&^0xf000 | 0x4000
	b = b&^(3<<62) | 2<<62
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&(1<<48-1))
}

func (r rng) digits(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + r.IntN(10))
	}
	return string(b)
}

// hash mixes a text and numbers into a seed.
func hash(text string, numbers ...uint64) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	sum := h.Sum64()
	for _, n := range numbers {
		sum = mix(sum ^ mix(n+0x9e3779b97f4a7c15))
	}
	return sum
}

func mix(x uint64) uint64 { // the finaliser of splitmix64
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
