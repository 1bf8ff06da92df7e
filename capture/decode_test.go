package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"supstream/catalog"
)

// script builds pgoutput messages.
type script struct{ b []byte }

func message(kind byte) *script { return &script{[]byte{kind}} }

func (s *script) u8(v byte) *script { s.b = append(s.b, v); return s }

func (s *script) u16(v int) *script {
	s.b = binary.BigEndian.AppendUint16(s.b, uint16(v))
	return s
}

func (s *script) u32(v uint32) *script { s.b = binary.BigEndian.AppendUint32(s.b, v); return s }

func (s *script) u64(v uint64) *script { s.b = binary.BigEndian.AppendUint64(s.b, v); return s }

func (s *script) text(v string) *script { s.b = append(append(s.b, v...), 0); return s }

// tuple appends columns; "\x00n", "\x00u" are null and unchanged.
func (s *script) tuple(kind byte, columns ...string) *script {
	s.u8(kind).u16(len(columns))
	for _, c := range columns {
		if c == null || c == unchanged {
			s.u8(c[1])
			continue
		}
		s.u8('t').u32(uint32(len(c)))
		s.b = append(s.b, c...)
	}
	return s
}

const (
	null      = "\x00n"
	unchanged = "\x00u"

	oidInt, oidText = 23, 25
)

func begin(lsn uint64, xid uint32) []byte { return message('B').u64(lsn).u64(0).u32(xid).b }

func commit(lsn uint64) []byte { return message('C').u8(0).u64(lsn).u64(lsn + 8).u64(0).b }

func keepalive(lsn uint64) []byte { return message(msgKeepalive).u64(lsn).u64(0).b }

// announce announces public.t (id integer, v text), with id as its identity, and columns that nobody listed.
func announce(identity byte, more ...string) []byte {
	s := message('R').u32(1).text("public").text("t").u8(identity).u16(2 + len(more))
	s.u8(1).text("id").u32(oidInt).u32(math.MaxUint32)
	for _, name := range more {
		s.u8(0).text(name).u32(oidText).u32(math.MaxUint32)
	}
	return s.u8(0).text("v").u32(oidText).u32(math.MaxUint32).b
}

func announceHidden() []byte {
	return message('R').u32(2).text("public").text("hidden").u8('d').u16(1).u8(1).text("id").u32(oidInt).u32(math.MaxUint32).b
}

func insertOf(id uint32, columns ...string) []byte {
	return message('I').u32(id).tuple('N', columns...).b
}

// scripted is a decoder without a database.
func scripted(t testing.TB) *decoder {
	t.Helper()
	return scriptedWith(testCatalog(t, tableYAML("t", "default", "id", "id integer; v text?")))
}

func scriptedWith(cat *catalog.Catalog) *decoder {
	d := newDecoder(cat)
	d.typeName = func(_ context.Context, oid uint32, _ int32) (string, error) {
		switch oid {
		case oidInt:
			return "integer", nil
		case oidText:
			return "text", nil
		}
		return "???", nil
	}
	d.reread = func(_ context.Context, t *catalog.Table, row catalog.Row) error {
		for i := range row {
			if row[i].Kind == catalog.Unchanged {
				row[i] = catalog.Value{Kind: catalog.Text, Text: []byte("read again")}
			}
		}
		return nil
	}
	return d
}

