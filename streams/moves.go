package streams

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"supstream/capture"
	"supstream/catalog"
)

// MovesStream keeps the persons whose owner changed and whose rows have not all
// been handed over yet: one subject per person, named by a pseudonym. A move that
// is done leaves a note without content, which expires. It also says which day's
// owners are in force.
const MovesStream = "DFDG__MOVES"

const (
	movesPosition = "dfdg._moves._pos"
	movesDay      = "dfdg._moves._day"
	movesSubjects = "dfdg._moves.>"
)

// moves knows which persons are on their way from one authority to another.
//
// A move is noted in the stream at the position of the change that made it, and
// held pending until every row of the person was read again and stored with its
// new owner in every stream. Routing and notes follow the order of changes, and
// the map of persons starts at the position from which changes come again (see
// capture.Persons), so whatever was not stored is done again in the same way. A
// note that comes again, or one that is still there although its rows are
// handed over, costs a further reading of the person's rows and tells nobody
// anything new.
type moves struct {
	lane    *lane
	persons *capture.Persons
	pending map[*catalog.Table]map[string]*pendingMove // by person table and person
	order   []*pendingMove                             // the oldest first
	version uint64

	// The day whose owners count is part of the order too: what comes again
	// after a restart must find the owners it found the first time.
	days   []capture.DayFrom // as the stream has it
	since  uint64
	known  []capture.DayFrom // of days, those still to be reached again
	wanted capture.Day       // counts once everything stored was seen again
	stored capture.Position  // the end of that
	tx     uint64            // commit of the running transaction
}

// pendingMove is a person whose rows may still be with old owners.
type pendingMove struct {
	via     *catalog.Table
	person  string
	olds    []catalog.Bruger // who may have rows; the present owner may be among them
	axes    [2]bool          // on which the owner changed
	version uint64           // changes with every move
	since   time.Time

	// Keys of rows that came after the move: old owners never had them, and
	// learn nothing of them. Not known after a restart.
	born map[bornRow]struct{}
}

type bornRow struct {
	table *catalog.Table
	key   keyHash
}

// A moveNote is the content of a note while the move is pending. Its subject is
// internal and no vendor can read it.
type moveNote struct {
	Via    string    `json:"via"`
	Person string    `json:"person"`
	Old    []string  `json:"old,omitempty"`
	Axes   [2]bool   `json:"axes"` // kommune, akasse
	Since  time.Time `json:"since"`
}

// A dayRecord says whose owners count behind which position, in order.
type dayRecord struct {
	Days  []dayFrom `json:"days"`
	Since uint64    `json:"since"` // see capture.OwnersState
}

type dayFrom struct {
	Day  string           `json:"day"`
	From capture.Position `json:"from"`
}

const mostDays = 40 // kept in the record; a slot is seconds behind the streams, not weeks

func openMoves(ctx context.Context, js jetstream.JetStream, p *Publisher) (*moves, error) {
	l, err := openLane(ctx, js, MovesStream, movesPosition)
	if err != nil {
		return nil, err
	}
	l.slug = "_moves"
	p.addLane(l)
	m := &moves{lane: l, pending: map[*catalog.Table]map[string]*pendingMove{}}
	for _, t := range p.cfg.Catalog.PersonTables() {
		m.pending[t] = map[string]*pendingMove{}
	}
	if err := eachMessage(ctx, js, MovesStream, l.next-1, false, m.read); err != nil {
		return nil, err
	}
	slices.SortStableFunc(m.order, func(a, b *pendingMove) int { return a.since.Compare(b.since) })
	m.measure(p)
	return m, nil
}

// OwnersState reads what is stored about the owners of persons, for
// capture.Config.
func OwnersState(ctx context.Context, js jetstream.JetStream) (capture.OwnersState, error) {
	m := &moves{}
	s, err := js.Stream(ctx, MovesStream)
	if err != nil {
		return capture.OwnersState{}, fmt.Errorf("stream %s: %w", MovesStream, err)
	}
	msg, err := s.GetLastMsgForSubject(ctx, movesDay)
	if err == nil {
		err = m.readDay(msg.Data)
	} else if isNotFound(err) {
		err = nil
	}
	if err != nil {
		return capture.OwnersState{}, fmt.Errorf("stream %s: read the day: %w", MovesStream, err)
	}
	return capture.OwnersState{Days: m.days, Since: m.since}, nil
}

