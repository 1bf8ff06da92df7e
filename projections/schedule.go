package projections

import (
	"fmt"
	"time"
	_ "time/tzdata" // the schedule must not depend on what the machine has installed

	"supstream/catalog"
)

// TimeZone is where the wall clock of the schedules hangs.
const TimeZone = "Europe/Copenhagen"

// schedule turns an area's frequency into moments on the wall clock: four_times_daily at 00, 06, 12 and 18 o'clock, daily at 00,
// weekly on Mondays at 00, monthly on the first at 00, all Danish time; a period shorter than six hours at its multiples.
type schedule struct {
	every time.Duration // replaces every frequency; 0 for none
	zone  *time.Location
}

func newSchedule(every time.Duration) (schedule, error) {
	zone, err := time.LoadLocation(TimeZone)
	if err != nil {
		return schedule{}, fmt.Errorf("time zone of the schedule: %w", err)
	}
	return schedule{every: every, zone: zone}, nil
}

// shortest is the period below which wall clocks do not matter: time zones differ by whole hours, and in the night when an hour
// comes twice a short period must go on.
const shortest = 6 * time.Hour

// next is the first moment after t at which a delta of the area is due; zero for never.
func (s schedule) next(f catalog.Frequency, t time.Time) time.Time {
	if s.every > 0 {
		return t.UTC().Truncate(s.every).Add(s.every)
	}
	if f.Every < shortest {
		return f.Next(t)
	}
	n := f.Next(wall(t.In(s.zone), time.UTC))
	return wall(n, s.zone).UTC()
}

// period is the longest time between two deltas of an area.
func (s schedule) period(f catalog.Frequency) time.Duration {
	if s.every > 0 {
		return s.every
	}
	return f.Every
}

// wall is the moment at which a clock in zone shows what t shows.
func wall(t time.Time, zone *time.Location) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
}
