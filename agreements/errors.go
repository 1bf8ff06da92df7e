package agreements

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"supstream/catalog"
)

// ErrNoAccess is what every *MissingError is: access refused because something that it needs is missing.
var ErrNoAccess = errors.New("no access")

// ErrNoPurpose is the refusal of a Samarbejdsaftale without a formaal.
var ErrNoPurpose = errors.New("a samarbejdsaftale needs its purpose")

// MissingError says everything that stands between an Opgaveloeser and the rows that it asked for.
type MissingError struct {
	Opgaveloeser string
	Bruger       catalog.Bruger
	Dataomraade  string
	At           time.Time
	Missing      []Missing // never empty; in the order catalogue, tilslutningsaftale, databehandleraftale, samarbejdsaftale
}

// Error names what is missing, each with its agreement.
func (e *MissingError) Error() string {
	parts := make([]string, len(e.Missing))
	for i, m := range e.Missing {
		parts[i] = m.String()
	}
	return fmt.Sprintf("no access for %s to %s of %s: %s", e.Opgaveloeser, e.Dataomraade, e.Bruger, strings.Join(parts, "; "))
}

// Unwrap makes errors.Is(err, ErrNoAccess) hold.
func (e *MissingError) Unwrap() error { return ErrNoAccess }

// Source is where something is missing: one of the three agreements, or what they rest on.
type Source string

// The sources, spelled as they appear in messages and in JSON.
const (
	SourceRegister            Source = "register"
	SourceCatalog             Source = "catalogue"
	SourceTilslutningsaftale  Source = "tilslutningsaftale"
	SourceDatabehandleraftale Source = "databehandleraftale"
	SourceSamarbejdsaftale    Source = "samarbejdsaftale"
)

// Reason is why something does not count.
type Reason string

// The reasons. Absent means that there is no such agreement between the two parties at all.
const (
	Absent       Reason = "absent"
	NotActive    Reason = "not_active"
	NotYet       Reason = "not_yet"
	Expired      Reason = "expired"
	NotInBilag   Reason = "not_in_bilag"
	NotConfirmed Reason = "not_confirmed"
	NotApproved  Reason = "not_approved"
	AreaNotNamed Reason = "area_not_named"
	Unknown      Reason = "unknown"
	NotOpen      Reason = "not_open"
	NotAudience  Reason = "not_audience"
)

// Missing is one thing that access lacks. Where several agreements of the same parties exist, it is about the one that came closest.
type Missing struct {
	Source    Source
	Reason    Reason
	Reference string // the document, empty where there is none
	Detail    string // what is wrong, in words: `is draft, not active`
}

// String is one clause of a message: `tilslutningsaftale STAR-2026-17 is draft, not active`.
func (m Missing) String() string {
	if m.Reference == "" {
		return string(m.Source) + " " + m.Detail
	}
	return string(m.Source) + " " + m.Reference + " " + m.Detail
}
