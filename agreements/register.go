package agreements

import (
	"maps"
	"slices"
	"time"

	"supstream/catalog"
)

// Register is the checked content of the register's files. It is immutable and safe for concurrent use.
type Register struct {
	catalog       *catalog.Catalog
	opgaveloesere map[string]*Opgaveloeser
	tilslutning   map[catalog.Bruger][]*Tilslutningsaftale
	databehandler map[parties][]*Databehandleraftale
	samarbejde    map[string][]*Samarbejdsaftale // by Opgaveloeser
	grants        []Grant                        // of all time, sorted
}

// parties are the two sides of a Databehandleraftale.
type parties struct {
	opgaveloeser string
	bruger       catalog.Bruger
}

// Opgaveloesere are all that the register knows, by id, with or without grants.
func (r *Register) Opgaveloesere() []Opgaveloeser {
	out := make([]Opgaveloeser, 0, len(r.opgaveloesere))
	for _, id := range slices.Sorted(maps.Keys(r.opgaveloesere)) {
		out = append(out, *r.opgaveloesere[id])
	}
	return out
}

// Grants are those in force at an instant, sorted by Opgaveloeser, Bruger and dataområde.
func (r *Register) Grants(at time.Time) []Grant {
	var out []Grant
	for _, g := range r.grants {
		if (span{g.From, g.To}).contains(at) {
			out = append(out, g)
		}
	}
	return out
}

// Next is the first instant after at on which Grants gives another answer, and zero when it never will.
func (r *Register) Next(at time.Time) time.Time {
	var next time.Time
	for _, g := range r.grants {
		for _, t := range []time.Time{g.From, g.To} {
			if t.After(at) && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	return next
}

// Access is nil when the grant is in force at the instant, and a *MissingError that names everything missing when not.
func (r *Register) Access(at time.Time, opgaveloeser string, bruger catalog.Bruger, dataomraade string) error {
	missing := r.missing(at, opgaveloeser, bruger, dataomraade)
	if len(missing) == 0 {
		return nil
	}
	return &MissingError{Opgaveloeser: opgaveloeser, Bruger: bruger, Dataomraade: dataomraade, At: at, Missing: missing}
}

func (r *Register) missing(at time.Time, opgaveloeser string, bruger catalog.Bruger, dataomraade string) []Missing {
	o, known := r.opgaveloesere[opgaveloeser]
	if !known {
		return []Missing{{SourceRegister, Unknown, "", "has no opgaveloeser " + opgaveloeser}}
	}
	area, known := r.catalog.Dataomraade(dataomraade)
	if !known {
		return []Missing{{SourceCatalog, Unknown, "", "has no dataomraade " + dataomraade}}
	}
	var out []Missing
	for _, n := range r.needs(o, bruger, area) {
		if m, ok := n.missing(at); ok {
			out = append(out, m)
		}
	}
	return out
}

// compute lists the grants of all time.
func (r *Register) compute() {
	for _, o := range r.opgaveloesere {
		for bruger := range r.tilslutning {
			for _, area := range r.catalog.Dataomraader() {
				spans := []span{always()}
				for _, n := range r.needs(o, bruger, area) {
					if spans = intersect(spans, n.spans()); len(spans) == 0 {
						break
					}
				}
				for _, s := range spans {
					r.grants = append(r.grants, Grant{o.ID, bruger, area.Slug, s.from.UTC(), s.to.UTC()})
				}
			}
		}
	}
	slices.SortFunc(r.grants, Grant.Compare)
}

// need is one thing that access rests on. Each of its papers would do alone.
type need struct {
	source Source
	absent string // what to say when there is no paper at all
	papers []paper
}

type paper struct {
	reference  string
	conditions []condition
}

// needs are the catalogue's consent and the agreements, in that order.
func (r *Register) needs(o *Opgaveloeser, bruger catalog.Bruger, area *catalog.Dataomraade) []need {
	tilslutning := need{source: SourceTilslutningsaftale, absent: "of " + bruger.String() + " is absent"}
	for _, a := range r.tilslutning[bruger] {
		tilslutning.add(a.Reference, a.conditions(o))
	}
	samarbejde := need{source: SourceSamarbejdsaftale, absent: "of " + o.ID + " is absent"}
	for _, a := range r.samarbejde[o.ID] {
		samarbejde.add(a.Reference, a.conditions(area))
	}
	out := []need{exposure(bruger, area), tilslutning}
	if !o.isItself(bruger) {
		databehandler := need{source: SourceDatabehandleraftale, absent: "of " + o.ID + " with " + bruger.String() + " is absent"}
		for _, a := range r.databehandler[parties{o.ID, bruger}] {
			databehandler.add(a.Reference, a.conditions())
		}
		out = append(out, databehandler)
	}
	return append(out, samarbejde)
}

// exposure is what the catalogue says: the area is open, and meant for authorities of this kind. Reference data are for every authority.
func exposure(bruger catalog.Bruger, area *catalog.Dataomraade) need {
	n := need{source: SourceCatalog}
	n.add("", []condition{
		must(area.Open(), NotOpen, "keeps %s closed", area.Slug),
		must(area.HasAudience(bruger.Axis), NotAudience, "does not offer %s to any %s", area.Slug, bruger.Axis),
	})
	return n
}

func (n *need) add(reference string, conditions []condition) {
	n.papers = append(n.papers, paper{reference, conditions})
}

// spans are the times in which at least one paper satisfies all its conditions.
func (n *need) spans() []span {
	out := make([]span, len(n.papers))
	for i, p := range n.papers {
		out[i] = always()
		for _, c := range p.conditions {
			out[i] = out[i].and(c.holds)
		}
	}
	return union(out)
}

// missing explains the paper that came closest: the one whose first unmet condition stands last; of equals, the first in the register.
func (n *need) missing(at time.Time) (Missing, bool) {
	out, best := Missing{n.source, Absent, "", n.absent}, -1
	for _, p := range n.papers {
		i := slices.IndexFunc(p.conditions, func(c condition) bool { return !c.holds.contains(at) })
		if i < 0 {
			return Missing{}, false
		}
		if i > best {
			reason, detail := p.conditions[i].why(at)
			out, best = Missing{n.source, reason, p.reference, detail}, i
		}
	}
	return out, true
}

// None is the register without any agreement: nobody has access to anything.
func None(c *catalog.Catalog) *Register { return &Register{catalog: c} }