func TestDecode(t *testing.T) {
	const id = 1
	cases := []struct {
		name     string
		messages [][]byte
		want     []string // changes and commits
		fails    string   // part of the error of the last message
	}{
		{"insert", [][]byte{begin(100, 7), announce('d'), insertOf(id, "1", "a"), commit(100)}, []string{"insert t 1|a", "commit"}, ""},
		{"columns nobody listed", [][]byte{begin(100, 7), announce('d', "extra", "more"), insertOf(id, "1", "secret", null, "a"), commit(100)}, []string{"insert t 1|a", "commit"}, ""},
		{"a table nobody listed", [][]byte{begin(100, 7), announceHidden(), insertOf(2, "1"), commit(100)}, []string{"commit"}, ""},
		{"empty text is not null", [][]byte{begin(100, 7), announce('d'), insertOf(id, "1", ""), insertOf(id, "2", null), commit(100)}, []string{"insert t 1|", "insert t 2|<null>", "commit"}, ""},
		{"update without old row", [][]byte{begin(100, 7), announce('d'), message('U').u32(id).tuple('N', "1", "b").b, commit(100)}, []string{"update t 1|b > 1|b", "commit"}, ""},
		{"update with old row", [][]byte{begin(100, 7), announce('f'), message('U').u32(id).tuple('O', "1", "a").tuple('N', "1", unchanged).b, commit(100)}, []string{"update t 1|a > 1|a", "commit"}, ""},
		{"update of the key", [][]byte{begin(100, 7), announce('d'), message('U').u32(id).tuple('K', "1", null).tuple('N', "2", unchanged).b, commit(100)}, []string{"delete t 1|<absent>", "insert t 2|read again", "commit"}, ""},
		{"delete", [][]byte{begin(100, 7), announce('d'), message('D').u32(id).tuple('K', "1", null).b, commit(100)}, []string{"delete t 1|<absent>", "commit"}, ""},
		{"truncate", [][]byte{begin(100, 7), announce('d'), announceHidden(), message('T').u32(2).u8(3).u32(2).u32(id).b, commit(100)}, []string{"truncate t", "commit"}, ""},
		{"types, origins and messages", [][]byte{message('Y').u32(9).text("x").text("y").b, begin(100, 7), message('O').u64(1).text("o").b, message('M').u8(1).u64(1).text("p").u32(1).u8('x').b, commit(100)}, []string{"commit"}, ""},
		{"keepalive within a transaction", [][]byte{begin(100, 7), keepalive(900), announce('d'), insertOf(id, "1", "a"), commit(100)}, []string{"insert t 1|a", "commit"}, ""},

		{"begin twice", [][]byte{begin(100, 7), begin(200, 8)}, nil, "begin within a transaction"},
		{"commit without begin", [][]byte{commit(100)}, nil, "did not begin"},
		{"commit of another", [][]byte{begin(100, 7), commit(200)}, nil, "did not begin"},
		{"row without begin", [][]byte{announce('d'), insertOf(id, "1", "a")}, nil, "outside a transaction"},
		{"truncate without begin", [][]byte{announce('d'), message('T').u32(1).u8(0).u32(id).b}, nil, "outside a transaction"},
		{"row after commit", [][]byte{begin(100, 7), announce('d'), commit(100), insertOf(id, "1", "a")}, []string{"commit"}, "outside a transaction"},
		{"row of an unknown table", [][]byte{begin(100, 7), insertOf(3, "1", "a")}, nil, "not announced"},
		{"truncate of an unknown table", [][]byte{begin(100, 7), message('T').u32(1).u8(0).u32(3).b}, nil, "not announced"},
		{"too few columns", [][]byte{begin(100, 7), announce('d'), insertOf(id, "1")}, nil, "1 columns, 2 were announced"},
		{"too many columns", [][]byte{begin(100, 7), announce('d'), insertOf(id, "1", "a", "b")}, nil, "3 columns, 2 were announced"},
		{"binary value", [][]byte{begin(100, 7), announce('d'), message('I').u32(id).u8('N').u16(2).u8('b').u32(1).u8(1).u8('n').b}, nil, "unknown kind"},
		{"negative length", [][]byte{begin(100, 7), announce('d'), message('I').u32(id).u8('N').u16(2).u8('t').u32(math.MaxUint32).u8('n').b}, nil, "public.t"},
		{"bytes left over", [][]byte{begin(100, 7), announce('d'), append(insertOf(id, "1", "a"), 0)}, nil, "too many"},
		{"insert with an old row", [][]byte{begin(100, 7), announce('d'), message('I').u32(id).tuple('K', "1", null).b}, nil, "malformed row"},
		{"delete with a new row", [][]byte{begin(100, 7), announce('d'), message('D').u32(id).tuple('N', "1", "a").b}, nil, "malformed row"},
		{"update without a new row", [][]byte{begin(100, 7), announce('d'), message('U').u32(id).tuple('K', "1", null).b}, nil, "cut short"},
		{"unknown message", [][]byte{message('S').u32(1).u8(1).b}, nil, "unknown message"},
		{"empty message", [][]byte{{}}, nil, "unknown message"},
		{"column announced twice", [][]byte{message('R').u32(1).text("public").text("t").u8('d').u16(2).u8(1).text("id").u32(oidInt).u32(0).u8(1).text("id").u32(oidInt).u32(0).b}, nil, "twice"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, got := scripted(t), &collector{}
			for i, msg := range c.messages {
				err := d.decode(context.Background(), msg, got)
				var malformed *MessageError
				switch {
				case i < len(c.messages)-1 || c.fails == "":
					if err != nil {
						t.Fatalf("message %d: %v", i, err)
					}
				case !errors.As(err, &malformed) || !strings.Contains(err.Error(), c.fails):
					t.Errorf("error %v, want a MessageError that says %q", err, c.fails)
				case classify(err) != kindPermanent:
					t.Errorf("error %v would be tried again", err)
				}
			}
			lines(t, got.lines, c.want)
		})
	}
}

