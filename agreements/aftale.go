package agreements

import (
	"fmt"
	"slices"
	"time"

	"supstream/catalog"
)

// State is where an agreement stands. Only Active counts.
type State string

// The states in the order that an agreement passes them.
const (
	Draft       State = "draft"
	UnderReview State = "under_review"
	Ready       State = "ready" // for signature
	Active      State = "active"
	Ended       State = "ended"
)

// AllAreas in place of a slug lists every dataområde that is not sensitive.
const AllAreas = "alle"

// aftale is what the three agreements have in common.
type aftale struct {
	State     State
	Reference string // the document, as STAR or the authority files it
	valid     span
}

// Tilslutningsaftale connects a Bruger to STAR's platform.
type Tilslutningsaftale struct {
	aftale
	Bruger catalog.Bruger
	Bilag  []string // Opgaveloesere that work for the Bruger
}

// Databehandleraftale makes an Opgaveloeser the processor of a Bruger.
type Databehandleraftale struct {
	aftale
	Opgaveloeser string
	Bruger       catalog.Bruger
	ConfirmedBy  string // who answers for it at the Bruger; empty: not confirmed
}

// Samarbejdsaftale lets an Opgaveloeser receive dataområder for a purpose that STAR has approved.
type Samarbejdsaftale struct {
	aftale
	Opgaveloeser string
	Formaal      string
	ApprovedBy   string // empty: not approved
	approved     span   // from the day of approval
	Areas        []Area
}

// Area is one line of a Samarbejdsaftale.
type Area struct {
	Dataomraade string // slug, or AllAreas
	valid       span
}

// condition is one thing that an agreement must satisfy: the time in which it holds, and the words for when it does not. Grants come from
// the spans and refusals from the words; standing in one value, they cannot drift apart.
type condition struct {
	holds span
	why   func(at time.Time) (Reason, string)
}

// must is a condition that holds always or never.
func must(ok bool, reason Reason, format string, args ...any) condition {
	c := condition{why: func(time.Time) (Reason, string) { return reason, fmt.Sprintf(format, args...) }}
	if ok {
		c.holds = always()
	}
	return c
}

// dated holds within a span; starts and ended are the verbs of its two refusals.
func dated(valid span, starts, ended string) condition {
	return condition{valid, func(at time.Time) (Reason, string) {
		if at.Before(valid.from) {
			return NotYet, starts + " " + stamp(valid.from)
		}
		return Expired, ended + " " + stamp(valid.to)
	}}
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

// inForce are the conditions that every agreement has.
func (a *aftale) inForce() []condition {
	return []condition{
		must(a.State == Active, NotActive, "is %s, not active", a.State),
		dated(a.valid, "starts", "ended"),
	}
}

func (t *Tilslutningsaftale) conditions(o *Opgaveloeser) []condition {
	listed := o.isItself(t.Bruger) || slices.Contains(t.Bilag, o.ID)
	return append(t.inForce(), must(listed, NotInBilag, "does not list %s in its bilag", o.ID))
}

func (d *Databehandleraftale) conditions() []condition {
	return append(d.inForce(), must(d.ConfirmedBy != "", NotConfirmed, "is not confirmed by %s (confirmed_by)", d.Bruger))
}

func (s *Samarbejdsaftale) conditions(area *catalog.Dataomraade) []condition {
	approved := must(false, NotApproved, "is not approved by STAR (approved_by, approved_on)")
	if s.ApprovedBy != "" {
		approved = dated(s.approved, "is approved from", "was approved until")
	}
	return append(s.inForce(), approved, s.lists(area))
}

// lists is the condition that the agreement's lines put on an area. A line that names the area decides; only without one does the line for
// all areas, and that one never opens a sensitive area.
func (s *Samarbejdsaftale) lists(area *catalog.Dataomraade) condition {
	if i := slices.IndexFunc(s.Areas, func(a Area) bool { return a.Dataomraade == area.Slug }); i >= 0 {
		return dated(s.Areas[i].valid, "lists "+area.Slug+" from", "listed "+area.Slug+" until")
	}
	i := slices.IndexFunc(s.Areas, func(a Area) bool { return a.Dataomraade == AllAreas })
	switch {
	case i < 0:
		return must(false, AreaNotNamed, "does not list %s", area.Slug)
	case area.Sensitivity == catalog.Foelsom:
		return must(false, AreaNotNamed, "does not name %s, which is sensitive: %s does not open it", area.Slug, AllAreas)
	}
	return dated(s.Areas[i].valid, "lists "+AllAreas+" from", "listed "+AllAreas+" until")
}
