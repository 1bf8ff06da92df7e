package capture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// snapshot is what pg_current_snapshot says: which transactions a read sees.
type snapshot struct {
	xmin, xmax uint64 // below xmin all are over; xmax and above had not begun
	running    []uint64
}

// parseSnapshot parses "xmin:xmax:xip,xip,…".
func parseSnapshot(s string) (snapshot, error) {
	var snap snapshot
	parts := strings.Split(s, ":")
	if len(parts) != 3 {
		return snap, fmt.Errorf("snapshot %q: want xmin:xmax:xip_list", s)
	}
	var err1, err2 error
	snap.xmin, err1 = strconv.ParseUint(parts[0], 10, 64)
	snap.xmax, err2 = strconv.ParseUint(parts[1], 10, 64)
	if err1 != nil || err2 != nil || snap.xmin > snap.xmax {
		return snap, fmt.Errorf("snapshot %q: want xmin:xmax:xip_list", s)
	}
	for x := range strings.SplitSeq(parts[2], ",") {
		if x == "" {
			continue
		}
		id, err := strconv.ParseUint(x, 10, 64)
		if err != nil {
			return snap, fmt.Errorf("snapshot %q: want xmin:xmax:xip_list", s)
		}
		snap.running = append(snap.running, id)
	}
	return snap, nil
}

// sees reports whether a read with this snapshot sees what transaction xid,
// known to have committed, has done. The log gives only the lower half of a
// transaction's number; the upper half is that of the nearest one to xmax.
func (s snapshot) sees(xid uint32) bool {
	full := s.xmax + uint64(int64(int32(xid-uint32(s.xmax))))
	if full < s.xmin {
		return true
	}
	return full < s.xmax && !slices.Contains(s.running, full)
}

// xidSet remembers which transactions have been streamed lately: one bit for
// each, in pages. A transaction can be streamed a moment before others see it
// (with synchronous replication, a long moment), and a read taken in between
// has to be repeated.
type xidSet struct {
	pages  map[uint32]*[xidPage / 64]uint64
	newest uint32 // page
	last   uint32 // transaction
}

const (
	xidPage  = 1 << 16
	xidPages = 64 // 4 million transactions, half a megabyte
)

func (s *xidSet) add(xid uint32) {
	page := xid / xidPage
	if s.pages == nil {
		s.pages = map[uint32]*[xidPage / 64]uint64{}
		s.newest, s.last = page, xid
	}
	if int32(xid-s.last) > 0 {
		s.last = xid
	}
	p := s.pages[page]
	if p == nil {
		p = new([xidPage / 64]uint64)
		s.pages[page] = p
		if int32(xid-s.newest*xidPage) > 0 {
			s.newest = page
		}
		s.forget()
	}
	p[xid%xidPage/64] |= 1 << (xid % 64)
}

// forget drops pages far behind the newest; transaction numbers wrap around.
func (s *xidSet) forget() {
	const all = 1 << 32 / xidPage
	for page := range s.pages {
		if behind := (s.newest - page + all) % all; behind >= xidPages && behind < all/2 {
			delete(s.pages, page)
		}
	}
}

func (s *xidSet) has(xid uint32) bool {
	p := s.pages[xid/xidPage]
	return p != nil && p[xid%xidPage/64]&(1<<(xid%64)) != 0
}

// from reports whether f holds for a transaction from xid on up to the last.
func (s *xidSet) from(xid uint32, f func(uint32) bool) bool {
	if s.pages == nil {
		return false
	}
	for ; int32(s.last-xid) >= 0; xid++ {
		if f(xid) {
			return true
		}
	}
	return false
}
