package mirror

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// sentence makes a short text of at most limit characters; 0 means no limit.
func (k *maker) sentence(limit int) string { return cut(pick(k.r, k.words.sentences), limit) }

// freeText makes what a case worker might have written: mostly a few sentences, sometimes nothing, the name and number of somebody
// else, characters that break readers, or so much that Postgres stores it out of line.
func (k *maker) freeText(limit int, staysHere bool) string {
	var b strings.Builder
	if staysHere {
		b.WriteString(NeverLeaves + " ")
	}
	switch x := k.r.Float64(); {
	case x < 0.01 && !staysHere:
		return ""
	case x < 0.03:
		n := k.r.Uint64N(k.citizens)
		fmt.Fprintf(&b, "Notatet vedrører %s %s, %s. ", pick(k.r, k.words.first), pick(k.r, k.words.last), cpr(k.seed, n))
	case x < 0.11:
		b.WriteString(pick(k.r, k.words.odd))
		if k.r.chance(0.5) {
			return cut(b.String(), limit)
		}
	case x < 0.13 && (limit == 0 || limit > 1000):
		n := k.r.between(9000, 14000)
		if limit > 0 {
			n = limit
		}
		b.Write(k.noise(n))
	}
	for range k.r.between(1, 4) {
		b.WriteString(pick(k.r, k.words.sentences))
		b.WriteByte(' ')
	}
	return cut(b.String(), limit)
}

// redaction is what STAR puts in the place of a text that had to go; case numbers are FB and six digits.
func (k *maker) redaction(limit int, staysHere bool) string {
	s := "Teksten er fjernet, da den vedrørte en anden person. Se sag FB" + k.r.digits(6) + "."
	if staysHere {
		s = NeverLeaves + " " + s
	}
	return cut(s, limit)
}

// noise makes n bytes of words that do not compress much.
func (k *maker) noise(n int) []byte {
	const letters = "abcdefghijklmnoprstuvyABDEFGHIJKLMNOPRSTUVY0123456789 -,.;:abcde"
	b := make([]byte, n)
	var bits uint64
	for i := range b {
		if i%10 == 0 {
			bits = k.r.Uint64()
		}
		b[i] = letters[bits&63]
		bits >>= 6
	}
	return b
}

// cut shortens a text to at most limit characters; 0 means no limit.
func cut(s string, limit int) string {
	if limit == 0 || len(s) <= limit || utf8.RuneCountInString(s) <= limit {
		return s
	}
	for i := range s {
		if limit == 0 {
			return s[:i]
		}
		limit--
	}
	return s
}
