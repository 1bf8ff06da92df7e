package capture

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"supstream/catalog"
)

// recording is what a walsender sent, message by message.
type recording struct {
	m    *mirror
	conn *pgconn.PgConn
}

// record makes publication and slot and starts a stream with the pinned settings.
func (m *mirror) record(cat *catalog.Catalog) *recording {
	m.t.Helper()
	m.exec(PublicationSQL(m.name, cat))
	conn, err := connectReplication(m.ctx, m.config())
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := createSlot(m.ctx, conn, m.name); err != nil {
		m.t.Fatal(err)
	}
	if err := startReplication(m.ctx, conn, m.name, m.name); err != nil {
		m.t.Fatal(err)
	}
	return &recording{m, conn}
}

// read returns all messages up to now.
func (r *recording) read() (messages [][]byte) {
	r.m.t.Helper()
	end, err := pglogrepl.ParseLSN(r.m.value("SELECT pg_current_wal_insert_lsn()::text"))
	if err != nil {
		r.m.t.Fatal(err)
	}
	for {
		if err := pglogrepl.SendStandbyStatusUpdate(r.m.ctx, r.conn, pglogrepl.StandbyStatusUpdate{WALWritePosition: 1, ReplyRequested: true}); err != nil {
			r.m.t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(r.m.ctx, 100*time.Millisecond)
		for {
			msg, err := r.conn.ReceiveMessage(ctx)
			if pgconn.Timeout(err) {
				break
			}
			if err != nil {
				r.m.t.Fatal(err)
			}
			d, ok := msg.(*pgproto3.CopyData)
			if !ok {
				r.m.t.Fatalf("unexpected message %T", msg)
			}
			switch d.Data[0] {
			case pglogrepl.XLogDataByteID:
				messages = append(messages, append([]byte(nil), d.Data[25:]...))
			case pglogrepl.PrimaryKeepaliveMessageByteID:
				k, err := pglogrepl.ParsePrimaryKeepaliveMessage(d.Data[1:])
				if err != nil {
					r.m.t.Fatal(err)
				}
				if k.ServerWALEnd >= end {
					cancel()
					return messages
				}
			}
		}
		cancel()
		if r.m.ctx.Err() != nil {
			r.m.t.Fatal("the stream did not come to its end")
		}
	}
}

// collector takes what a decoder finds, as text.
type collector struct {
	lines   []string
	changes []Change
	last    Position
	err     error
}

func (c *collector) change(_ context.Context, ch *Change) error {
	if ch.Position.Compare(c.last) <= 0 {
		c.err = errors.Join(c.err, fmt.Errorf("position %s after %s", ch.Position, c.last))
	}
	c.last = ch.Position
	c.lines = append(c.lines, changeText(ch))
	c.changes = append(c.changes, *ch)
	return nil
}

func (c *collector) advance(_ context.Context, b boundary) error {
	if b.position.Compare(c.last) < 0 {
		c.err = errors.Join(c.err, fmt.Errorf("boundary %s after %s", b.position, c.last))
	}
	if b.commit {
		c.last = b.position
		c.lines = append(c.lines, "commit")
	}
	return nil
}

// decoder returns one that looks types up in the mirror.
func (m *mirror) decoder(cat *catalog.Catalog) *decoder {
	m.t.Helper()
	conn, err := connect(m.ctx, m.config())
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close(context.Background()) })
	d := newDecoder(cat)
	d.typeName, d.reread = typeNamer(conn), rereader(conn)
	return d
}

// decodeAll decodes messages and compares each with what pglogrepl makes of it.
func decodeAll(m *mirror, d *decoder, messages [][]byte) *collector {
	m.t.Helper()
	c := &collector{}
	o := oracle{relations: map[uint32]*pglogrepl.RelationMessage{}}
	for _, msg := range messages {
		n := len(c.changes)
		if err := d.decode(m.ctx, msg, c); err != nil {
			m.t.Fatalf("message %q: %v", msg[:1], err)
		}
		o.compare(m.t, d, msg, c.changes[n:])
	}
	if c.err != nil {
		m.t.Error(c.err)
	}
	return c
}

// oracle reads the same messages with pglogrepl.
type oracle struct {
	relations map[uint32]*pglogrepl.RelationMessage
	xid       uint32
	lsn       uint64
	time      time.Time
}

