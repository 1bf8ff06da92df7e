package capture

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

func TestParseSnapshot(t *testing.T) {
	cases := []struct {
		text string
		want snapshot
		ok   bool
	}{
		{"100:100:", snapshot{100, 100, nil}, true},
		{"100:110:103,105", snapshot{100, 110, []uint64{103, 105}}, true},
		{"8589934592:8589934600:8589934592", snapshot{1 << 33, 1<<33 + 8, []uint64{1 << 33}}, true},
		{"", snapshot{}, false}, {"1:2", snapshot{}, false}, {"2:1:", snapshot{}, false}, {"a:2:", snapshot{}, false}, {"1:2:x", snapshot{}, false}, {"1:-2:", snapshot{}, false},
	}
	for _, c := range cases {
		got, err := parseSnapshot(c.text)
		if (err == nil) != c.ok || c.ok && (got.xmin != c.want.xmin || got.xmax != c.want.xmax || !slices.Equal(got.running, c.want.running)) {
			t.Errorf("%q: %+v, %v", c.text, got, err)
		}
	}
}

// The log gives 32 bits of a transaction's number; numbers start again from 3 after 4 billion.
func TestSnapshotSees(t *testing.T) {
	const turn = 1 << 32
	around := snapshot{turn - 5, turn + 10, []uint64{turn - 5, turn - 2, turn + 7}}
	cases := []struct {
		snap snapshot
		xid  uint32
		want bool
	}{
		{snapshot{100, 110, []uint64{103}}, 99, true},
		{snapshot{100, 110, []uint64{103}}, 100, true},
		{snapshot{100, 110, []uint64{103}}, 103, false},
		{snapshot{100, 110, []uint64{103}}, 109, true},
		{snapshot{100, 110, []uint64{103}}, 110, false},
		{snapshot{100, 110, []uint64{103}}, 1 << 30, false},
		{around, math.MaxUint32 - 5, true},  // turn-6: below all
		{around, math.MaxUint32 - 4, false}, // turn-5: running
		{around, math.MaxUint32 - 3, true},
		{around, math.MaxUint32 - 1, false}, // turn-2: running
		{around, math.MaxUint32, true},
		{around, 3, true},
		{around, 7, false}, // turn+7: running
		{around, 9, true},
		{around, 10, false}, // not begun
		{around, 500, false},
		{snapshot{3*turn + 5, 3*turn + 5, nil}, 4, true},
		{snapshot{3*turn + 5, 3*turn + 5, nil}, 5, false},
		{snapshot{3*turn + 5, 3*turn + 5, nil}, math.MaxUint32, true}, // of the turn before
		{snapshot{5, 5, nil}, 5, false},
	}
	for _, c := range cases {
		if got := c.snap.sees(c.xid); got != c.want {
			t.Errorf("%+v sees %d: %t", c.snap, c.xid, got)
		}
	}
}

// What sees says is what Postgres says, with real transactions.
func TestSnapshotSeesAsPostgresDoes(t *testing.T) {
	m := newMirror(t, rowTable)
	var open []string
	for range 4 {
		c := m.connect()
		execOn(t, m.ctx, c, "BEGIN")
		var xid string
		if err := c.QueryRow(m.ctx, "SELECT pg_current_xact_id()::text").Scan(&xid); err != nil {
			t.Fatal(err)
		}
		open = append(open, xid)
		m.exec("INSERT INTO t VALUES ($1, 'x')", len(open))
	}
	snap, err := parseSnapshot(m.value("SELECT pg_current_snapshot()::text"))
	if err != nil {
		t.Fatal(err)
	}
	for x := snap.xmin - 3; x < snap.xmax+3; x++ {
		want := m.value("SELECT pg_visible_in_snapshot($1::text::xid8, $2::text::pg_snapshot)::text", fmt.Sprint(x), fmt.Sprintf("%d:%d:%s", snap.xmin, snap.xmax, joined(snap.running))) == "true"
		if got := snap.sees(uint32(x)); got != want {
			t.Errorf("transaction %d: %t, Postgres says %t", x, got, want)
		}
	}
	if len(snap.running) < len(open) {
		t.Errorf("%d transactions run, the snapshot lists %d", len(open), len(snap.running))
	}
}

func joined(xids []uint64) (s string) {
	for i, x := range xids {
		if i > 0 {
			s += ","
		}
		s += fmt.Sprint(x)
	}
	return s
}

func TestXidSet(t *testing.T) {
	var s xidSet
	if s.has(0) || s.has(7) {
		t.Error("an empty set has something")
	}
	for _, x := range []uint32{7, 8, 64, 65535, 65536} {
		s.add(x)
	}
	for x, want := range map[uint32]bool{7: true, 8: true, 9: false, 63: false, 64: true, 65535: true, 65536: true, 65537: false} {
		if s.has(x) != want {
			t.Errorf("has(%d) is %t", x, !want)
		}
	}
}

// It forgets what is millions of transactions old, also across the turn of the numbers, and takes bounded memory.
func TestXidSetForgets(t *testing.T) {
	for _, start := range []uint32{3, math.MaxUint32 - 1000, math.MaxUint32 - xidPage*10} {
		var s xidSet
		for i := range uint32(200) {
			s.add(start + i*xidPage)
		}
		if n := len(s.pages); n > xidPages {
			t.Errorf("from %d: %d pages", start, n)
		}
		for i := range uint32(200) {
			if got, want := s.has(start+i*xidPage), i >= 200-xidPages; got != want {
				t.Errorf("from %d: has number %d: %t", start, i, got)
			}
		}
		// An old transaction that commits late is remembered beside the new ones.
		late := start + 199*xidPage - 5*xidPage
		s.add(late + 1)
		if !s.has(late+1) || !s.has(start+199*xidPage) {
			t.Errorf("from %d: a late transaction or the newest is forgotten", start)
		}
	}
}
