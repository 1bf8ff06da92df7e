package capture

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"supstream/catalog"
)

// Day is a date, in days since 1970-01-01. Days begin at midnight in Denmark.
type Day int32

const (
	beginning Day = math.MinInt32
	eternity  Day = math.MaxInt32
)

// String is the date as 2026-01-31.
func (d Day) String() string { return time.Unix(int64(d)*86400, 0).UTC().Format(time.DateOnly) }

// ParseDay is the inverse of Day.String.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("day %q: want a date such as 2026-01-31", s)
	}
	return Day(t.Unix() / 86400), nil
}

// parseBound reads a date as Postgres writes it. Dates outside the years 1 to
// 9999 lie so far off that only their side counts.
func parseBound(v catalog.Value, none Day) (Day, error) {
	switch {
	case v.Kind != catalog.Text || string(v.Text) == "infinity" && none == eternity || string(v.Text) == "-infinity" && none == beginning:
		return none, nil
	case bytes.HasSuffix(v.Text, []byte(" BC")), string(v.Text) == "-infinity":
		return beginning + 1, nil
	case len(v.Text) > len(time.DateOnly), string(v.Text) == "infinity":
		return eternity - 1, nil
	}
	return ParseDay(string(v.Text))
}

// period is what a row of a person table says: from the first to the last day
// the person belongs to these authorities. An authority is its place in
// catalog.Brugere, from 1; 0 is nobody.
type period struct {
	from, to        Day
	kommune, akasse uint16
}

func (p period) on(d Day) bool { return p.from <= d && d <= p.to }

// holder is whose a person is: an authority of each axis as in period.
type holder struct{ kommune, akasse uint16 }

// inForce is the holder on a day by the periods of one person. Of several
// periods in force the one that began last counts. Where two began on the same
// day and disagree, nobody knows: then there is no owner on that axis.
func inForce(list []period, d Day) (h holder) {
	latest, found := beginning, false
	for _, p := range list {
		switch {
		case !p.on(d) || found && p.from < latest:
		case !found || p.from > latest:
			latest, found = p.from, true
			h = holder{p.kommune, p.akasse}
		default:
			if p.kommune != h.kommune {
				h.kommune = 0
			}
			if p.akasse != h.akasse {
				h.akasse = 0
			}
		}
	}
	return h
}