// What does not fit the catalogue is drift, named by table and column.
func TestDecodeDrift(t *testing.T) {
	announced := func(identity byte, columns ...any) []byte {
		s := message('R').u32(1).text("public").text("t").u8(identity).u16(len(columns) / 3)
		for i := 0; i < len(columns); i += 3 {
			s.u8(byte(columns[i].(int))).text(columns[i+1].(string)).u32(uint32(columns[i+2].(int))).u32(math.MaxUint32)
		}
		return s.b
	}
	cases := []struct {
		name   string
		msg    []byte
		kind   catalog.Drift
		column string
	}{
		{"another type", announced('d', 1, "id", oidText, 0, "v", oidText), catalog.TypeChanged, "id"},
		{"a type that has gone", announced('d', 1, "id", 999, 0, "v", oidText), catalog.TypeChanged, "id"},
		{"a column is missing", announced('d', 1, "id", oidInt), catalog.ColumnMissing, "v"},
		{"a column is renamed", announced('d', 1, "id", oidInt, 0, "w", oidText), catalog.ColumnMissing, "v"},
		{"the key is not the identity", announced('i', 0, "id", oidInt, 1, "v", oidText), catalog.IdentityChanged, ""},
		{"no identity", announced('n', 0, "id", oidInt, 0, "v", oidText), catalog.IdentityChanged, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := scripted(t).decode(context.Background(), c.msg, &collector{})
			var drift *catalog.DriftError
			if !errors.As(err, &drift) || drift.Kind != c.kind || drift.Column != c.column {
				t.Errorf("error %v, want %s of %q", err, c.kind, c.column)
			}
		})
	}
}

// Positions count messages, so that they are the same when a transaction comes again, and boundaries lie behind it.
func TestDecodePositions(t *testing.T) {
	d, got := scripted(t), &positions{}
	for _, msg := range [][]byte{
		keepalive(50), begin(100, 7), announce('d'), announceHidden(), insertOf(1, "1", "a"), insertOf(2, "1"),
		message('U').u32(1).tuple('K', "1", null).tuple('N', "2", "b").b, insertOf(1, "3", "c"), commit(100), keepalive(300),
	} {
		if err := d.decode(context.Background(), msg, got); err != nil {
			t.Fatal(err)
		}
	}
	lines(t, got.list, []string{
		"0000000000000032-00000000 boundary",
		"0000000000000064-00000001 insert", "0000000000000064-00000005 delete", "0000000000000064-00000006 insert", "0000000000000064-00000007 insert",
		"000000000000006C-00000000 boundary", "000000000000012C-00000000 boundary",
	})
}

type positions struct{ list []string }

func (p *positions) change(_ context.Context, c *Change) error {
	p.list = append(p.list, c.Position.String()+" "+c.Op.String())
	return nil
}

func (p *positions) advance(_ context.Context, b boundary) error {
	p.list = append(p.list, b.position.String()+" boundary")
	return nil
}

