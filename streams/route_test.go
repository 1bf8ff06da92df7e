package streams_test

import (
	"testing"

	"supstream/capture"
	"supstream/catalog"
)

// Each case is a change of one samtale (id, kommune, a-kasse, type, status, tekst) and the events it leads to. The
// a-kasse sees types 7 and 8 only, nobody sees a draft ("kladde").
func TestRoute(t *testing.T) {
	r := newRig(t, nil)
	table := r.table("samtale")
	samtale := func(kommune, akasse, typ, status string) catalog.Row {
		return row("1", kommune, akasse, typ, status, "t")
	}
	full := func(kommune, akasse, typ, status string) string {
		quote := func(s string) string {
			if s == "<null>" {
				return "null"
			}
			return `"` + s + `"`
		}
		return `{"id":1} {"id":1,"kommune_kode":` + quote(kommune) + `,"akasse_kode":` + quote(akasse) + `,"type":` + typ + `,"status":"` + status + `","tekst":"t"}!`
	}
	const key = `{"id":1} !`
	cases := []struct {
		name   string
		change capture.Change
		events []string
		held   int // rows held afterwards
	}{
		{"insert: both axes", insert(table, samtale("751", "908", "7", "ny")), []string{
			"kommune.751 samtale.insert " + full("751", "908", "7", "ny"),
			"akasse.908 samtale.insert " + full("751", "908", "7", "ny")}, 0},
		{"insert: not for the a-kasse", insert(table, samtale("751", "908", "1", "ny")), []string{
			"kommune.751 samtale.insert " + full("751", "908", "1", "ny")}, 0},
		{"insert: draft", insert(table, samtale("751", "908", "7", "kladde")), nil, 0},
		{"update: same owners", update(table, samtale("751", "908", "7", "ny"), samtale("751", "908", "8", "ny")), []string{
			"kommune.751 samtale.update " + full("751", "908", "8", "ny"),
			"akasse.908 samtale.update " + full("751", "908", "8", "ny")}, 0},
		{"update: moves to another kommune", update(table, samtale("751", "908", "7", "ny"), samtale("851", "908", "7", "ny")), []string{
			"kommune.751 samtale.scope-out " + key,
			"kommune.851 samtale.scope-in " + full("851", "908", "7", "ny"),
			"akasse.908 samtale.update " + full("851", "908", "7", "ny")}, 0},
		{"update: changes a-kasse", update(table, samtale("751", "908", "7", "ny"), samtale("751", "915", "7", "ny")), []string{
			"akasse.908 samtale.scope-out " + key,
			"kommune.751 samtale.update " + full("751", "915", "7", "ny"),
			"akasse.915 samtale.scope-in " + full("751", "915", "7", "ny")}, 0},
		{"update: both change", update(table, samtale("751", "908", "7", "ny"), samtale("101", "915", "7", "ny")), []string{
			"kommune.751 samtale.scope-out " + key,
			"akasse.908 samtale.scope-out " + key,
			"kommune.101 samtale.scope-in " + full("101", "915", "7", "ny"),
			"akasse.915 samtale.scope-in " + full("101", "915", "7", "ny")}, 0},
		{"update: leaves the a-kasse's filter", update(table, samtale("751", "908", "7", "ny"), samtale("751", "908", "1", "ny")), []string{
			"akasse.908 samtale.scope-out " + key,
			"kommune.751 samtale.update " + full("751", "908", "1", "ny")}, 0},
		{"update: becomes a draft again", update(table, samtale("751", "908", "7", "ny"), samtale("751", "908", "7", "kladde")), []string{
			"kommune.751 samtale.scope-out " + key,
			"akasse.908 samtale.scope-out " + key}, 0},
		{"update: a draft becomes current", update(table, samtale("751", "908", "7", "kladde"), samtale("751", "908", "7", "ny")), []string{
			"kommune.751 samtale.scope-in " + full("751", "908", "7", "ny"),
			"akasse.908 samtale.scope-in " + full("751", "908", "7", "ny")}, 0},
		{"update: a draft stays one", update(table, samtale("751", "908", "7", "kladde"), samtale("851", "908", "7", "kladde")), nil, 0},
		{"update: loses its kommune", update(table, samtale("751", "908", "7", "ny"), samtale("<null>", "908", "7", "ny")), []string{
			"kommune.751 samtale.scope-out " + key,
			"akasse.908 samtale.update " + full("<null>", "908", "7", "ny")}, 1},
		{"update: held for one axis, known on the other", update(table, samtale("<null>", "908", "7", "ny"), samtale("<null>", "915", "7", "ny")), []string{
			"akasse.908 samtale.scope-out " + key,
			"akasse.915 samtale.scope-in " + full("<null>", "915", "7", "ny")}, 1},
		{"update: gets a kommune", update(table, samtale("<null>", "915", "7", "ny"), samtale("101", "915", "7", "ny")), []string{
			"kommune.101 samtale.scope-in " + full("101", "915", "7", "ny"),
			"akasse.915 samtale.update " + full("101", "915", "7", "ny")}, 0},
		{"insert: unknown kommune", insert(table, samtale("999", "<null>", "1", "ny")), nil, 1},
		{"delete: held", remove(table, samtale("999", "<null>", "1", "ny")), nil, 0},
		{"insert: unknown a-kasse is nobody's", insert(table, samtale("751", "999", "7", "ny")), []string{
			"kommune.751 samtale.insert " + full("751", "999", "7", "ny")}, 0},
		{"delete: both axes", remove(table, samtale("751", "908", "7", "ny")), []string{
			"kommune.751 samtale.delete " + key,
			"akasse.908 samtale.delete " + key}, 0},
		{"delete: draft", remove(table, samtale("751", "908", "7", "kladde")), nil, 0},
		{"truncate", truncate(table), []string{
			"kommune.101 samtale.truncate  !", "kommune.751 samtale.truncate  !", "kommune.851 samtale.truncate  !",
			"akasse.908 samtale.truncate  !", "akasse.915 samtale.truncate  !"}, 0},
		{"insert: held before a truncate", insert(table, samtale("<null>", "<null>", "7", "ny")), nil, 1},
		{"truncate: nothing is held", truncate(table), []string{
			"kommune.101 samtale.truncate  !", "kommune.751 samtale.truncate  !", "kommune.851 samtale.truncate  !",
			"akasse.908 samtale.truncate  !", "akasse.915 samtale.truncate  !"}, 0},
	}
	w := r.open()
	var want []string
	for i, c := range cases {
		lsn := uint64(10 * (i + 1))
		w.tx(lsn, c.change)
		w.settle(lsn)
		before := len(want)
		want = append(want, c.events...)
		got := r.events("samtaler")
		t.Run(c.name, func(t *testing.T) {
			equal(t, got[min(before, len(got)):], c.events)
			if n := r.metric("supstream_held_rows", "samtaler"); int(n) != c.held {
				t.Errorf("%v rows are held, want %d", n, c.held)
			}
		})
	}
}

