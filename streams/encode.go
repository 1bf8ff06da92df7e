package streams

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"time"

	"supstream/capture"
	"supstream/catalog"
)

// ContentType is the NATS header value of every event.
const ContentType = "application/cloudevents+json"

// encoder writes the events of changes as structured CloudEvents. It is
// written out by hand because it runs once per row: everything that does not
// differ between rows is made once per table. Not safe for concurrent use.
type encoder struct {
	mirror string
	mac    hash.Hash
	tables map[*catalog.Table]*tableText

	// The change that begin prepared.
	text      *tableText
	change    *capture.Change
	key, data []byte // data: key, or key and row, without the closing brace
	keyEnd    int    // where the key ends in data
	hasRow    bool
	hash      [sha256.Size]byte
	hashHex   [2 * keyHashLen]byte

	time     time.Time // whose text is timeText
	timeText []byte
}

// keyHashLen is the number of bytes of a key hash that are shown.
const keyHashLen = 16

// tableText is what all events of a table have in common.
type tableText struct {
	source  string   // `","source":"…","type":"dk.dfdg.….`
	schema  string   // `","dataschema":"…","datacontenttype":"application/json","sequence":"`
	columns []string // `"name":`
	macHead []byte
	everyOp [len(opNames)]string // op and `","subject":"`
}

func newEncoder(mirror string, key []byte) *encoder {
	return &encoder{mirror: mirror, mac: hmac.New(sha256.New, key), tables: map[*catalog.Table]*tableText{}}
}

func (e *encoder) table(t *catalog.Table) *tableText {
	if x := e.tables[t]; x != nil {
		return x
	}
	x := &tableText{
		source: fmt.Sprintf(`","source":"/dfdg/%s/%s","type":"dk.dfdg.%s.%s.`, e.mirror, t.Area.Slug, t.Area.Slug, t.Slug),
		schema: fmt.Sprintf(`","dataschema":"urn:dfdg:%s:v%d","datacontenttype":"application/json","sequence":"`,
			t.Area.Slug, t.Area.Version),
		macHead: append([]byte(t.Area.Slug+"."+t.Slug), 0),
	}
	for _, c := range t.Columns {
		x.columns = append(x.columns, string(appendString(nil, []byte(c.Name)))+":")
	}
	for op, name := range opNames {
		x.everyOp[op] = name + `","subject":"`
	}
	e.tables[t] = x
	return x
}

// begin prepares the events of c: its key, its row, its hash.
func (e *encoder) begin(c *capture.Change) error {
	e.change, e.text = c, e.table(c.Table)
	if !c.CommitTime.Equal(e.time) || e.timeText == nil {
		e.time = c.CommitTime
		e.timeText = c.CommitTime.UTC().AppendFormat(e.timeText[:0], "2006-01-02T15:04:05.000000Z")
	}
	e.data, e.hasRow = e.data[:0], false
	if c.Op == capture.Truncate {
		e.data = append(append(append(e.data, `"table":"`...), c.Table.Slug...), '"')
		e.keyEnd = len(e.data)
		e.sum([]byte("*"))
		return nil
	}
	row := c.New
	if c.Op == capture.Delete {
		row = c.Old
	}
	e.data = append(e.data, `"key":`...)
	keyStart := len(e.data)
	if err := e.object(c.Table, row, c.Table.Key); err != nil {
		return err
	}
	e.keyEnd = len(e.data)
	e.sum(e.data[keyStart:])
	return nil
}

func (e *encoder) sum(key []byte) {
	e.mac.Reset()
	e.mac.Write(e.text.macHead)
	e.mac.Write(key)
	sum := e.mac.Sum(e.hash[:0])
	hex.Encode(e.hashHex[:], sum[:keyHashLen])
}

// row encodes the new row behind the key, once per change.
func (e *encoder) row() error {
	if e.hasRow {
		return nil
	}
	e.data = append(e.data, `,"row":`...)
	e.hasRow = true
	return e.object(e.change.Table, e.change.New, nil)
}

// object appends the chosen columns of row, all of them when only is nil.
// A column whose large value is not known is left out (docs/EVENTS.md).
func (e *encoder) object(t *catalog.Table, row catalog.Row, only []int) (err error) {
	b := append(e.data, '{')
	n := len(only)
	if only == nil {
		n = len(row)
	}
	for i := range n {
		col := i
		if only != nil {
			col = only[i]
		}
		v := row[col]
		if v.Kind == catalog.Unchanged {
			continue
		}
		if v.Kind == catalog.Absent {
			return &ValueError{t.String(), t.Columns[col].Name, errors.New("no value was sent: does the replica identity cover it?")}
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(b, e.text.columns[col]...)
		if b, err = appendValue(b, t.Columns[col].Form, v); err != nil {
			return &ValueError{t.String(), t.Columns[col].Name, err}
		}
	}
	e.data = append(b, '}')
	return nil
}

// event appends the prepared change's event of kind op.
func (e *encoder) event(b []byte, op Op, part uint32) ([]byte, error) {
	c, x := e.change, e.text
	data := e.data[:e.keyEnd]
	if op.HasRow() {
		if err := e.row(); err != nil {
			return b, err
		}
		data = e.data
	}
	b = append(b, `{"specversion":"1.0","id":"`...)
	id := len(b)
	b = c.Position.Append(b)
	change := len(b)
	b = append(b, '-')
	b = capture.AppendHex(b, uint64(part), 8)
	end := len(b)
	b = append(b, x.source...)
	b = append(b, x.everyOp[op]...)
	b = append(b, e.hashHex[:]...)
	b = append(b, `","time":"`...)
	b = append(b, e.timeText...)
	b = append(b, x.schema...)
	b = append(b, b[id:end]...)
	b = append(b, `","change":"`...)
	b = append(b, b[id:change]...)
	b = append(b, `","xid":"`...) // a string: CloudEvents' integers end at 2^31
	b = strconv.AppendUint(b, uint64(c.XID), 10)
	b = append(b, `","data":{`...)
	b = append(b, data...)
	return append(b, '}', '}'), nil
}

// markLast makes an encoded event the last of its transaction.
func markLast(event []byte) []byte {
	return append(event[:len(event)-1], `,"txlast":true}`...)
}
