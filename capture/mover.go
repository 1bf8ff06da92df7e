package capture

import "context"

// MovePublisher is a Publisher that can follow persons from one authority to
// another. It is needed when the catalogue has owners via person tables. Its
// methods are called by the goroutine that publishes, between transactions.
//
// A move is a person whose owner changed. It stays pending, durably, until
// every row of the person in every table was read again and published with
// Chunk.Moved, or a later change has replaced it.
type MovePublisher interface {
	Publisher

	// UsePersons gives the map by which rows are routed from now on, and
	// which the publisher keeps by the changes it is given. Changes that are
	// published again are routed by the day that counted the first time;
	// behind them today counts. since is an end of the log behind the making of the
	// publication for person tables; the first one given is kept.
	UsePersons(ctx context.Context, p *Persons, today Day, since uint64) error

	// SetDay makes another day's owners count for what is published from now
	// on, but not before UsePersons allows.
	SetDay(ctx context.Context, day Day) error

	// PendingMoves are moves of persons of one person table, the oldest first.
	PendingMoves(most int) []Move

	// FinishMoves says that all rows of the persons have been published since
	// PendingMoves gave these moves. Where the person has moved again, the
	// move stays pending. It returns when all that is durable.
	FinishMoves(ctx context.Context, moves []Move) error

	// MovesPosition is how far the record of moves was when the publisher was
	// opened.
	MovesPosition() Position
}

// OwnersState is what is stored about the owners of persons. The zero
// OwnersState: nothing is.
type OwnersState struct {
	Days  []DayFrom // whose owners were in force, in order; the older ones are forgotten
	Since uint64    // the publication for person tables is older than this position of the log
}

// DayFrom is a day whose owners count for changes behind a position.
type DayFrom struct {
	Day  Day
	From Position
}

// at is the day that counts behind a position; false: that is not known.
func (s *OwnersState) at(p Position) (day Day, ok bool) {
	for _, d := range s.Days {
		if d.From.Compare(p) <= 0 {
			day, ok = d.Day, true
		}
	}
	return day, ok
}
