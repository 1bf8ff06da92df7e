package capture

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"supstream/catalog"
)

const personsArea = `slug: personer
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
    persons: {person: %[2]s, kommune: kommune, akasse: akasse, from: fra, to: til}
    columns:
      - {name: id, type: integer, description: Nøgle.}
      - {name: %[2]s, type: %[1]s, description: Personen.}
      - {name: kommune, type: char(3), nullable: true, description: Kommunen.}
      - {name: akasse, type: char(3), nullable: true, description: A-kassen.}
      - {name: fra, type: date, nullable: true, description: Første dag.}
      - {name: til, type: date, nullable: true, description: Sidste dag.}
`

// viaCatalog has a person table tilhoer and a table brev that finds its owners via it.
func viaCatalog(t testing.TB, personType string) *catalog.Catalog {
	t.Helper()
	brev := strings.Replace(fmt.Sprintf(areaYAML, "breve", "kommune, akasse"), "audience", "notes: x\naudience", 1) + fmt.Sprintf(`  - name: brev
    description: Et brev.
    key: [id]
    owners:
      kommune: {via: tilhoer, person: cpr}
      akasse: {via: tilhoer, person: cpr}
    columns:
      - {name: id, type: integer, description: Nøgle.}
      - {name: cpr, type: %s, description: Personen.}
      - {name: tekst, type: text, description: Tekst.}
`, personType)
	cat, err := catalog.Load(fstest.MapFS{
		"brugere.yaml": {Data: []byte(brugereYAML)}, "breve.yaml": {Data: []byte(brev)},
		"personer.yaml": {Data: []byte(fmt.Sprintf(personsArea, personType, "cpr"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// said makes a row of tilhoer of "cpr kommune akasse from to", - for null; "" is no row.
func said(s string) catalog.Row {
	if s == "" {
		return nil
	}
	row := catalog.Row{{Kind: catalog.Text, Text: []byte("1")}}
	for _, f := range strings.Fields(s) {
		v := catalog.Value{Kind: catalog.Text, Text: []byte(f)}
		if f == "-" {
			v = catalog.Value{Kind: catalog.Null}
		}
		row = append(row, v)
	}
	return row
}

func ownedText(list []Owned) string {
	var b strings.Builder
	for _, o := range list {
		fmt.Fprintf(&b, "%s: %s %s > %s %s; ", o.Person, o.Was[0].Kode, o.Was[1].Kode, o.Is[0].Kode, o.Is[1].Kode)
	}
	return b.String()
}

func day(t testing.TB, s string) Day {
	t.Helper()
	d, err := ParseDay(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A story of persons: what the table says, and whose owner that changes.
func TestPersons(t *testing.T) {
	cat := viaCatalog(t, "char(10)")
	tilhoer := table(t, cat, "tilhoer")
	p := NewPersons(cat, day(t, "2026-03-01"))
	for i, tt := range []struct{ old, new, day, want string }{
		{"", "4001900001 101 908 2020-01-01 -", "", "4001900001:   > 101 908; "},
		{"4001900001 101 908 2020-01-01 -", "4001900001 751 908 2020-01-01 -", "", "4001900001: 101 908 > 751 908; "},
		{"4001900001 751 908 2020-01-01 -", "4001900001 0751 908 2020-01-01 -", "", ""}, // the same kommune
		{"", "4001900002 - - 2020-01-01 -", "", ""},                                     // nobody's, as before
		{"", "4001900003 999 915 - -", "", ""},                                          // not known
		{"", "4001900001 101 - 2026-04-01 -", "", ""},                                   // to come
		{"", "4001900001 101 - 2019-04-01 2026-02-28", "", ""},                          // over
		{"", "4001900001 101 908 2019-04-01 2026-03-01", "", ""},                        // in force, but began earlier
		{"", "", "2026-03-31", ""},
		{"", "", "2026-04-01", "4001900001: 751 908 > 101 ; "},
		{"4001900001 101 - 2026-04-01 -", "4001900001 101 - 2026-04-01 2026-04-30", "", ""},
		{"", "", "2026-06-01", "4001900001: 101  > 751 908; "},                      // the older one goes on
		{"", "4001900001 101 908 2020-01-01 -", "", "4001900001: 751 908 >  908; "}, // two that disagree
		{"4001900001 101 908 2020-01-01 -", "", "", "4001900001:  908 > 751 908; "},
		{"4001900001 0751 908 2020-01-01 -", "4001900004 0751 908 2020-01-01 -", "", "4001900001: 751 908 >  ; 4001900004:   > 751 908; "},
		{"4001900004 0751 908 2020-01-01 -", "4001900004 0751 908 2020-01-01 2026-05-31", "", "4001900004: 751 908 >  ; "},
		{"", "4001900005 101 - -infinity infinity", "", "4001900005:   > 101 ; "},
		{"", "", "2026-06-01", ""},
		{"", "", "9999-12-31", ""},
	} {
		var got []Owned
		var err error
		if tt.day != "" {
			got = p.Advance(day(t, tt.day))
		} else if tt.old+tt.new != "" {
			got, err = p.Apply(&Change{Table: tilhoer, Op: Update, Old: said(tt.old), New: said(tt.new)})
		}
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if ownedText(got) != tt.want {
			t.Errorf("step %d:\n got %s\nwant %s", i, ownedText(got), tt.want)
		}
	}
	if _, err := p.Apply(&Change{Table: tilhoer, Op: Delete, Old: said("4001900009 101 - - -")}); err == nil {
		t.Error("a period that nobody knew was taken away")
	}
}

// Find, Apply and Advance agree with a list of all periods, and undoing changes in reverse leads back.
func TestPersonsAgainstAList(t *testing.T) {
	cat := viaCatalog(t, "integer")
	tilhoer := table(t, cat, "tilhoer")
	r := rand.New(rand.NewPCG(1, 2))
	p := NewPersons(cat, 100)
	today := Day(100)
	var list []string
	var undo []Change
	check := func() {
		t.Helper()
		for n := range 8 {
			var periods []period
			for _, s := range list {
				row := said(s)
				if key, _ := newPersonKey(tilhoer, row[1].Text); key.text(tilhoer) == fmt.Sprint(n) {
					one, err := p.period(tilhoer, row)
					if err != nil {
						t.Fatal(err)
					}
					periods = append(periods, one)
				}
			}
			want := p.bruger(inForce(periods, today))
			for _, a := range []catalog.Axis{catalog.Kommune, catalog.Akasse} {
				if got, ok := p.Find(tilhoer, a, fmt.Append(nil, n)); got != want[a-1] || ok != (got != catalog.Bruger{}) {
					t.Fatalf("person %d on %s is with %q, want %q", n, today, got, want[a-1])
				}
			}
		}
	}
	draw := func() string {
		date := func(d Day) string {
			if r.IntN(5) == 0 {
				return "-"
			}
			return d.String()
		}
		from := today - 5 + Day(r.IntN(15))
		return fmt.Sprintf("%d %s %s %s %s", r.IntN(8), []string{"101", "751", "-"}[r.IntN(3)], []string{"908", "-"}[r.IntN(2)], date(from), date(from+Day(r.IntN(9))))
	}
	for range 4000 {
		if r.IntN(40) == 0 {
			today++
			p.Advance(today)
			undo = nil
			check()
			continue
		}
		c := Change{Table: tilhoer, Op: Update}
		if i := r.IntN(12); i < len(list) {
			c.Old = said(list[i])
			list = append(list[:i], list[i+1:]...)
		}
		if len(list) < 12 && r.IntN(3) > 0 {
			s := draw()
			c.New = said(s)
			list = append(list, s)
		}
		if _, err := p.Apply(&c); err != nil {
			t.Fatal(err)
		}
		undo = append(undo, c)
		check()
		if len(undo) == 10 { // there and back
			for i := len(undo) - 1; i >= 0; i-- {
				if err := p.replace(tilhoer, undo[i].New, undo[i].Old); err != nil {
					t.Fatal(err)
				}
			}
			for i := range undo {
				if _, err := p.Apply(&undo[i]); err != nil {
					t.Fatal(err)
				}
			}
			undo = nil
			check()
		}
	}
}

func TestPersonKey(t *testing.T) {
	for _, tt := range []struct{ typ, text, want string }{
		{"char(10)", "0101900001", "0101900001"},
		{"char(12)", "12345     ", "12345"},
		{"varchar(15)", "abc ", "abc "},
		{"varchar(15)", "123456789012345", "123456789012345"},
		{"varchar(15)", "", "<none>"},
		{"varchar(15)", "ææææææææ", "<none>"}, // 16 bytes: a person that nobody can name
		{"integer", "-12", "-12"},
		{"uuid", "0191e7a0-0000-7000-8000-00000000000f", "0191e7a0-0000-7000-8000-00000000000f"},
		{"uuid", "no", "<none>"},
	} {
		tab := table(t, viaCatalog(t, tt.typ), "tilhoer")
		got := "<none>"
		if key, ok := newPersonKey(tab, []byte(tt.text)); ok {
			got = key.text(tab)
		}
		if got != tt.want {
			t.Errorf("%s %q: %q, want %q", tt.typ, tt.text, got, tt.want)
		}
	}
}

func TestFindDoesNotAllocate(t *testing.T) {
	cat := viaCatalog(t, "char(10)")
	tilhoer := table(t, cat, "tilhoer")
	p := NewPersons(cat, 20000)
	for _, s := range []string{"4001900001 101 908 - -", "4001900001 751 908 2020-01-01 -"} {
		if _, err := p.Apply(&Change{Table: tilhoer, Op: Insert, New: said(s)}); err != nil {
			t.Fatal(err)
		}
	}
	person := []byte("4001900001")
	if n := testing.AllocsPerRun(100, func() { p.Find(tilhoer, catalog.Kommune, person) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Six million citizens, a tenth of whom have a second period and a tenth one that ends, fit into 1 GiB.
func TestSixMillionPersonsFit(t *testing.T) {
	n := 600_000 // a tenth, unless there is time: memory grows in steps of a thousand persons
	if os.Getenv("SUPSTREAM_TORTURE") != "" {
		n = 6_000_000
	}
	cat := viaCatalog(t, "char(10)")
	p := NewPersons(cat, 20000)
	tilhoer := table(t, cat, "tilhoer")
	people := p.tables[tilhoer]
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, peak := heap(), uint64(0)
	for i := range n {
		key, ok := newPersonKey(tilhoer, fmt.Appendf(nil, "%010d", i))
		if !ok {
			t.Fatal("no key")
		}
		first := period{from: 10000, to: eternity, kommune: uint16(1 + i%98), akasse: uint16(i % 23)}
		if i%10 == 0 {
			first.to = Day(20000 + i%1000)
		}
		people.add(key, first, p.day)
		if i%10 == 1 {
			people.add(key, period{from: Day(20001 + i%1000), to: eternity, kommune: 3}, p.day)
		}
		if i%(n/4) == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapSys)
		}
	}
	p.count.Store(p.total())
	used := heap() - before
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	peak = max(peak, m.HeapSys)
	t.Logf("%d persons: %d MiB, %.1f bytes each, at most %d MiB from the system; estimated %d MiB", n, used>>20, float64(used)/float64(n), peak>>20, p.Bytes()>>20)
	if limit := uint64(1<<30) * uint64(n) / 6_000_000; used > limit {
		t.Errorf("%d bytes, want at most %d", used, limit)
	}
	if est := uint64(p.Bytes()); est < used/2 || est > 2*used {
		t.Errorf("estimated as %d bytes, measured %d", est, used)
	}
	runtime.KeepAlive(p)
}
