package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// PlayerOptions says what traffic a player makes.
type PlayerOptions struct {
	// Seed decides all choices: two players with one seed on two databases of one content do the same.
	Seed uint64

	// Connect opens a connection of the player's own. It is called again after a connection is lost.
	Connect func(context.Context) (*pgx.Conn, error)

	// Rate is how many transactions are made per second. RowRate is the same for changed rows. 0 means no limit.
	Rate, RowRate float64

	// Patterns are the kinds of transactions; nil means all that the catalogue allows, see Patterns. Each comes once, in order,
	// before chance decides.
	Patterns []Pattern

	// BatchSize is how many rows a batch job touches in one transaction; default 2000.
	BatchSize int

	// Limit ends the play after so many transactions; 0 means that the context ends it.
	Limit int
}

// Count tells how often a pattern was played.
type Count struct {
	Transactions int64 // committed, or rolled back where the pattern is to roll back
	Rows         int64 // changed by them
	Unknown      int64 // the connection was lost: committed or not, nobody told
	Failed       int64 // refused by Postgres because of somebody else's work: a deadlock, a key that is taken
	Idle         int64 // there was nothing to do it to
}

// Player makes traffic on a filled mirror. It may be played once; Counts may be called at any time.
type Player struct {
	*Mirror
	opts    PlayerOptions
	k       *maker
	people  []string // CPR numbers in order
	now     time.Time
	removed []removedRow
	scripts map[Pattern][]Correction

	mu     sync.Mutex // guards counts
	counts map[Pattern]Count
}

// removedRow is a row that was deleted and may come back.
type removedRow struct {
	s   *shape
	row []value
}

// Player makes a player.
func (m *Mirror) Player(opts PlayerOptions) (*Player, error) {
	if opts.Connect == nil {
		return nil, errors.New("player: no way to connect was given")
	}
	possible := m.Patterns()
	if opts.Patterns == nil {
		opts.Patterns = possible
	}
	for _, p := range opts.Patterns {
		if !slices.Contains(possible, p) {
			return nil, fmt.Errorf("player: pattern %q is unknown or needs a table that the catalogue does not have", p)
		}
	}
	if opts.BatchSize == 0 {
		opts.BatchSize = 2000
	}
	return &Player{Mirror: m, opts: opts, scripts: m.scripts(), counts: map[Pattern]Count{}}, nil
}

// Counts returns how often each pattern was played so far.
func (p *Player) Counts() map[Pattern]Count {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

func (p *Player) count(pattern Pattern, add func(*Count)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts[pattern]
	add(&c)
	p.counts[pattern] = c
}

// maxIdle is how many patterns in a row may find nothing to do before the player gives up.
const maxIdle = 1000

// Play makes traffic until ctx ends or the limit is reached, and then returns nil; a transaction that has begun is finished. When the
// connection is lost, by a restart of Postgres for instance, it connects again and goes on. Other errors end the play.
func (p *Player) Play(ctx context.Context) error {
	conn, err := p.connect(ctx)
	if err != nil {
		return fmt.Errorf("play: %w", err)
	}
	defer func() { conn.Close(context.WithoutCancel(ctx)) }()
	if err := p.survey(ctx, session{conn}); err != nil {
		return fmt.Errorf("play: look at the mirror: %w", err)
	}
	pace := pace{next: time.Now()}
	idle := 0
	for n := 0; p.opts.Limit == 0 || n < p.opts.Limit; n++ {
		if ctx.Err() != nil {
			return nil
		}
		pattern := p.choose(n)
		rows, err := p.transaction(ctx, conn, pattern)
		if err == nil {
			idle = 0
		}
		switch {
		case err == nil:
			p.count(pattern, func(c *Count) { c.Transactions++; c.Rows += rows })
		case errors.Is(err, errIdle):
			p.count(pattern, func(c *Count) { c.Idle++ })
			if idle++; idle == maxIdle {
				return errors.New("play: there is nothing to change; fill the mirror first")
			}
		case lost(conn, err):
			p.count(pattern, func(c *Count) { c.Unknown++ })
			conn.Close(context.WithoutCancel(ctx))
			again, err := p.reconnect(ctx)
			if err != nil {
				return nil // the context ended
			}
			conn = again
		case conflict(err):
			p.count(pattern, func(c *Count) { c.Failed++ })
		default:
			return fmt.Errorf("play: pattern %s: %w", pattern, err)
		}
		if pace.wait(ctx, p.opts, rows) != nil {
			return nil
		}
	}
	return nil
}

func (p *Player) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := p.opts.Connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := Pin(ctx, conn); err != nil {
		conn.Close(context.WithoutCancel(ctx))
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// reconnect tries until it works; it returns an error only when ctx ends.
func (p *Player) reconnect(ctx context.Context) (*pgx.Conn, error) {
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		if conn, err := p.connect(ctx); err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(delay):
		}
	}
}

