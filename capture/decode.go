package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"supstream/catalog"
)

// decoder turns pgoutput messages (protocol 1, text) into changes. The rows
// of a change point into the message and live as long as it.
type decoder struct {
	catalog   *catalog.Catalog
	typeName  func(ctx context.Context, oid uint32, modifier int32) (string, error)
	reread    func(ctx context.Context, t *catalog.Table, row catalog.Row) error
	relations map[uint32]*relation

	// What the session knows of the tables; see drift.go.
	holds map[*catalog.Dataomraade]*holding
	known map[uint32]*catalog.Table // by number
	oids  map[*catalog.Table]uint32
	stale map[*catalog.Table]uint64 // rows committed before it may have a shape of the past

	surveyed uint64 // where the log was when the tables were compared with the catalogue

	// hold takes a change of a held area: the message, of one table.
	hold    func(ctx context.Context, r *relation, at Position, msg []byte) error
	replays *catalog.Dataomraade // when what was kept of it is decoded

	// The running transaction.
	open     bool
	lsn      uint64 // of its commit
	xid      uint32
	commit   time.Time
	ordinal  uint32
	old, new catalog.Row // reused
	current  Change      // reused
}

// boundary is the end of a transaction, or of what the server has read.
type boundary struct {
	position Position
	time     time.Time
	commit   bool
}

// handler takes what a decoder finds, in order.
type handler interface {
	change(ctx context.Context, c *Change) error
	advance(ctx context.Context, b boundary) error
}

func newDecoder(c *catalog.Catalog) *decoder {
	return &decoder{catalog: c, relations: map[uint32]*relation{}}
}

// decode handles one message. A message that is not understood is a
// MessageError; nothing is passed over. Errors of the handler pass as they are.
func (d *decoder) decode(ctx context.Context, msg []byte, h handler) error {
	w := &wire{b: msg}
	switch kind := w.byte(); kind {
	case 'B':
		if d.open {
			return d.malformed(errors.New("begin within a transaction"))
		}
		d.lsn, d.commit, d.xid = w.uint64(), w.time(), w.uint32()
		d.open, d.ordinal = true, 0
		return d.malformed(w.end())
	case 'C':
		return d.end(ctx, w, h)
	case 'R':
		r, err := d.readRelation(ctx, w, msg)
		if err == nil {
			d.relations[r.id] = r
		}
		return err
	case 'I', 'U', 'D':
		return d.row(ctx, kind, w, msg, h)
	case 'T':
		return d.truncate(ctx, w, h)
	case 'Y', 'O', 'M': // types are known by number; origins and messages change no row
		return nil
	case msgKeepalive:
		at, clock := w.uint64(), w.time()
		if err := w.end(); err != nil {
			return d.malformed(err)
		}
		if d.open {
			return nil
		}
		return h.advance(ctx, boundary{Position{LSN: at}, clock, false})
	default:
		return d.malformed(fmt.Errorf("unknown message %q", kind))
	}
}

// malformed says where a message was not understood.
func (d *decoder) malformed(err error) error {
	if err == nil {
		return nil
	}
	return &MessageError{Position{d.lsn, d.ordinal}, err}
}

func (d *decoder) end(ctx context.Context, w *wire, h handler) error {
	w.byte() // flags, none are defined
	lsn := w.uint64()
	end, clock := w.uint64(), w.time()
	if err := w.end(); err != nil {
		return d.malformed(err)
	}
	if !d.open || lsn != d.lsn || end < lsn {
		return d.malformed(errors.New("commit of a transaction that did not begin"))
	}
	d.open = false
	return h.advance(ctx, boundary{Position{LSN: end}, clock, true})
}

// next gives the position of the next row message. Each takes two ordinals,
// because a key change is two changes.
func (d *decoder) next() Position {
	d.ordinal += 2
	return Position{LSN: d.lsn, Ordinal: d.ordinal - 1}
}

