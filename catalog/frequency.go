package catalog

import (
	"fmt"
	"strings"
	"time"

	"supstream/internal/yamlfile"
)

const day = 24 * time.Hour

// Frequency is how often an area's deltas are made: one of the four named
// frequencies or a fixed period. The zero Frequency means never.
type Frequency struct {
	Name     string        // four_times_daily, daily, weekly, monthly, or the period as text
	Every    time.Duration // longest time between two deltas: 31 days for monthly
	Decision string        // reference to the decision that set the frequency
}

var frequencies = [...]Frequency{
	{Name: "four_times_daily", Every: 6 * time.Hour},
	{Name: "daily", Every: day},
	{Name: "weekly", Every: 7 * day},
	{Name: "monthly", Every: 31 * day},
}

// ParseFrequency reads four_times_daily, daily, weekly, monthly or a duration
// of at least one second, such as 90m or 3d.
func ParseFrequency(s string) (Frequency, error) {
	var names []string
	for _, f := range frequencies {
		if f.Name == s {
			return f, nil
		}
		names = append(names, f.Name)
	}
	every, err := yamlfile.ParseDuration(s)
	if err != nil || every < time.Second {
		return Frequency{}, fmt.Errorf("unknown frequency %q: want %s, or a duration of at least 1s such as 90m", s, strings.Join(names, ", "))
	}
	return Frequency{Name: every.String(), Every: every}, nil
}

// UnmarshalText is ParseFrequency.
func (f *Frequency) UnmarshalText(text []byte) (err error) {
	*f, err = ParseFrequency(string(text))
	return err
}

// String returns the frequency as it may be written in a catalogue file, or
// "never".
func (f Frequency) String() string {
	if f.Name == "" {
		return "never"
	}
	return f.Name
}

// Next returns the first moment after t at which a delta is due, or the zero
// time for never. All moments are UTC: four_times_daily at 00, 06, 12 and 18
// o'clock, daily at 00, weekly on Mondays at 00, monthly on the first at 00,
// and every other period at multiples of itself since the first Monday of
// year 1.
func (f Frequency) Next(t time.Time) time.Time {
	t = t.UTC()
	switch f.Name {
	case "":
		return time.Time{}
	case "monthly":
		return time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return t.Truncate(f.Every).Add(f.Every) // year 1 began on a Monday
}