// read learns from a message of the stream.
func (m *moves) read(msg jetstream.Msg) error {
	if msg.Subject() == movesDay {
		return m.readDay(msg.Data())
	}
	if msg.Subject() == movesPosition || msg.Headers().Get(hdrTTL) != "" {
		return nil
	}
	var n moveNote
	if err := json.Unmarshal(msg.Data(), &n); err != nil {
		return fmt.Errorf("a note of a move is not JSON")
	}
	for via, persons := range m.pending {
		if via.String() != n.Via {
			continue
		}
		move := &pendingMove{via: via, person: n.Person, axes: n.Axes, since: n.Since}
		for _, s := range n.Old {
			b, err := catalog.ParseBruger(s)
			if err != nil {
				return err
			}
			move.olds = append(move.olds, b)
		}
		persons[n.Person] = move
		m.order = append(m.order, move)
	}
	return nil
}

func (m *moves) readDay(data []byte) error {
	var r dayRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("the record of the day is not JSON")
	}
	m.days, m.since = nil, r.Since
	for _, d := range r.Days {
		day, err := capture.ParseDay(d.Day)
		if err != nil {
			return err
		}
		m.days = append(m.days, capture.DayFrom{Day: day, From: d.From})
	}
	return nil
}

// of is the pending move of a person, nil if there is none.
func (m *moves) of(via *catalog.Table, person []byte) *pendingMove {
	if m == nil || len(m.order) == 0 || person == nil {
		return nil
	}
	return m.pending[via][string(capture.PersonText(via, person))]
}

// see takes every change before it is routed.
func (m *moves) see(ctx context.Context, p *Publisher, c *capture.Change) error {
	if m.persons == nil {
		return nil
	}
	if c.Position.LSN != m.tx { // a transaction begins
		m.tx = c.Position.LSN
		if err := m.reach(ctx, p, capture.Position{LSN: m.tx}); err != nil {
			return err
		}
	}
	if c.Table.Persons == nil {
		return nil
	}
	return m.changed(ctx, p, c)
}

// changed takes a change of a person table.
func (m *moves) changed(ctx context.Context, p *Publisher, c *capture.Change) error {
	if m.lane.full(maxEventsPerChange) {
		if err := m.lane.spill(ctx); err != nil {
			return err
		}
	}
	owned, err := m.persons.Apply(c)
	if err != nil {
		return err
	}
	for i := range owned {
		if err := m.pend(p, &owned[i], c.Position, c.CommitTime); err != nil {
			return err
		}
	}
	if len(owned) > 0 {
		p.touch(m.lane)
	}
	m.measure(p)
	return nil
}

// pend notes that a person has another owner from pos on.
func (m *moves) pend(p *Publisher, o *capture.Owned, pos capture.Position, at time.Time) error {
	move := m.pending[o.Via][o.Person]
	if move == nil {
		move = &pendingMove{via: o.Via, person: o.Person, since: at}
		m.pending[o.Via][o.Person] = move
		m.order = append(m.order, move)
	}
	for i, was := range o.Was {
		if was == o.Is[i] {
			continue
		}
		move.axes[i] = true
		if (was != catalog.Bruger{}) && !slices.Contains(move.olds, was) {
			move.olds = append(move.olds, was)
		}
	}
	m.version++
	move.version, move.born = m.version, nil
	p.m.moves.Inc()
	n := moveNote{Via: o.Via.String(), Person: o.Person, Axes: move.axes, Since: move.since}
	for _, b := range move.olds {
		n.Old = append(n.Old, b.String())
	}
	data, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("note of a move: %w", err)
	}
	m.lane.add(pos, m.subject(p, move), data, plainHeader)
	return nil
}

func (m *moves) subject(p *Publisher, move *pendingMove) string {
	table := heldTable(move.via)
	p.enc.mac.Reset()
	p.enc.mac.Write([]byte("person\x00" + table + "\x00" + move.person))
	sum := p.enc.mac.Sum(nil)
	return strings.TrimSuffix(movesSubjects, ">") + table + "." + hex.EncodeToString(sum[:keyHashLen])
}

// measure brings the metrics up to date.
func (m *moves) measure(p *Publisher) {
	p.m.movesPending.Set(float64(len(m.order)))
	p.m.movesOldest.Store(0)
	if len(m.order) > 0 {
		p.m.movesOldest.Store(m.order[0].since.UnixNano())
	}
	if m.persons != nil {
		p.m.persons.Set(float64(m.persons.Count()))
		p.m.personBytes.Set(float64(m.persons.Bytes()))
	}
}