func (d *decoder) row(ctx context.Context, kind byte, w *wire, msg []byte, h handler) error {
	if !d.open {
		return d.malformed(errors.New("row outside a transaction"))
	}
	pos := d.next()
	r := d.relations[w.uint32()]
	if r == nil {
		return d.malformed(errors.New("row of a table that was not announced"))
	}
	if r.table == nil {
		return nil
	}
	if r.held != nil {
		return d.hold(ctx, r, pos, msg)
	}
	var hasOld, hasNew bool
	var err error
	image := w.byte()
	if image == 'K' || image == 'O' {
		if d.old, err = r.tuple(w, d.old, image == 'K'); err != nil {
			return d.malformed(fmt.Errorf("table %s: %w", r.table, err))
		}
		hasOld = true
		if kind == 'U' {
			image = w.byte()
		}
	}
	if image == 'N' {
		if d.new, err = r.tuple(w, d.new, false); err != nil {
			return d.malformed(fmt.Errorf("table %s: %w", r.table, err))
		}
		hasNew = true
	}
	if err := w.end(); err != nil {
		return d.malformed(fmt.Errorf("table %s: %w", r.table, err))
	}
	d.current = Change{Table: r.table, Position: pos, XID: d.xid, CommitTime: d.commit}
	c := &d.current
	switch {
	case kind == 'I' && hasNew && !hasOld:
		c.Op, c.New = Insert, d.new
	case kind == 'D' && hasOld && !hasNew:
		c.Op, c.Old = Delete, d.old
	case kind == 'U' && hasNew:
		c.Op, c.New = Update, d.new
		if hasOld {
			c.Old = d.old
		}
		return d.update(ctx, c, h)
	default:
		return d.malformed(fmt.Errorf("table %s: malformed row message", r.table))
	}
	return h.change(ctx, c)
}

// update completes the new row and splits a change of the key in two.
func (d *decoder) update(ctx context.Context, c *Change, h handler) error {
	complete := true
	for i := range c.New {
		if c.New[i].Kind != catalog.Unchanged {
			continue
		}
		if c.Old != nil && c.Old[i].Kind == catalog.Text {
			c.New[i] = c.Old[i]
		} else {
			complete = false
		}
	}
	if !complete {
		if err := d.reread(ctx, c.Table, c.New); err != nil {
			return err
		}
	}
	if c.Old == nil {
		// The identity did not change, and with it nothing that routes.
		c.Old = c.New
	}
	if sameKey(c.Table, c.Old, c.New) {
		return h.change(ctx, c)
	}
	gone := *c
	gone.Op, gone.New = Delete, nil
	if err := h.change(ctx, &gone); err != nil {
		return err
	}
	come := *c
	come.Op, come.Old = Insert, nil
	come.Position.Ordinal++
	return h.change(ctx, &come)
}

func sameKey(t *catalog.Table, a, b catalog.Row) bool {
	for _, i := range t.Key {
		if a[i].Kind != b[i].Kind || !bytes.Equal(a[i].Text, b[i].Text) {
			return false
		}
	}
	return true
}

// tuple decodes a row image into row. In a key image only the identity's
// columns were sent; the nulls of the others mean nothing.
func (r *relation) tuple(w *wire, row catalog.Row, keyOnly bool) (catalog.Row, error) {
	if n := int(w.uint16()); n != len(r.columns) {
		return row, fmt.Errorf("row has %d columns, %d were announced", n, len(r.columns))
	}
	if len(row) != len(r.table.Columns) {
		row = make(catalog.Row, len(r.table.Columns))
	}
	for _, at := range r.columns {
		var v catalog.Value
		switch kind := w.byte(); kind {
		case 'n':
			v.Kind = catalog.Null
		case 'u':
			v.Kind = catalog.Unchanged
		case 't':
			v.Kind, v.Text = catalog.Text, w.take(int(int32(w.uint32())))
		default:
			return row, fmt.Errorf("column of unknown kind %q", kind)
		}
		if at < 0 {
			continue
		}
		if keyOnly && !r.key[at] {
			v = catalog.Value{}
		}
		row[at] = v
	}
	return row, w.err
}

func (d *decoder) truncate(ctx context.Context, w *wire, h handler) error {
	if !d.open {
		return d.malformed(errors.New("truncate outside a transaction"))
	}
	n := w.uint32()
	w.byte() // CASCADE and RESTART IDENTITY: the tables are all listed
	for range n {
		pos := d.next()
		r := d.relations[w.uint32()]
		if w.err != nil {
			return d.malformed(w.err)
		}
		if r == nil {
			return d.malformed(errors.New("truncate of a table that was not announced"))
		}
		if r.table == nil {
			continue
		}
		if r.held != nil {
			if err := d.hold(ctx, r, pos, truncateOf(r.id)); err != nil {
				return err
			}
			continue
		}
		c := Change{Table: r.table, Op: Truncate, Position: pos, XID: d.xid, CommitTime: d.commit}
		if err := h.change(ctx, &c); err != nil {
			return err
		}
	}
	return d.malformed(w.end())
}
