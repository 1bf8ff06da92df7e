package capture

import (
	"strings"
	"testing"
)

// big is an expression for a text that Postgres stores out of line and does not compress.
const big = "(SELECT string_agg(md5(%s || g::text), '') FROM generate_series(1, 300) g)"

func bigText(seed string) string { return strings.Replace(big, "%s", "'"+seed+"'", 1) }

// A large value that an update did not touch is never blanked, whatever the replica identity, the key and the owner do.
func TestUnchangedLargeValues(t *testing.T) {
	identities := []struct{ name, catalog, sql string }{
		{"full", "full", "ALTER TABLE t REPLICA IDENTITY FULL"},
		{"index", "index:t_identity", "CREATE UNIQUE INDEX t_identity ON t (id, kommune); ALTER TABLE t REPLICA IDENTITY USING INDEX t_identity"},
	}
	cases := []struct {
		name string
		sql  []string
		want []string // with §a for the large text of seed a
	}{
		{"another column", []string{"UPDATE t SET nr = 2"}, []string{"update t 1|751|1|§a > 1|751|2|§a", "commit"}},
		{"the large one", []string{"UPDATE t SET v = " + bigText("b")}, []string{"update t 1|751|1|§a > 1|751|1|§b", "commit"}},
		{"the owner", []string{"UPDATE t SET kommune = '101'"}, []string{"update t 1|751|1|§a > 1|101|1|§a", "commit"}},
		{"the key", []string{"UPDATE t SET id = 2"}, []string{"delete t 1|751|1|§a", "insert t 2|751|1|§a", "commit"}},
		{"key and owner", []string{"UPDATE t SET id = 2, kommune = '101', nr = 3"}, []string{"delete t 1|751|1|§a", "insert t 2|101|3|§a", "commit"}},
		{"set to null", []string{"UPDATE t SET v = NULL"}, []string{"update t 1|751|1|§a > 1|751|1|<null>", "commit"}},
	}
	for _, id := range identities {
		for _, c := range cases {
			t.Run(id.name+": "+c.name, func(t *testing.T) {
				m := newMirror(t, "CREATE TABLE t (id int PRIMARY KEY, kommune char(3) NOT NULL, nr int, v text);"+id.sql)
				cat := testCatalog(t, tableYAML("t", id.catalog, "id", "id integer; kommune char(3); nr integer?; v text?"))
				m.exec("INSERT INTO t SELECT 1, '751', 1, " + bigText("a"))
				a, b := m.value("SELECT "+bigText("a")), m.value("SELECT "+bigText("b"))
				r := m.record(cat)
				for _, sql := range c.sql {
					m.exec(sql)
				}
				got := decodeAll(m, m.decoder(cat), r.read())
				for i := range got.lines {
					got.lines[i] = strings.NewReplacer(a, "§a", b, "§b").Replace(got.lines[i])
					if id.name == "index" {
						// The old row holds the identity's columns only, or is the new one.
						got.lines[i] = strings.Replace(got.lines[i], "|<absent>|<absent>", "|1|§a", 1)
					}
				}
				want := c.want
				if id.name == "index" && !strings.Contains(c.name, "key") && !strings.Contains(c.name, "owner") {
					_, after, _ := strings.Cut(want[0], " > ")
					want = []string{"update t " + after + " > " + after, "commit"}
				}
				lines(t, got.lines, want)
			})
		}
	}
}

// A large value that is read again is the row's own: not that of the owner it went to later.
func TestLargeValueDoesNotGoToAnEarlierOwner(t *testing.T) {
	m := newMirror(t, `CREATE TABLE t (id int PRIMARY KEY, kommune char(3) NOT NULL, nr int, v text);
		CREATE UNIQUE INDEX t_identity ON t (id, kommune); ALTER TABLE t REPLICA IDENTITY USING INDEX t_identity`)
	cat := testCatalog(t, tableYAML("t", "index:t_identity", "id", "id integer; kommune char(3); nr integer?; v text?"))
	m.exec("INSERT INTO t SELECT 1, '751', 1, " + bigText("a"))
	r := m.record(cat)
	m.exec("UPDATE t SET nr = 2")
	m.exec("UPDATE t SET kommune = '101', v = " + bigText("b"))
	b := m.value("SELECT v FROM t")
	// Capture comes to the first update only now.
	got := decodeAll(m, m.decoder(cat), r.read())
	for i := range got.lines {
		got.lines[i] = strings.ReplaceAll(got.lines[i], b, "§b")
	}
	lines(t, got.lines, []string{
		"update t 1|751|2|<unchanged> > 1|751|2|<unchanged>", "commit",
		"update t 1|751|<absent>|<absent> > 1|101|2|§b", "commit",
	})
}

// A large value cannot be read again when the row has gone; the row's delete follows.
func TestLargeValueOfARowThatIsGone(t *testing.T) {
	m := newMirror(t, `CREATE TABLE t (id int PRIMARY KEY, nr int, v text)`)
	cat := testCatalog(t, tableYAML("t", "default", "id", "id integer; nr integer?; v text?"))
	m.exec("INSERT INTO t SELECT 1, 1, " + bigText("a"))
	r := m.record(cat)
	m.exec("UPDATE t SET nr = 2")
	m.exec("DELETE FROM t")
	lines(t, decodeAll(m, m.decoder(cat), r.read()).lines, []string{
		"update t 1|2|<unchanged> > 1|2|<unchanged>", "commit", "delete t 1|<absent>|<absent>", "commit",
	})
}

// Errors of a second look at the row do not quote it.
func TestRereadDoesNotQuoteValues(t *testing.T) {
	const cpr = "0101011234X"
	m := newMirror(t, `CREATE TABLE t (id text PRIMARY KEY, nr int, v text)`)
	cat := testCatalog(t, tableYAML("t", "default", "id", "id text; nr integer?; v text?"))
	m.exec("INSERT INTO t SELECT $1, 1, "+bigText("a"), cpr)
	r := m.record(cat)
	m.exec("UPDATE t SET nr = 2")
	d := m.decoder(cat)
	messages := r.read()
	m.exec("ALTER TABLE t ALTER id TYPE int USING 1")
	var err error
	for _, msg := range messages {
		if err = d.decode(m.ctx, msg, &collector{}); err != nil {
			break
		}
	}
	if err == nil || strings.Contains(err.Error(), cpr) || !strings.Contains(err.Error(), "public.t") {
		t.Errorf("error: %v", err)
	}
	l, err := newLoader(m.ctx, m.conn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.read(m.ctx, table(t, cat, "t"), filter{}, LoadState{After: []string{cpr}}, 10)
	if err == nil || strings.Contains(err.Error(), cpr) || !strings.Contains(err.Error(), "public.t") {
		t.Errorf("error: %v", err)
	}
}
