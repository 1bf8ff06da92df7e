package agreements

import (
	"cmp"
	"time"

	"supstream/catalog"
)

// Kind tells the two kinds of Opgaveloesere apart.
type Kind string

// A Leverandoer works for authorities and needs all three agreements. A Myndighed is an authority with a unit of its own; for its own rows
// it is nobody's processor.
const (
	Leverandoer Kind = "leverandoer"
	Myndighed   Kind = "myndighed"
)

// Opgaveloeser receives data: a supplier, or an authority's own unit.
type Opgaveloeser struct {
	ID      string // slug: names folders and accounts
	Name    string
	Kind    Kind
	Bruger  catalog.Bruger // the authority itself; zero for a Leverandoer
	CVR     string         // eight digits
	Contact string
}

// isItself tells whether the Opgaveloeser is this authority: then it is nobody's processor.
func (o *Opgaveloeser) isItself(b catalog.Bruger) bool {
	return o.Kind == Myndighed && o.Bruger == b
}

// Grant is the right of an Opgaveloeser to the rows of a Bruger in a dataområde, for a time. Rows of a reference area come from the
// subject `alle` and are granted per Bruger like any other.
type Grant struct {
	Opgaveloeser string
	Bruger       catalog.Bruger
	Dataomraade  string
	From         time.Time // first instant, UTC
	To           time.Time // first instant after; zero means no end is known
}

// Compare orders grants by Opgaveloeser, Bruger, dataområde and start.
func (g Grant) Compare(o Grant) int {
	return cmp.Or(cmp.Compare(g.Opgaveloeser, o.Opgaveloeser), g.Bruger.Compare(o.Bruger),
		cmp.Compare(g.Dataomraade, o.Dataomraade), g.From.Compare(o.From))
}