// conversation is a stream of messages as one text, each behind its length.
func conversation(messages ...[]byte) []byte {
	q := newQueue()
	for _, m := range messages {
		q.push(m)
	}
	return slices.Clone(q.take())
}

// Every truncation and every flipped byte of a conversation is an error or a change, never a panic.
func TestDecodeGarbled(t *testing.T) {
	good := [][]byte{begin(100, 7), announce('f'), insertOf(1, "1", "a"), message('U').u32(1).tuple('O', "1", "a").tuple('N', "1", unchanged).b,
		message('D').u32(1).tuple('O', "1", "a").b, message('T').u32(1).u8(0).u32(1).b, commit(100), keepalive(200)}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i, msg := range good {
		for n := range msg {
			d := scripted(t)
			for _, m := range good[:i] {
				if err := d.decode(context.Background(), m, &collector{}); err != nil {
					t.Fatal(err)
				}
			}
			err := d.decode(context.Background(), msg[:n], &collector{})
			if err == nil {
				t.Errorf("message %q cut at %d of %d was taken", msg[:1], n, len(msg))
			}
			flipped := slices.Clone(msg)
			flipped[n] ^= byte(1 + rnd.IntN(255))
			decodeAny(t, d, flipped)
		}
	}
}

// decodeAny decodes a message that may be anything and makes sure that what comes out is an error of ours or a change.
func decodeAny(t testing.TB, d *decoder, msg []byte) {
	err := d.decode(context.Background(), msg, &collector{})
	var malformed *MessageError
	var drift *catalog.DriftError
	if err != nil && !errors.As(err, &malformed) && !errors.As(err, &drift) {
		t.Errorf("error %v is neither a MessageError nor drift", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(conversation(begin(100, 7), announce('f'), insertOf(1, "1", "a"), commit(100)))
	f.Add(conversation(begin(100, 7), announce('d'), message('U').u32(1).tuple('K', "1", null).tuple('N', "2", unchanged).b, commit(100), keepalive(9)))
	f.Add(conversation(begin(1, 1), announceHidden(), announce('d', "extra"), message('T').u32(2).u8(3).u32(2).u32(1).b, commit(1)))
	f.Add(conversation(message('Y').u32(9).text("x").text("y").b, begin(1, 1), message('D').u32(1).tuple('K', "1", null).b))
	cat := testCatalog(f, tableYAML("t", "default", "id", "id integer; v text?"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := scriptedWith(cat)
		for len(data) >= 4 {
			n := binary.LittleEndian.Uint32(data)
			if uint64(n) > uint64(len(data)-4) {
				return
			}
			decodeAny(t, d, messages(data).next2(&data))
		}
	})
}

// next2 is next for data that are kept as plain bytes.
func (m messages) next2(rest *[]byte) []byte {
	msg := m.next()
	*rest = m
	return msg
}

// The corpus holds a stream of a real server: every shape of transaction.
func TestCorpusIsThere(t *testing.T) {
	files, err := filepath.Glob("testdata/fuzz/FuzzDecode/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/fuzz/FuzzDecode: %v, %v", files, err)
	}
	t.Logf("%d files", len(files))
	if b, err := os.ReadFile(files[0]); err != nil || !strings.HasPrefix(string(b), "go test fuzz v1") {
		t.Errorf("%s is not a corpus file: %v", files[0], err)
	}
}

func TestWireTime(t *testing.T) {
	w := &wire{b: binary.BigEndian.AppendUint64(nil, uint64(820490400123456))}
	if got, want := w.time(), time.Date(2025, 12, 31, 10, 0, 0, 123456000, time.UTC); !got.Equal(want) {
		t.Errorf("%s, want %s", got, want)
	}
	past := int64(-1)
	w = &wire{b: binary.BigEndian.AppendUint64(nil, uint64(past))}
	if got, want := w.time(), time.Date(1999, 12, 31, 23, 59, 59, 999999000, time.UTC); !got.Equal(want) {
		t.Errorf("%s, want %s", got, want)
	}
}
