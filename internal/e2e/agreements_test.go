package e2e

import (
	"fmt"
	"strings"
)

// vendor is an Opgaveloeser of the tests.
type vendor struct {
	id      string
	brugere []string // as "kommune.101"
	areas   []string // "alle" or slugs
	broken  bool     // its Samarbejdsaftale is not active: it has no grant
}

// vendors have grants of different shapes; the last has none.
func vendors() []vendor {
	return []vendor{
		{id: "nordlys", brugere: []string{"kommune.101", "kommune.751", "kommune.851"}, areas: []string{"alle", "sygemelding", "visitation"}},
		{id: "medlem", brugere: []string{"akasse.908", "akasse.915"}, areas: []string{"alle"}},
		{id: "solo", brugere: []string{"kommune.461"}, areas: []string{"samtaler", "kodelister"}},
		{id: "intet", brugere: []string{"kommune.101"}, areas: []string{"alle"}, broken: true},
	}
}

// register is the agreements file of vendors.
func register(list []vendor) string {
	var b, connect, process, cooperate strings.Builder
	brugere := map[string][]string{}
	b.WriteString("opgaveloesere:\n")
	for _, v := range list {
		fmt.Fprintf(&b, "  - {id: %s, name: %s, kind: leverandoer, cvr: \"12345678\", contact: drift@%s.invalid}\n", v.id, v.id, v.id)
		state := "active"
		if v.broken {
			state = "ended"
		}
		fmt.Fprintf(&cooperate, "  - {reference: S-%s, opgaveloeser: %s, state: %s, from: 2026-01-01, formaal: Ledelsesinformation, approved_by: STAR, approved_on: 2025-12-15, dataomraader: [",
			v.id, v.id, state)
		for i, a := range v.areas {
			if i > 0 {
				cooperate.WriteString(", ")
			}
			fmt.Fprintf(&cooperate, "{dataomraade: %s}", a)
		}
		cooperate.WriteString("]}\n")
		for _, bruger := range v.brugere {
			brugere[bruger] = append(brugere[bruger], v.id)
			fmt.Fprintf(&process, "  - {reference: D-%s-%s, opgaveloeser: %s, bruger: %s, state: active, from: 2026-01-01, confirmed_by: Direktionen}\n", v.id, bruger, v.id, bruger)
		}
	}
	for bruger, ids := range brugere {
		fmt.Fprintf(&connect, "  - {reference: T-%s, bruger: %s, state: active, from: 2026-01-01, bilag: [%s]}\n", bruger, bruger, strings.Join(ids, ", "))
	}
	return b.String() + "tilslutningsaftaler:\n" + connect.String() + "databehandleraftaler:\n" + process.String() + "samarbejdsaftaler:\n" + cooperate.String()
}