// A row that a back-fill reads goes to its owners only.
func TestRouteRead(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	w.ok(w.Advance(r.ctx, capture.Position{LSN: 100}, clock(100)))
	table := r.table("samtale")
	w.ok(w.PublishChunk(r.ctx, &capture.Chunk{
		Table: table, Time: clock(100),
		Rows: []catalog.Row{
			row("1", "751", "908", "7", "ny", "<null>"),
			row("2", "851", "908", "1", "ny", "<null>"),
			row("3", "851", "908", "7", "kladde", "<null>"),
			row("4", "<null>", "<null>", "7", "ny", "<null>"),
		},
		State: capture.LoadState{Rows: 4, Done: true},
	}))
	w.settle(100)
	equal(t, r.events("samtaler"), []string{
		`kommune.751 samtale.read {"id":1} {"id":1,"kommune_kode":"751","akasse_kode":"908","type":7,"status":"ny","tekst":null}`,
		`akasse.908 samtale.read {"id":1} {"id":1,"kommune_kode":"751","akasse_kode":"908","type":7,"status":"ny","tekst":null}`,
		`kommune.851 samtale.read {"id":2} {"id":2,"kommune_kode":"851","akasse_kode":"908","type":1,"status":"ny","tekst":null}`,
	})
	equal(t, r.held(), []string{
		`held {"id":4} {"id":4,"kommune_kode":null,"akasse_kode":null,"type":7,"status":"ny","tekst":null}`,
	})
}

// Tables for everybody go to Alle; areas that are not open refuse.
func TestRouteAlle(t *testing.T) {
	r := newRig(t, nil)
	w := r.open()
	table := r.table("kode")
	w.tx(10, insert(table, row("l", "k", "t")), truncate(table))
	w.settle(10)
	equal(t, r.events("koder"), []string{
		`alle kode.insert {"liste":"l","kode":"k"} {"liste":"l","kode":"k","tekst":"t"}`,
		`alle kode.truncate  !`,
	})
	closed := r.table("plan")
	c := place(insert(closed, row("1", "751")), 20, 0)
	if err := w.Publish(r.ctx, &c); err == nil {
		t.Error("a row of an area that is not open was published")
	}
	if err := w.PublishChunk(r.ctx, &capture.Chunk{Table: closed}); err == nil {
		t.Error("a chunk of an area that is not open was published")
	}
}
