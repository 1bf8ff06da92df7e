package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// oracle counts row changes another way: with a slot of its own and the
// test_decoding plug-in, whose text is read here without our decoder, router
// or encoder.
type oracle struct{ w *world }

// changeCount is how many changes of a transaction somebody must be told of.
type changeCount map[string]int // by "xid schema.table"

func (w *world) newOracle(ctx context.Context, conn *pgx.Conn) *oracle {
	w.t.Helper()
	if _, err := conn.Exec(ctx, "SELECT pg_create_logical_replication_slot('oracle', 'test_decoding')"); err != nil {
		w.t.Fatal(err)
	}
	return &oracle{w}
}

var testDecoding = regexp.MustCompile(`(?s)^table ([^:]+): (INSERT|UPDATE|DELETE): (?:old-key: (.*) new-tuple: )?(.*)$`)

// count reads everything up to now.
func (o *oracle) count(ctx context.Context, conn *pgx.Conn) changeCount {
	o.w.t.Helper()
	rows, err := conn.Query(ctx, "SELECT xid::text, data FROM pg_logical_slot_get_changes('oracle', NULL, NULL)")
	if err != nil {
		o.w.t.Fatal(err)
	}
	count := changeCount{}
	var xid, data string
	_, err = pgx.ForEachRow(rows, []any{&xid, &data}, func() error {
		m := testDecoding.FindStringSubmatch(data)
		if m == nil {
			return nil // BEGIN, COMMIT
		}
		schema, name, _ := strings.Cut(m[1], ".")
		t, ok := o.w.catalog.Table(strings.Trim(schema, `"`), strings.Trim(name, `"`))
		if !ok || !t.Area.Open() {
			return nil
		}
		old, new := m[3], m[4]
		switch m[2] {
		case "INSERT":
			old = ""
		case "DELETE":
			old, new = new, ""
		case "UPDATE":
			if old == "" {
				old = new // the identity did not change
			}
			if o.key(t, old) != o.key(t, new) {
				count[xid+" "+t.String()] += o.visible(t, old) + o.visible(t, new)
				return nil
			}
		}
		count[xid+" "+t.String()] += max(o.visible(t, old), o.visible(t, new))
		return nil
	})
	if err != nil {
		o.w.t.Fatal(err)
	}
	return count
}

// column finds a column's text in a line of test_decoding.
func column(line, name string) (text string, null bool) {
	m := regexp.MustCompile(`(?:^| )` + name + `\[[^\]]*\]:(null|'((?:[^']|'')*)'|[^ ]*)`).FindStringSubmatch(line)
	if m == nil || m[1] == "null" {
		return "", true
	}
	if strings.HasPrefix(m[1], "'") {
		return strings.TrimRight(m[2], " "), false
	}
	return m[1], false
}

func (o *oracle) key(t *catalog.Table, line string) string {
	var parts []string
	for _, at := range t.Key {
		text, _ := column(line, t.Columns[at].Name)
		parts = append(parts, fmt.Sprintf("%q", text))
	}
	return strings.Join(parts, ",")
}

// visible is 1 when somebody has the row.
func (o *oracle) visible(t *catalog.Table, line string) int {
	if line == "" {
		return 0
	}
	if t.Draft != nil {
		if text, null := column(line, t.Columns[t.Draft.Column].Name); null || slices.Contains(t.Draft.In, text) {
			return 0
		}
	}
	if t.Everybody {
		return 1
	}
	for _, owner := range t.Owners {
		if owner.Only != nil {
			if text, null := column(line, t.Columns[owner.Only.Column].Name); null || !slices.Contains(owner.Only.In, text) {
				continue
			}
		}
		text, null := column(line, t.Columns[owner.Column].Name)
		if !null && slices.ContainsFunc(o.w.catalog.Brugere(owner.Axis), func(b catalog.Bruger) bool { return b.Kode == text }) {
			return 1
		}
	}
	return 0
}
