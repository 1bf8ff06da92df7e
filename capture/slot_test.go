package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestReadSlot(t *testing.T) {
	m := newMirror(t, rowTable)
	s, err := ReadSlot(m.ctx, m.conn, m.name)
	if err != nil || s.Exists {
		t.Errorf("no slot: %+v, %v", s, err)
	}
	m.exec(fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s', 'pgoutput')", m.name))
	m.exec("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 100) g")
	s, err = ReadSlot(m.ctx, m.conn, m.name)
	if err != nil || !s.Exists || s.Active || s.Confirmed == 0 || s.WALStatus != "reserved" || s.Retained <= 0 || s.Safe != -1 {
		t.Errorf("a new slot: %+v, %v", s, err)
	}
	if _, err := ReadSlot(m.ctx, connTo(m, "postgres"), m.name); err == nil || !strings.Contains(err.Error(), m.name) {
		t.Errorf("a slot of another database: %v", err)
	}
}

func connTo(m *mirror, database string) (conn *pgx.Conn) {
	m.t.Helper()
	conn, err := m.server.Connect(m.ctx, database)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestSlotIsOnesOwn(t *testing.T) {
	m := newMirror(t, rowTable)
	cat := rowCatalog(t)
	m.record(cat)
	second, err := connectReplication(m.ctx, m.config())
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close(m.ctx)
	if err := startReplication(m.ctx, second, m.name, m.name); !errors.Is(err, ErrSlotInUse) {
		t.Errorf("the slot of somebody else: %v", err)
	}
}

func TestPublication(t *testing.T) {
	m := newMirror(t, `CREATE TABLE t (id int PRIMARY KEY, v text); CREATE SCHEMA "Øst"; CREATE TABLE "Øst"."År ""x"" " (id int PRIMARY KEY, v text);
		ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE "Øst"."År ""x"" " REPLICA IDENTITY FULL`)
	odd := strings.Replace(tableYAML(`'År "x" '`, "full", "id", "id integer; v text?"), "    description", "    schema: Øst\n    slug: aar\n    description", 1)
	cat := testCatalog(t, tableYAML("t", "full", "id", "id integer; v text?"), odd)
	one := rowCatalog(t)
	name := `odd "name"`
	read := func() Publication {
		t.Helper()
		p, err := ReadPublication(m.ctx, m.conn, name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if read().Exists {
		t.Error("it exists before it was made")
	}
	for _, c := range []struct {
		name   string
		ensure func() error
		tables []string
	}{
		{"made", func() error { return ensurePublication(m.ctx, m.conn, name, one) }, []string{"public.t"}},
		{"made already", func() error { return ensurePublication(m.ctx, m.conn, name, one) }, []string{"public.t"}},
		{"a table joins", func() error { return ensurePublication(m.ctx, m.conn, name, cat) }, []string{"public.t", `Øst.År "x" `}},
		{"a table that is not listed stays", func() error { return ensurePublication(m.ctx, m.conn, name, one) }, []string{"public.t", `Øst.År "x" `}},
	} {
		if err := c.ensure(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		p := read()
		slices.Sort(p.Tables)
		if err := p.Usable(); err != nil || !slices.Equal(p.Tables, c.tables) {
			t.Errorf("%s: %q, %v", c.name, p.Tables, err)
		}
	}
}

// A publication that leaves something out is refused, with the SQL that mends it.
func TestPublicationThatLeavesOut(t *testing.T) {
	for sql, want := range map[string]string{
		"FOR TABLE t WITH (publish = 'insert', publish_via_partition_root = true)": "SET (publish = 'insert, update, delete, truncate')",
		"FOR TABLE t": "publish_via_partition_root = true",
		"FOR TABLE t (id) WITH (publish_via_partition_root = true)":           "column list on t",
		"FOR TABLE t WHERE (id > 1) WITH (publish_via_partition_root = true)": "row filter",
	} {
		m := newMirror(t, "CREATE TABLE t (id int PRIMARY KEY, v text)")
		m.exec("CREATE PUBLICATION p " + sql)
		err := ensurePublication(m.ctx, m.conn, "p", rowCatalog(t))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", sql, err, want)
		}
	}
}

func TestPublicationForAllTables(t *testing.T) {
	m := newMirror(t, rowTable)
	m.exec("CREATE PUBLICATION p FOR ALL TABLES WITH (publish_via_partition_root = true)")
	if err := ensurePublication(m.ctx, m.conn, "p", rowCatalog(t)); err != nil {
		t.Error(err)
	}
}
