package projections

import (
	"cmp"
	"strings"
	"time"

	"supstream/streams"
)

// state is what a range of events did to one row: enough to tell what a receiver of the whole range must do, and to append the
// state of the range after it. An empty key stands for a truncate of the table; rows of the same range follow it.
type state struct {
	table   string
	key     string
	first   streams.Op // tells whether the row existed before
	last    streams.Op // tells whether it exists now
	xid     uint32     // of the last change
	changes uint64
	time    int64  // of the last change, microseconds since 1970
	row     []byte // JSON object; empty when the row is gone
}

// compare orders by table and key. A truncate comes first in its table.
func (s *state) compare(o *state) int {
	return cmp.Or(strings.Compare(s.table, o.table), strings.Compare(s.key, o.key))
}

func (s *state) isTruncate() bool { return s.last == streams.OpTruncate }

// append adds what a later range did to the same row. The row's bytes are shared with later.
func (s *state) append(later *state) {
	s.last, s.xid, s.time, s.row = later.last, later.xid, later.time, later.row
	s.changes += later.changes
}

// afterTruncate is the first op of a row whose table was emptied before it: it cannot have existed.
const afterTruncate = streams.OpInsert

// result is the op for a receiver that has every row as it was before the range. A row that a back-fill read may or may not
// be known to the receiver: present it is I, which receivers treat as U, and gone it is D or O, which do no harm.
func (s *state) result() Op {
	absent := s.first == streams.OpInsert || s.first == streams.OpScopeIn
	switch {
	case s.isTruncate():
		return OpTruncate
	case s.last.HasRow():
		if absent || s.first == streams.OpRead {
			return OpInsert
		}
		return OpUpdate
	case absent:
		return OpNone
	case s.last == streams.OpScopeOut:
		return OpScopeOut
	}
	return OpDelete
}

// fill makes r the row of a delta.
func (s *state) fill(r *Row) {
	r.Op, r.Table, r.Row = s.result(), s.table, nil
	r.Key = append(r.Key[:0], s.key...)
	if r.Op == OpInsert || r.Op == OpUpdate {
		r.Row = s.row
	}
	r.Time, r.XID, r.Changes = time.UnixMicro(s.time).UTC(), s.xid, s.changes
}
