package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"
)

// viaPlayer changes persons and their rows, in transactions of several changes, until its context ends.
type viaPlayer struct {
	w       *world
	r       *rand.Rand
	conn    *pgx.Conn
	persons int
	plans   bool // periods that begin and end in days to come
	moves   *atomic.Int64
	done    *atomic.Int64
}

// playVia lets n players play at once and returns how many transactions they committed.
func (w *world) playVia(ctx context.Context, seed uint64, n, persons int, plans bool) (transactions, moves int64, err error) {
	var m, d atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	for i := range n {
		conn, err := w.pg.Connect(ctx, database)
		if err != nil {
			return 0, 0, err
		}
		p := &viaPlayer{w: w, r: rand.New(rand.NewPCG(seed, uint64(i))), conn: conn, persons: persons, plans: plans, moves: &m, done: &d}
		g.Go(func() error {
			defer conn.Close(context.WithoutCancel(gctx))
			return p.play(gctx)
		})
	}
	err = g.Wait()
	if ctx.Err() != nil {
		err = nil
	}
	return d.Load(), m.Load(), err
}

func (p *viaPlayer) play(ctx context.Context) error {
	for ctx.Err() == nil {
		err := pgx.BeginFunc(ctx, p.conn, func(tx pgx.Tx) error {
			for range 1 + p.r.IntN(4) {
				if err := p.step(ctx, tx); err != nil {
					return err
				}
			}
			if p.r.IntN(15) == 0 {
				return errRolledBack
			}
			return nil
		})
		var pg *pgconn.PgError
		switch {
		case err == nil:
			p.done.Add(1)
		case errors.Is(err, errRolledBack), errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "23505"):
		default:
			return err
		}
	}
	return nil
}

var errRolledBack = errors.New("rolled back on purpose")

func (p *viaPlayer) cpr() string { return fmt.Sprintf("40019%05d", p.r.IntN(p.persons)) }

func (p *viaPlayer) kommune() any {
	return []any{"101", "751", "851", "101", "751", "851", nil, "999"}[p.r.IntN(8)]
}

func (p *viaPlayer) akasse() any { return []any{"908", "915", nil}[p.r.IntN(3)] }

func (p *viaPlayer) text() string { return strings.Repeat("t", 1+p.r.IntN(40)) }

// step makes one change.
func (p *viaPlayer) step(ctx context.Context, tx pgx.Tx) error {
	exec := func(sql string, args ...any) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	}
	table := []string{"sag", "notat", "brev", "ydelse"}[p.r.IntN(4)]
	some := fmt.Sprintf("(SELECT ctid FROM %s WHERE cpr = $1 ORDER BY random() LIMIT 1)", table)
	switch n := p.r.IntN(100); {
	case n < 25:
		id := p.r.Int64N(1 << 40)
		switch table {
		case "sag":
			return exec("INSERT INTO sag VALUES ($1, $2, $3, $4)", id, p.cpr(), 5+p.r.IntN(5), p.text())
		case "notat":
			return exec("INSERT INTO notat VALUES ($1, $2, $3, $4, $5)", id, p.r.IntN(9), p.cpr(), p.r.IntN(4) == 0, p.text())
		case "brev":
			return exec("INSERT INTO brev VALUES ($1, $2, $3)", id, p.cpr(), p.text())
		}
		return exec("INSERT INTO ydelse VALUES ($1, $2, $3, $4)", id, p.cpr(), p.kommune(), p.text())
	case n < 40:
		return exec("UPDATE "+table+" SET tekst = $2 WHERE ctid = "+some, p.cpr(), p.text())
	case n < 44: // another type, a draft or no draft, another key
		switch table {
		case "sag":
			return exec("UPDATE sag SET type = $2 WHERE ctid = "+some, p.cpr(), 5+p.r.IntN(5))
		case "notat":
			return exec("UPDATE notat SET kladde = NOT kladde WHERE ctid = "+some, p.cpr())
		}
		return exec("UPDATE "+table+" SET id = $2 WHERE ctid = "+some, p.cpr(), p.r.Int64N(1<<40))
	case n < 47: // a row is given to another person
		return exec("UPDATE "+table+" SET cpr = $2 WHERE ctid = "+some, p.cpr(), p.cpr())
	case n < 60:
		return exec("DELETE FROM "+table+" WHERE ctid = "+some, p.cpr())
	}
	p.moves.Add(1)
	cpr := p.cpr()
	if p.plans && p.r.IntN(2) == 0 {
		if p.r.IntN(3) == 0 {
			return exec("DELETE FROM tilhoer WHERE ctid = (SELECT ctid FROM tilhoer WHERE cpr = $1 AND gyldig_fra > idag() LIMIT 1)", cpr)
		}
		return exec("INSERT INTO tilhoer VALUES ($1, $2, $3, $4, idag() + $5::int, idag() + $5::int + $6::int)",
			p.r.Int64N(1<<40), cpr, p.kommune(), p.akasse(), p.r.IntN(4)-1, p.r.IntN(4))
	}
	switch n := p.r.IntN(10); {
	case n < 4:
		return exec("UPDATE tilhoer SET kommune_kode = $2 WHERE cpr = $1 AND gyldig_til IS NULL", cpr, p.kommune())
	case n < 5:
		return exec("UPDATE tilhoer SET akasse_kode = $2 WHERE cpr = $1 AND gyldig_til IS NULL", cpr, p.akasse())
	case n < 6:
		return exec("UPDATE tilhoer SET kommune_kode = $2, akasse_kode = $3 WHERE cpr = $1 AND gyldig_til IS NULL", cpr, p.kommune(), p.akasse())
	case n < 7: // the period ends and another begins
		if err := exec("UPDATE tilhoer SET gyldig_til = idag() - 1 WHERE cpr = $1 AND gyldig_til IS NULL", cpr); err != nil {
			return err
		}
		fallthrough
	case n < 8:
		return exec("INSERT INTO tilhoer VALUES ($1, $2, $3, $4, idag() - $5::int, NULL)", p.r.Int64N(1<<40), cpr, p.kommune(), p.akasse(), p.r.IntN(3))
	case n < 9:
		return exec("DELETE FROM tilhoer WHERE cpr = $1", cpr)
	}
	return exec("UPDATE tilhoer SET cpr = $2 WHERE ctid = (SELECT ctid FROM tilhoer WHERE cpr = $1 LIMIT 1)", cpr, p.cpr())
}
