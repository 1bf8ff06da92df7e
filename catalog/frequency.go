package catalog

import (
	"fmt"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Frequency is how often an area's deltas are made. It is one of the four
// named frequencies or a fixed period. The zero Frequency is "never".
type Frequency struct {
	name  string
	every time.Duration // longest distance between two deltas
	// Decision refers to the decision of the forum that set the frequency.
	Decision string
}

var frequencies = [...]Frequency{
	{name: "four_times_daily", every: 6 * time.Hour},
	{name: "daily", every: day},
	{name: "weekly", every: 7 * day},
	{name: "monthly", every: 31 * day},
}

// ParseFrequency reads four_times_daily, daily, weekly, monthly or a Go
// duration of at least one second, such as "90m".
func ParseFrequency(s string) (Frequency, error) {
	var names []string
	for _, f := range frequencies {
		if f.name == s {
			return f, nil
		}
		names = append(names, f.name)
	}
	every, err := time.ParseDuration(s)
	if err != nil || every < time.Second {
		return Frequency{}, fmt.Errorf("unknown frequency %q: want %s or a duration of at least 1s such as 90m", s, strings.Join(names, ", "))
	}
	return Frequency{name: every.String(), every: every}, nil
}

// String returns the frequency as it is written in a catalogue file, or
// "never".
func (f Frequency) String() string {
	if f.name == "" {
		return "never"
	}
	return f.name
}

// Period is the longest time between two deltas: 31 days for monthly, 0 for
// never.
func (f Frequency) Period() time.Duration { return f.every }

// Next returns the first moment after t at which a delta is due, or the zero
// time for never. All moments are UTC: four_times_daily at 00, 06, 12 and 18
// o'clock, daily at 00, weekly on Mondays at 00, monthly on the first at 00,
// and every other period at multiples of itself since year 1.
func (f Frequency) Next(t time.Time) time.Time {
	t = t.UTC()
	switch f.name {
	case "":
		return time.Time{}
	case "monthly":
		return time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t.Truncate(f.every).Add(f.every) // year 1 began on a Monday
}