func (o *oracle) compare(t testing.TB, d *decoder, msg []byte, got []Change) {
	t.Helper()
	parsed, err := pglogrepl.Parse(msg)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range got {
		if c.XID != o.xid || c.Position.LSN != o.lsn || !c.CommitTime.Equal(o.time) {
			t.Errorf("transaction %d at %X %s, want %d at %X %s", c.XID, c.Position.LSN, c.CommitTime, o.xid, o.lsn, o.time)
		}
	}
	switch p := parsed.(type) {
	case *pglogrepl.BeginMessage:
		o.xid, o.lsn, o.time = p.Xid, uint64(p.FinalLSN), p.CommitTime
	case *pglogrepl.RelationMessage:
		o.relations[p.RelationID] = p
	case *pglogrepl.InsertMessage:
		o.one(t, d, p.RelationID, got, Insert, nil, p.Tuple)
	case *pglogrepl.DeleteMessage:
		o.one(t, d, p.RelationID, got, Delete, p.OldTuple, nil)
	case *pglogrepl.UpdateMessage:
		o.one(t, d, p.RelationID, got, Update, p.OldTuple, p.NewTuple)
	case *pglogrepl.TruncateMessage:
		for _, c := range got {
			if c.Op != Truncate {
				t.Errorf("%s for a truncate", c.Op)
			}
		}
	default:
		if len(got) > 0 {
			t.Errorf("a %T gave %d changes", parsed, len(got))
		}
	}
}

// one compares a row message; an update that changes the key is two changes.
func (o *oracle) one(t testing.TB, d *decoder, id uint32, got []Change, op Op, old, new *pglogrepl.TupleData) {
	t.Helper()
	rel := o.relations[id]
	if _, ok := d.catalog.Table(rel.Namespace, rel.RelationName); !ok {
		if len(got) > 0 {
			t.Errorf("a change of table %s, which is not listed", rel.RelationName)
		}
		return
	}
	if len(got) == 2 && op == Update {
		o.tuple(t, rel, got[0], got[0].Old, old)
		o.tuple(t, rel, got[1], got[1].New, new)
		return
	}
	if len(got) != 1 || got[0].Op != op {
		t.Fatalf("%d changes for one %s", len(got), op)
	}
	if new != nil {
		o.tuple(t, rel, got[0], got[0].New, new)
	}
	if old != nil {
		o.tuple(t, rel, got[0], got[0].Old, old)
	}
}

func (o *oracle) tuple(t testing.TB, rel *pglogrepl.RelationMessage, c Change, row catalog.Row, want *pglogrepl.TupleData) {
	t.Helper()
	for i, col := range rel.Columns {
		at, ok := c.Table.Column(col.Name)
		if !ok {
			continue
		}
		v := row[at]
		switch w := want.Columns[i]; w.DataType {
		case 't':
			if v.Kind != catalog.Text || string(v.Text) != string(w.Data) {
				t.Errorf("column %s: %s %q, want %q", col.Name, v.Kind, v.Text, w.Data)
			}
		case 'n':
			if v.Kind != catalog.Null && v.Kind != catalog.Absent {
				t.Errorf("column %s: %s, want null", col.Name, v.Kind)
			}
		}
	}
}

var update = flag.Bool("update", false, "write the messages of TestTransactionShapes into the corpus of FuzzDecode")

