package capture

import (
	"bytes"
	"encoding/hex"
	"strings"

	"supstream/catalog"
)

// personKey is a person in fixed space, exactly: a UUID as its 16 bytes, any
// other text of up to 15 bytes as it is, with its length at the end. Two
// persons never share a key, as hashes might, and the text can be had back. The
// zero key is no person.
type personKey [16]byte

// newPersonKey reads the text of a person as Postgres wrote it. It reports
// false for a text that is too long; its person is unknown.
func newPersonKey(t *catalog.Table, text []byte) (k personKey, ok bool) {
	if isUUID(t) {
		if len(text) != 36 {
			return k, false
		}
		var digits [32]byte
		n := copy(digits[:], text[:8])
		n += copy(digits[n:], text[9:13])
		n += copy(digits[n:], text[14:18])
		n += copy(digits[n:], text[19:23])
		copy(digits[n:], text[24:])
		_, err := hex.Decode(k[:], digits[:])
		return k, err == nil
	}
	text = PersonText(t, text)
	if len(text) == 0 || len(text) > 15 {
		return k, false
	}
	copy(k[:], text)
	k[15] = byte(len(text))
	return k, true
}

// text is the person as text.
func (k personKey) text(t *catalog.Table) string {
	if !isUUID(t) {
		return string(k[:k[15]])
	}
	h := hex.EncodeToString(k[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// PersonText is the text of a person without the padding that Postgres gives
// to values of type char.
func PersonText(via *catalog.Table, text []byte) []byte {
	if strings.HasPrefix(via.Columns[via.Persons.Person].Type, "character(") {
		return bytes.TrimRight(text, " ")
	}
	return text
}

func isUUID(t *catalog.Table) bool { return t.Columns[t.Persons.Person].Type == "uuid" }
