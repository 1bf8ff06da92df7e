package agreements

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // dates are Danish days also where the system has no time zones

	"supstream/catalog"
)

// zone is where dates begin and end.
const zone = "Europe/Copenhagen"

// The forms of an id and of a CVR number.
var (
	slug = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,38}[a-z0-9]$`)
	cvr  = regexp.MustCompile(`^[0-9]{8}$`)
)

// entry is one item of a list in a file, and checks the values that stand in it.
type entry struct {
	*loader
	source *source
	path   []any
}

// at is the entry of something inside.
func (e entry) at(steps ...any) entry {
	e.path = append(e.path[:len(e.path):len(e.path)], steps...)
	return e
}

func (e entry) error(key, format string, args ...any) error {
	return e.source.doc.Errorf(append(e.path[:len(e.path):len(e.path)], key), format, args...)
}

func (e entry) fail(err error) { e.errs = append(e.errs, err) }

func (e entry) errorf(key, format string, args ...any) { e.fail(e.error(key, format, args...)) }

func (e entry) aftale(state, reference, from, to string) aftale {
	a := aftale{State: State(state), Reference: e.text("reference", reference), valid: e.valid(from, to)}
	switch a.State {
	case Draft, UnderReview, Ready, Active, Ended:
	default:
		e.errorf("state", "state: want draft, under_review, ready, active or ended")
	}
	return a
}

func (e entry) text(key, value string) string {
	value = strings.TrimSpace(value)
	if value == "" {
		e.errorf(key, "%s is missing", key)
	}
	return value
}

func (e entry) known(id string) {
	if e.reg.opgaveloesere[id] == nil {
		e.fail(e.source.doc.Errorf(e.path, "opgaveloeser %q is not in the register", id))
	}
}

// bruger accepts the authorities that the catalogue knows: only they have rows of their own.
func (e entry) bruger(text string) catalog.Bruger {
	b, err := catalog.ParseBruger(text)
	switch {
	case text == "":
		e.errorf("bruger", "bruger is missing: want kommune.<kode> or akasse.<kode>")
	case err != nil:
		e.errorf("bruger", "%v", err)
	case b.Axis == catalog.Alle:
		e.errorf("bruger", "bruger: alle is no authority and has no agreements")
	default:
		if known, ok := e.reg.catalog.Bruger(b.Axis, []byte(b.Kode)); !ok || known != b {
			e.errorf("bruger", "bruger %s is not in the catalogue: no rows are its own", b)
		}
	}
	return b
}

// valid is the span of from and to; without to it has no end.
func (e entry) valid(from, to string) span {
	var s span
	ok := true
	if from == "" {
		e.errorf("from", "from is missing")
		ok = false
	} else {
		s.from, ok = e.instant("from", from)
	}
	if to == "" {
		return s
	}
	end, fine := e.instant("to", to)
	if s.to = end; fine && len(to) == len(time.DateOnly) {
		s.to = end.AddDate(0, 0, 1) // the last day is included
	}
	if ok && fine && !s.from.Before(s.to) {
		e.errorf("to", "to lies before from")
	}
	return s
}

func (e entry) instant(key, text string) (time.Time, bool) {
	t, err := parseTime(text, e.copenhagen)
	if err != nil {
		e.errorf(key, "%s: %v", key, err)
	}
	return t, err == nil
}

// once refuses what was there before.
func (e entry) once(what, key string) {
	here := fmt.Sprintf("%s:%d", e.source.name, e.source.doc.Line(append(e.path[:len(e.path):len(e.path)], key)...))
	if first, twice := e.seen[what]; twice {
		e.errorf(key, "%s is there twice: first in %s", what, first)
		return
	}
	e.seen[what] = here
}

// ParseTime reads a time as the register's files write it: a date, which is the start of that day in Denmark, or an instant with its zone.
func ParseTime(text string) (time.Time, error) {
	copenhagen, err := time.LoadLocation(zone)
	if err != nil {
		return time.Time{}, err
	}
	return parseTime(text, copenhagen)
}

func parseTime(text string, copenhagen *time.Location) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, text, copenhagen); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("want a date (2026-01-31) or an instant with its zone (2026-01-31T12:00:00+01:00)")
	}
	return t.In(copenhagen), nil
}

// noPurpose is the refusal of a Samarbejdsaftale at its place in the file.
type noPurpose struct{ error }

func (e noPurpose) Is(target error) bool { return target == ErrNoPurpose }
func (e noPurpose) Unwrap() error        { return e.error }
