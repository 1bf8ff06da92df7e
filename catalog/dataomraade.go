package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is where a dataområde is in its life.
type State uint8

const (
	Planned    State = iota + 1 // described, not delivered
	Test                        // delivered for integration tests
	Production                  // delivered
	Closing                     // delivered, its end is announced
	Closed                      // described, not delivered
	Internal                    // used by the platform itself, never delivered
)

var states = [...]string{"", "planned", "test", "production", "closing", "closed", "internal"}

// String returns the state as it is written in a catalogue file.
func (s State) String() string { return nameOf(states[:], uint8(s), "state") }

// ParseState is the inverse of State.String.
func ParseState(s string) (State, error) {
	n, err := parseName(states[:], s, "state")
	return State(n), err
}

// UnmarshalText is ParseState.
func (s *State) UnmarshalText(text []byte) (err error) {
	*s, err = ParseState(string(text))
	return err
}

// Sensitivity is the kind of personal data in a dataområde.
type Sensitivity uint8

const (
	IkkePerson Sensitivity = iota + 1 // no personal data
	Almindelig                        // ordinary personal data
	Fortrolig                         // confidential personal data
	Foelsom                           // special category, or protected as such
)

var sensitivities = [...]string{"", "ikke_person", "almindelig", "fortrolig", "foelsom"}

// String returns the sensitivity as it is written in a catalogue file.
func (s Sensitivity) String() string { return nameOf(sensitivities[:], uint8(s), "sensitivity") }

// ParseSensitivity is the inverse of Sensitivity.String.
func ParseSensitivity(s string) (Sensitivity, error) {
	n, err := parseName(sensitivities[:], s, "sensitivity")
	return Sensitivity(n), err
}

// UnmarshalText is ParseSensitivity.
func (s *Sensitivity) UnmarshalText(text []byte) (err error) {
	*s, err = ParseSensitivity(string(text))
	return err
}

// Dataomraade is one delimited area of data. Package is its number in file
// names of the nightly export ("08"). Version counts the schema versions that
// receivers see. Frequency is zero only for areas that are never delivered.
// Retention is how long the area's stream keeps events. LegalBasis names the
// chapters of databekendtgørelsen or says why there is none.
type Dataomraade struct {
	Slug        string
	Package     string
	Name        string
	Description string
	Version     int
	State       State
	Audience    []Axis
	Sensitivity Sensitivity
	ThirdParty  bool
	Decision    string // reference to the decision that opens a third party's data
	ReportedBy  []string
	ForSharing  bool // reported by a-kasser in order to be shared with kommuner
	Frequency   Frequency
	Retention   time.Duration
	History     string // all, current, or the years that ended rows are kept: "5y"
	LegalBasis  string
	Link        string
	Notes       string
	Tables      []*Table
}

// Open tells whether rows of the area may leave: its state is test,
// production or closing, and it is not a third party's data without a
// recorded decision.
func (d *Dataomraade) Open() bool {
	switch d.State {
	case Test, Production, Closing:
		return !d.ThirdParty || d.Decision != ""
	}
	return false
}

// HasAudience tells whether authorities of that axis may receive the area.
// An area for alle has every axis.
func (d *Dataomraade) HasAudience(a Axis) bool {
	return slices.Contains(d.Audience, a) || slices.Contains(d.Audience, Alle)
}

// SharesWithAlle tells whether the area has rows that go to Alle. Whoever may
// receive the area receives these too.
func (d *Dataomraade) SharesWithAlle() bool {
	return slices.ContainsFunc(d.Tables, func(t *Table) bool { return t.Everybody })
}

func nameOf(names []string, n uint8, kind string) string {
	if n == 0 || int(n) >= len(names) {
		return fmt.Sprintf("%s(%d)", kind, n)
	}
	return names[n]
}

func parseName(names []string, s, kind string) (int, error) {
	for i, have := range names {
		if i > 0 && have == s {
			return i, nil
		}
	}
	return 0, fmt.Errorf("unknown %s %q: want one of %s", kind, s, strings.Join(names[1:], ", "))
}