func writeCorpus(t *testing.T, name string, messages [][]byte) {
	t.Helper()
	dir := filepath.Join("testdata", "fuzz", "FuzzDecode")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", conversation(messages...))
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTransactionShapes(t *testing.T) {
	const two = `CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE); CREATE TABLE hidden (id int PRIMARY KEY);
		ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE u REPLICA IDENTITY FULL;`
	cases := []struct {
		name string
		sql  []string // each its own transaction, unless it says BEGIN
		want []string
	}{
		{"one of each", []string{"INSERT INTO t VALUES (1, 'a')", "UPDATE t SET v = NULL", "DELETE FROM t"},
			[]string{"insert t 1|a", "commit", "update t 1|a > 1|<null>", "commit", "delete t 1|<null>", "commit"}},
		{"several in one", []string{"BEGIN; INSERT INTO t VALUES (1, 'a'), (2, 'b'); UPDATE t SET v = 'c' WHERE id = 1; COMMIT"},
			[]string{"insert t 1|a", "insert t 2|b", "update t 1|a > 1|c", "commit"}},
		{"rolled back", []string{"BEGIN; INSERT INTO t VALUES (1, 'a'); ROLLBACK", "INSERT INTO t VALUES (2, 'b')"},
			[]string{"insert t 2|b", "commit"}},
		{"rollback to savepoint", []string{"BEGIN; INSERT INTO t VALUES (1, 'a'); SAVEPOINT s; INSERT INTO t VALUES (2, 'b'); ROLLBACK TO s; INSERT INTO t VALUES (3, 'c'); COMMIT"},
			[]string{"insert t 1|a", "insert t 3|c", "commit"}},
		{"subtransactions", []string{"BEGIN; SAVEPOINT a; INSERT INTO t VALUES (1, 'a'); SAVEPOINT b; INSERT INTO t VALUES (2, 'b'); RELEASE b; RELEASE a; INSERT INTO t VALUES (3, 'c'); COMMIT"},
			[]string{"insert t 1|a", "insert t 2|b", "insert t 3|c", "commit"}},
		{"exception block", []string{"DO $$ BEGIN INSERT INTO t VALUES (1, 'a'); BEGIN INSERT INTO t VALUES (1, 'twice'); EXCEPTION WHEN unique_violation THEN INSERT INTO t VALUES (2, 'b'); END; END $$"},
			[]string{"insert t 1|a", "insert t 2|b", "commit"}},
		{"on conflict", []string{"INSERT INTO t VALUES (1, 'a')", "INSERT INTO t VALUES (1, 'b'), (2, 'c') ON CONFLICT (id) DO UPDATE SET v = excluded.v", "INSERT INTO t VALUES (1, 'd') ON CONFLICT DO NOTHING"},
			[]string{"insert t 1|a", "commit", "update t 1|a > 1|b", "insert t 2|c", "commit"}},
		{"truncate cascade", []string{"INSERT INTO t VALUES (1, 'a')", "INSERT INTO u VALUES (1, 1)", "TRUNCATE t CASCADE"},
			[]string{"insert t 1|a", "commit", "insert u 1|1", "commit", "truncate t", "truncate u", "commit"}},
		{"delete cascade", []string{"INSERT INTO t VALUES (1, 'a')", "INSERT INTO u VALUES (7, 1)", "DELETE FROM t"},
			[]string{"insert t 1|a", "commit", "insert u 7|1", "commit", "delete t 1|a", "delete u 7|1", "commit"}},
		{"truncate of hidden tables too", []string{"TRUNCATE hidden, t, u"}, []string{"truncate t", "truncate u", "commit"}},
		{"truncate and fill", []string{"BEGIN; TRUNCATE t, u; INSERT INTO t VALUES (1, 'a'); COMMIT"},
			[]string{"truncate t", "truncate u", "insert t 1|a", "commit"}},
		{"logical messages", []string{"SELECT pg_logical_emit_message(true, 'p', 'x')", "SELECT pg_logical_emit_message(false, 'p', 'x')", "BEGIN; INSERT INTO t VALUES (1, 'a'); SELECT pg_logical_emit_message(true, 'p', 'x'); COMMIT"},
			[]string{"insert t 1|a", "commit"}},
		{"nothing of ours", []string{"INSERT INTO hidden VALUES (1)", "CREATE TABLE more (id int)", "INSERT INTO t VALUES (1, 'a')"},
			[]string{"insert t 1|a", "commit"}},
		{"two-phase", []string{"BEGIN; INSERT INTO t VALUES (1, 'a'); PREPARE TRANSACTION 'x1'", "INSERT INTO t VALUES (2, 'b')", "COMMIT PREPARED 'x1'", "BEGIN; INSERT INTO t VALUES (3, 'c'); PREPARE TRANSACTION 'x2'", "ROLLBACK PREPARED 'x2'"},
			[]string{"insert t 2|b", "commit", "insert t 1|a", "commit"}},
		{"key change", []string{"INSERT INTO t VALUES (1, 'a')", "UPDATE t SET id = 2, v = 'b'"},
			[]string{"insert t 1|a", "commit", "delete t 1|a", "insert t 2|b", "commit"}},
		{"keys that swap", []string{"INSERT INTO t VALUES (1, 'a'), (2, 'b')", "BEGIN; UPDATE t SET id = 3 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2; UPDATE t SET id = 2 WHERE id = 3; COMMIT"},
			[]string{"insert t 1|a", "insert t 2|b", "commit", "delete t 1|a", "insert t 3|a", "delete t 2|b", "insert t 1|b", "delete t 3|a", "insert t 2|a", "commit"}},
		{"update without a change", []string{"INSERT INTO t VALUES (1, 'a')", "UPDATE t SET v = v"},
			[]string{"insert t 1|a", "commit", "update t 1|a > 1|a", "commit"}},
		{"DDL with rows around", []string{"BEGIN; INSERT INTO t VALUES (1, 'a'); ALTER TABLE t ADD extra int DEFAULT 7; INSERT INTO t VALUES (2, 'b'); ALTER TABLE t DROP extra; INSERT INTO t VALUES (3, 'c'); COMMIT"},
			[]string{"insert t 1|a", "insert t 2|b", "insert t 3|c", "commit"}},
		{"inserted and deleted at once", []string{"BEGIN; INSERT INTO t VALUES (1, 'a'); DELETE FROM t; COMMIT"},
			[]string{"insert t 1|a", "delete t 1|a", "commit"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := newMirror(t, two)
			cat := testCatalog(t, tableYAML("t", "full", "id", "id integer; v text?"), tableYAML("u", "full", "id", "id integer; t integer?"))
			r := m.record(cat)
			m.exec(fmt.Sprintf("ALTER PUBLICATION %s ADD TABLE hidden", m.name))
			for _, sql := range c.sql {
				m.exec(sql)
			}
			messages := r.read()
			if *update {
				writeCorpus(t, strings.ReplaceAll(c.name, " ", "-"), messages)
			}
			got := decodeAll(m, m.decoder(cat), messages)
			// A commit without changes of ours is a boundary and nothing else.
			var compact []string
			for i, l := range got.lines {
				if l == "commit" && (i == 0 || got.lines[i-1] == "commit") {
					continue
				}
				compact = append(compact, l)
			}
			lines(t, compact, c.want)
		})
	}
}

// COPY, and transactions that run at the same time and commit in another order than they began.
func TestInterleavedTransactions(t *testing.T) {
	m := newMirror(t, rowTable)
	cat := rowCatalog(t)
	r := m.record(cat)
	a, b := m.connect(), m.connect()
	execOn(t, m.ctx, a, "BEGIN; INSERT INTO t VALUES (1, 'a')")
	execOn(t, m.ctx, b, "BEGIN; INSERT INTO t VALUES (2, 'b')")
	execOn(t, m.ctx, a, "INSERT INTO t VALUES (3, 'a')")
	execOn(t, m.ctx, b, "INSERT INTO t VALUES (4, 'b')")
	execOn(t, m.ctx, b, "COMMIT")
	if _, err := m.conn.PgConn().CopyFrom(m.ctx, strings.NewReader("5\tæøå\\n\n6\t\\N\n"), "COPY t FROM STDIN"); err != nil {
		t.Fatal(err)
	}
	execOn(t, m.ctx, a, "COMMIT")
	got := decodeAll(m, m.decoder(cat), r.read())
	lines(t, got.lines, []string{
		"insert t 2|b", "insert t 4|b", "commit",
		"insert t 5|æøå\n", "insert t 6|<null>", "commit",
		"insert t 1|a", "insert t 3|a", "commit",
	})
	if x, y := got.changes[0].XID, got.changes[4].XID; x <= y {
		t.Errorf("transaction %d came before %d, but the test wants the later one first", x, y)
	}
}

// Partitions are their table; rows that move between them are a delete and an insert of the same key.
func TestPartitions(t *testing.T) {
	m := newMirror(t, `CREATE TABLE t (id int, kind text, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
		CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a'); CREATE TABLE t_b (kind text NOT NULL, dropped int, id int NOT NULL);
		ALTER TABLE t_b DROP dropped; ALTER TABLE t ATTACH PARTITION t_b FOR VALUES IN ('b');
		ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE t_a REPLICA IDENTITY FULL; ALTER TABLE t_b REPLICA IDENTITY FULL`)
	cat := testCatalog(t, tableYAML("t", "full", "id, kind", "id integer; kind text"))
	r := m.record(cat)
	m.exec("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
	m.exec("UPDATE t SET kind = 'b' WHERE id = 1")
	m.exec("TRUNCATE t")
	lines(t, decodeAll(m, m.decoder(cat), r.read()).lines, []string{
		"insert t 1|a", "insert t 2|b", "commit", "delete t 1|a", "insert t 1|b", "commit", "truncate t", "commit",
	})
}
