package capture

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestPosition(t *testing.T) {
	cases := map[string]Position{
		"0000000000000000-00000000": {},
		"0000000001A2B3C4-00000003": {0x1A2B3C4, 3},
		"FFFFFFFFFFFFFFFF-FFFFFFFF": {math.MaxUint64, math.MaxUint32},
	}
	for text, p := range cases {
		if got := p.String(); got != text {
			t.Errorf("%q, want %q", got, text)
		}
		if got, err := ParsePosition(text); err != nil || got != p {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		b, err := json.Marshal(p)
		var back Position
		if err != nil || json.Unmarshal(b, &back) != nil || back != p {
			t.Errorf("%s: %v", b, err)
		}
	}
	for _, bad := range []string{"", "0", "0000000001a2b3c4-00000003", "0000000001A2B3C4 00000003", "0000000001A2B3C4-0000003", "0000000001A2B3C4-000000003", "+000000001A2B3C4-00000003", "0x00000001A2B3C4-00000003", "000000000_A2B3C4-00000003"} {
		if p, err := ParsePosition(bad); err == nil {
			t.Errorf("%q was taken as %s", bad, p)
		}
	}
}

// Positions and their texts have the same order.
func TestPositionOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	random := func() Position {
		return Position{rnd.Uint64() >> rnd.IntN(64), rnd.Uint32() >> rnd.IntN(32)}
	}
	for range 10000 {
		p, q := random(), random()
		if rnd.IntN(4) == 0 {
			q.LSN = p.LSN
		}
		if got, want := p.Compare(q), strings.Compare(p.String(), q.String()); got != want {
			t.Fatalf("%s and %s: %d, texts %d", p, q, got, want)
		}
	}
}
