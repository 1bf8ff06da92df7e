package streams_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"supstream/capture"
	"supstream/catalog"
	"supstream/streams"
)

const viaCatalogBrugere = `kommune: [{code: "101", name: København}, {code: "751", name: Aarhus}, {code: "851", name: Aalborg}]
akasse: [{code: "908", name: Faglig Fælles A-kasse}]
`

const viaCatalogPersons = `slug: personer
name: Personer
description: Hvem personer hører til.
version: 1
state: internal
sensitivity: fortrolig
reported_by: [dfdg]
history: all
legal_basis: {none: Bruges kun af platformen.}
tables:
  - name: tilhoer
    description: En periode.
    key: [id]
    persons: {person: cpr, kommune: kommune, akasse: akasse, to: til}
    columns:
      - {name: id, type: integer, description: Nøgle.}
      - {name: cpr, type: char(10), description: Personen.}
      - {name: kommune, type: char(3), nullable: true, description: Kommunen.}
      - {name: akasse, type: char(3), nullable: true, description: A-kassen.}
      - {name: til, type: date, nullable: true, description: Sidste dag.}
`

const viaCatalogBreve = `slug: breve
name: Breve
description: Breve til borgere.
version: 1
state: production
audience: [kommune, akasse]
sensitivity: fortrolig
reported_by: [jobcenter]
frequency: daily
history: all
legal_basis: {chapters: [6]}
link: https://example.org/
tables:
  - name: brev
    description: Et brev.
    key: [id]
    owners:
      kommune: {via: tilhoer, person: cpr}
      akasse: {via: tilhoer, person: cpr, only: {column: type, in: [7]}}
    columns:
      - {name: id, type: integer, description: Nøgle.}
      - {name: cpr, type: char(10), description: Personen.}
      - {name: type, type: smallint, description: Type.}
`

// moveRig is a rig whose rows find their owners via persons, and a publisher that knows them.
type moveRig struct {
	*rig
	w       *writer
	persons *capture.Persons
	lsn     uint64
	told    int // events already asked for
}

const firstDay = capture.Day(20000)