// lost tells whether the connection is no longer of use. Whether the last transaction was committed is then unknown.
func lost(conn *pgx.Conn, err error) bool {
	var refused *pgconn.PgError
	return conn.IsClosed() || errors.As(err, &refused) && (strings.HasPrefix(refused.Code, "57P") || strings.HasPrefix(refused.Code, "08"))
}

// conflict tells whether somebody else's work is the reason for a refusal.
func conflict(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == "23505" || refused.Code == "40P01" || refused.Code == "40001")
}

// survey learns what the choices start from: the citizens, the newest moment in the mirror, and how many rows there are, so that a
// second play of one seed does not repeat the first.
func (p *Player) survey(ctx context.Context, db session) error {
	p.now = time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	seed := hash("player", p.opts.Seed)
	for _, s := range p.tables {
		newest := "NULL"
		if s.updated >= 0 && strings.HasPrefix(s.cols[s.updated].base, "timestamp") {
			newest = fmt.Sprintf("to_char(max(%s), 'YYYY-MM-DD HH24:MI:SS')", s.cols[s.updated].name)
		}
		rows, err := db.query(ctx, fmt.Sprintf("SELECT count(*)::text, %s FROM %s", newest, s.name))
		if err != nil {
			return fmt.Errorf("table %s: %w", s.Table, err)
		}
		seed = hash(s.name+rows[0][0].s, seed)
		if at, err := time.Parse(time.DateTime, rows[0][1].s); err == nil && at.After(p.now) && at.Year() < 9000 {
			p.now = at
		}
	}
	seed = hash(p.now.String(), seed)
	var err error
	if p.people, err = p.citizens(ctx, db, "true"); err != nil {
		return err
	}
	p.k = p.newMaker(seed, uint64(len(p.people)))
	return nil
}

// choose returns the pattern of transaction n: first each once, then by weight.
func (p *Player) choose(n int) Pattern {
	if n < len(p.opts.Patterns) {
		return p.opts.Patterns[n]
	}
	total := 0
	for _, pattern := range p.opts.Patterns {
		total += patterns[pattern].weight
	}
	x := p.k.r.IntN(total)
	for _, pattern := range p.opts.Patterns {
		if x -= patterns[pattern].weight; x < 0 {
			return pattern
		}
	}
	panic("mirror: weights do not add up") // cannot happen
}

var (
	errIdle     = errors.New("nothing to do it to")
	errRollBack = errors.New("roll back, as the pattern wants")
)

// transactionTimeout is how long one transaction may take before the connection is given up.
const transactionTimeout = 2 * time.Minute

// transaction plays a pattern once. A context that ends does not interrupt it.
func (p *Player) transaction(ctx context.Context, conn *pgx.Conn, pattern Pattern) (int64, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), transactionTimeout)
	defer cancel()
	p.now = p.now.Add(time.Second + time.Duration(p.k.r.IntN(1e6))*time.Microsecond)
	p.k.day = p.now
	x := &tx{Player: p, db: session{conn}}
	if err := execute(ctx, conn, "BEGIN"); err != nil {
		return 0, err
	}
	err := patterns[pattern].play(ctx, x)
	if err == nil {
		if err = execute(ctx, conn, "COMMIT"); err == nil {
			return x.rows, nil
		}
		return 0, err
	}
	if conn.IsClosed() {
		return 0, err
	}
	if rollbackErr := execute(ctx, conn, "ROLLBACK"); rollbackErr != nil {
		return 0, errors.Join(err, rollbackErr)
	}
	if errors.Is(err, errRollBack) {
		return x.rows, nil
	}
	return 0, err
}

// pace keeps the time of the play.
type pace struct{ next time.Time }

// wait sleeps until the next transaction is due. It does not catch up on more than a second.
func (p *pace) wait(ctx context.Context, opts PlayerOptions, rows int64) error {
	var gap time.Duration
	if opts.Rate > 0 {
		gap = time.Duration(float64(time.Second) / opts.Rate)
	}
	if opts.RowRate > 0 {
		gap = max(gap, time.Duration(float64(rows)*float64(time.Second)/opts.RowRate))
	}
	if gap == 0 {
		return nil
	}
	p.next = p.next.Add(gap)
	if late := time.Now().Add(-time.Second); p.next.Before(late) {
		p.next = late
	}
	d := time.Until(p.next)
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