func newMoveRig(t *testing.T) *moveRig {
	t.Helper()
	cat, err := catalog.Load(fstest.MapFS{
		"brugere.yaml": {Data: []byte(viaCatalogBrugere)}, "personer.yaml": {Data: []byte(viaCatalogPersons)}, "breve.yaml": {Data: []byte(viaCatalogBreve)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &moveRig{rig: newRig(t, nil), persons: capture.NewPersons(cat, firstDay), lsn: 10}
	r.catalog, r.cfg.Catalog = cat, cat
	r.apply()
	r.again(firstDay)
	return r
}

// again opens a publisher as if the process had been started anew; the map of persons is as it was.
func (r *moveRig) again(today capture.Day) {
	r.t.Helper()
	if r.w != nil {
		r.news()
	}
	r.w = r.open()
	r.w.ok(r.w.Advance(r.ctx, capture.Position{LSN: r.lsn}, clock(r.lsn)))
	r.w.ok(r.w.UsePersons(r.ctx, r.persons, today, 1))
}

// tx publishes a transaction and returns what it told whom.
func (r *moveRig) tx(changes ...capture.Change) []string {
	r.t.Helper()
	r.lsn += 10
	r.w.tx(r.lsn, changes...)
	return r.news()
}

// news are the events since the last call.
func (r *moveRig) news() []string {
	r.t.Helper()
	r.lsn++
	r.w.ok(r.w.Advance(r.ctx, capture.Position{LSN: r.lsn}, clock(r.lsn)))
	r.w.settle(r.lsn)
	all := r.events("breve")
	list := slices.Clone(all[r.told:])
	r.told = len(all)
	for i := range list {
		list[i] = strings.TrimSuffix(strings.Replace(list[i], " brev.", " ", 1), "!")
	}
	return list
}

// hand reads the rows of pending moves, here from what the test says, and finishes the moves.
func (r *moveRig) hand(rows ...catalog.Row) []string {
	r.t.Helper()
	moves := r.w.PendingMoves(100)
	r.chunk(rows...)
	r.w.ok(r.w.FinishMoves(r.ctx, moves))
	return r.news()
}

func (r *moveRig) chunk(rows ...catalog.Row) {
	r.t.Helper()
	r.w.ok(r.w.PublishChunk(r.ctx, &capture.Chunk{Table: r.table("brev"), Moved: true, Rows: rows, Time: time.Now()}))
}

func (r *moveRig) pending() int { return len(r.w.PendingMoves(100)) }

func (r *moveRig) brev(id, cpr, typ string) catalog.Row { return row(id, "400190000"+cpr, typ) }

func (r *moveRig) person(cpr, kommune, akasse string) catalog.Row {
	return row(cpr, "400190000"+cpr, kommune, akasse, "<null>")
}

func (r *moveRig) move(cpr, from, to string) capture.Change {
	return update(r.table("tilhoer"), r.person(cpr, from, "908"), r.person(cpr, to, "908"))
}

// From one kommune to another: rows that stand still, change, go and come meanwhile.
func TestMove(t *testing.T) {
	r := newMoveRig(t)
	brev := r.table("brev")
	r.tx(insert(r.table("tilhoer"), r.person("1", "101", "908")))
	r.hand()
	equal(t, r.tx(insert(brev, r.brev("1", "1", "7")), insert(brev, r.brev("2", "1", "8")), insert(brev, r.brev("3", "1", "8"))), []string{
		`kommune.101 insert {"id":1} {"id":1,"cpr":"4001900001","type":7}`,
		`akasse.908 insert {"id":1} {"id":1,"cpr":"4001900001","type":7}`,
		`kommune.101 insert {"id":2} {"id":2,"cpr":"4001900001","type":8}`,
		`kommune.101 insert {"id":3} {"id":3,"cpr":"4001900001","type":8}`,
	})
	// The move itself tells nobody anything. Rows that change behind it leave the old owner; a new row is none of their business.
	equal(t, r.tx(r.move("1", "101", "751"), update(brev, r.brev("2", "1", "8"), r.brev("2", "1", "9")), remove(brev, r.brev("3", "1", "8")), insert(brev, r.brev("4", "1", "8"))), []string{
		`kommune.101 scope-out {"id":2} `,
		`kommune.751 scope-in {"id":2} {"id":2,"cpr":"4001900001","type":9}`,
		`kommune.751 delete {"id":3} `,
		`kommune.101 scope-out {"id":3} `,
		`kommune.751 insert {"id":4} {"id":4,"cpr":"4001900001","type":8}`,
	})
	// The a-kasse did not change: it is told nothing.
	equal(t, r.hand(r.brev("1", "1", "7"), r.brev("4", "1", "8")), []string{
		`kommune.101 scope-out {"id":1} `,
		`kommune.751 scope-in {"id":1} {"id":1,"cpr":"4001900001","type":7}`,
		`kommune.751 scope-in {"id":4} {"id":4,"cpr":"4001900001","type":8}`,
	})
	if r.pending() != 0 {
		t.Error("the move is still pending")
	}
	equal(t, r.tx(update(brev, r.brev("1", "1", "7"), r.brev("1", "1", "8"))), []string{
		`akasse.908 scope-out {"id":1} `,
		`kommune.751 update {"id":1} {"id":1,"cpr":"4001900001","type":8}`,
	})
}

// A second move before the first is done, also back, and a restart in between.
func TestSecondMove(t *testing.T) {
	r := newMoveRig(t)
	brev := r.table("brev")
	r.tx(insert(r.table("tilhoer"), r.person("1", "101", "<null>")))
	r.hand()
	r.tx(insert(brev, r.brev("1", "1", "8")))
	change := func(from, to string) capture.Change {
		return update(r.table("tilhoer"), r.person("1", from, "<null>"), r.person("1", to, "<null>"))
	}
	r.tx(change("101", "751"))
	first := r.w.PendingMoves(100)
	r.chunk(r.brev("1", "1", "8"))
	equal(t, r.news(), []string{
		`kommune.101 scope-out {"id":1} `,
		`kommune.751 scope-in {"id":1} {"id":1,"cpr":"4001900001","type":8}`,
	})
	r.tx(change("751", "851"))
	r.w.ok(r.w.FinishMoves(r.ctx, first)) // too late: the person is on its way again
	if r.pending() != 1 {
		t.Fatalf("%d moves are pending", r.pending())
	}
	r.w.settle(0)
	r.again(firstDay)
	if r.pending() != 1 {
		t.Fatalf("after a restart %d moves are pending", r.pending())
	}
	equal(t, r.hand(r.brev("1", "1", "8")), []string{
		`kommune.101 scope-out {"id":1} `,
		`kommune.751 scope-out {"id":1} `,
		`kommune.851 scope-in {"id":1} {"id":1,"cpr":"4001900001","type":8}`,
	})
	r.tx(change("851", "101"), change("101", "851")) // there and back
	equal(t, r.hand(r.brev("1", "1", "8")), []string{
		`kommune.101 scope-out {"id":1} `,
		`kommune.851 scope-in {"id":1} {"id":1,"cpr":"4001900001","type":8}`,
	})
	r.again(firstDay)
	if r.pending() != 0 {
		t.Errorf("%d moves are pending after the last was done", r.pending())
	}
}

// Rows of persons whom nobody owns are held, and delivered once somebody does.
func TestHeldPerson(t *testing.T) {
	r := newMoveRig(t)
	brev := r.table("brev")
	equal(t, r.tx(insert(brev, r.brev("1", "1", "8")), insert(brev, r.brev("2", "1", "8")), insert(brev, r.brev("3", "1", "8"))), nil)
	if n := len(r.heldNow()); n != 3 {
		t.Fatalf("%d rows are held", n)
	}
	equal(t, r.tx(insert(r.table("tilhoer"), r.person("1", "751", "<null>")), remove(brev, r.brev("2", "1", "8")), update(brev, r.brev("3", "1", "8"), r.brev("3", "1", "9"))), []string{
		`kommune.751 delete {"id":2} `,
		`kommune.751 scope-in {"id":3} {"id":3,"cpr":"4001900001","type":9}`,
	})
	equal(t, r.heldNow(), []string{`held {"id":1} {"id":1,"cpr":"4001900001","type":8}`})
	equal(t, r.hand(r.brev("1", "1", "8")), []string{`kommune.751 scope-in {"id":1} {"id":1,"cpr":"4001900001","type":8}`})
	equal(t, r.heldNow(), nil)
	// The person is taken out of the table: nobody knows, and the rows are held again.
	r.tx(remove(r.table("tilhoer"), r.person("1", "751", "<null>")))
	equal(t, r.hand(r.brev("1", "1", "8"), r.brev("3", "1", "9")), []string{`kommune.751 scope-out {"id":1} `, `kommune.751 scope-out {"id":3} `})
	if n := len(r.heldNow()); n != 2 {
		t.Errorf("%d rows are held", n)
	}
}

func (r *moveRig) heldNow() (list []string) {
	r.t.Helper()
	for _, s := range r.held() {
		if strings.HasPrefix(s, "held ") {
			list = append(list, s)
		}
	}
	return list
}

// A day ends a period: the move is noted before the day is, and once.
func TestMoveByTheDay(t *testing.T) {
	r := newMoveRig(t)
	r.tx(insert(r.table("tilhoer"), row("1", "4001900001", "101", "<null>", firstDay.String())), insert(r.table("brev"), r.brev("1", "1", "8")))
	r.hand(r.brev("1", "1", "8"))
	r.again(firstDay + 1)
	if r.pending() != 1 {
		t.Fatalf("%d moves are pending", r.pending())
	}
	state, err := streams.OwnersState(r.ctx, r.js)
	if err != nil || len(state.Days) != 2 || state.Days[0].Day != firstDay || state.Days[1].Day != firstDay+1 || state.Since != 1 {
		t.Errorf("%+v, %v", state, err)
	}
	equal(t, r.hand(r.brev("1", "1", "8")), []string{`kommune.101 scope-out {"id":1} `})
	r.again(firstDay + 1)
	if r.pending() != 0 {
		t.Errorf("%d moves are pending", r.pending())
	}
}

// Nothing outside payloads tells who moves.
func TestMovesHoldNoPersonInSubjects(t *testing.T) {
	r := newMoveRig(t)
	r.tx(insert(r.table("tilhoer"), r.person("1", "101", "908")))
	n := 0
	for _, m := range messages(r.ctx, t, r.js, streams.MovesStream) {
		if strings.Contains(m.subject, "4001900001") || strings.Contains(strings.Join(m.header["Nats-Msg-Id"], ""), "4001900001") {
			t.Errorf("subject %s", m.subject)
		}
		if strings.Contains(string(m.data), "4001900001") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d notes name the person, want 1", n)
	}
	r.hand()
	for _, m := range messages(r.ctx, t, r.js, streams.MovesStream) {
		if strings.Contains(string(m.data), "4001900001") {
			t.Error("a move that is done still names the person")
		}
	}
}

// More moves at once than a batch takes, and a batch of rows with many events each.
func TestMovesBeyondABatch(t *testing.T) {
	r := newMoveRig(t)
	r.cfg.Metrics = streams.NewMetrics(prometheus.NewRegistry())
	var persons, moves []capture.Change
	var rows []catalog.Row
	for i := range 450 {
		cpr := "4001" + strings.Repeat("0", 3) + string([]byte{byte('0' + i/100), byte('0' + i/10%10), byte('0' + i%10)})
		of := func(kommune, til string) catalog.Row { return row("1", cpr, kommune, "<null>", til) }
		persons = append(persons, insert(r.table("tilhoer"), of("101", firstDay.String())))
		moves = append(moves, update(r.table("tilhoer"), of("101", firstDay.String()), of("751", firstDay.String())))
		rows = append(rows, row("1"+cpr[4:], cpr, "8"))
	}
	r.tx(persons...)
	r.tx(moves...)
	if r.told = 0; len(r.w.PendingMoves(1000)) != 450 {
		t.Fatalf("%d moves are pending", len(r.w.PendingMoves(1000)))
	}
	r.chunk(rows...)
	if n := len(r.news()); n != 900 {
		t.Errorf("%d events, want 900", n)
	}
	r.w.ok(r.w.FinishMoves(r.ctx, r.w.PendingMoves(1000)))
	r.again(firstDay + 1)
	if n := len(r.w.PendingMoves(1000)); n != 450 {
		t.Errorf("the day moves %d persons, want 450", n)
	}
}
