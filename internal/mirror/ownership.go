package mirror

import (
	"context"
	"strconv"
	"strings"

	"supstream/catalog"
)

// The patterns that change whose a row is, or whether it leaves at all.

// draftWhere is the condition for drafts, or for rows that are none.
func draftWhere(draft bool) func(*shape) string {
	return func(s *shape) string {
		if draft {
			return "NOT " + published(s.Table)
		}
		return published(s.Table)
	}
}

func playDraftInsert(ctx context.Context, x *tx) error {
	c, err := x.someCitizen(ctx)
	if err != nil {
		return err
	}
	s := x.someTable(hasDrafts)
	row := x.newRow(s, &c)
	draft, _ := s.drafts()
	row[s.Draft.Column] = text(draft)
	for i, v := range x.fittingTexts(s, row) {
		row[i] = v
	}
	return x.insert(ctx, s, row)
}

func playDraftEdit(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, hasDrafts, draftWhere(true))
	if err != nil {
		return err
	}
	return x.change(ctx, s, row)
}

func playDraftPublish(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, hasDrafts, draftWhere(true))
	if err != nil {
		return err
	}
	_, current := s.drafts()
	return x.update(ctx, s, row, map[int]value{s.Draft.Column: text(current)})
}

func playDraftWithdraw(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, hasDrafts, draftWhere(false))
	if err != nil {
		return err
	}
	draft, _ := s.drafts()
	return x.update(ctx, s, row, map[int]value{s.Draft.Column: text(draft)})
}

func playMove(ctx context.Context, x *tx) error {
	c, err := x.someCitizen(ctx)
	if err != nil {
		return err
	}
	return x.handOver(ctx, c.cpr, catalog.Kommune, x.other(c.kommune, func() string { return x.k.kommuner.draw(x.k.r) }))
}

func playMoveUnknown(ctx context.Context, x *tx) error {
	c, err := x.someCitizen(ctx)
	if err != nil {
		return err
	}
	return x.handOver(ctx, c.cpr, catalog.Kommune, x.other(c.kommune, func() string { return pick(x.k.r, []string{"", "", "997", "998"}) }))
}

func playOwnerKnown(ctx context.Context, x *tx) error {
	s := x.ties()
	if s.kommune < 0 {
		return errIdle
	}
	of := catalog.Owner{Axis: catalog.Kommune, Column: s.kommune}
	nobodys, err := x.citizens(ctx, x.db, "NOT "+x.known(s.Table, of))
	if err != nil {
		return err
	}
	if len(nobodys) == 0 {
		return errIdle
	}
	return x.handOver(ctx, pick(x.k.r, nobodys), catalog.Kommune, x.k.kommuner.draw(x.k.r))
}

func playChangeAkasse(ctx context.Context, x *tx) error {
	c, err := x.someCitizen(ctx)
	if err != nil {
		return err
	}
	return x.handOver(ctx, c.cpr, catalog.Akasse, x.other(c.akasse, func() string { return x.k.akasser.draw(x.k.r) }))
}

func playLeaveAkasse(ctx context.Context, x *tx) error {
	for range 20 {
		c, err := x.someCitizen(ctx)
		if err != nil {
			return err
		}
		if c.akasse != "" {
			return x.handOver(ctx, c.cpr, catalog.Akasse, "")
		}
	}
	return errIdle
}

// other draws until something else than the present comes, a few times.
func (x *tx) other(than string, draw func() string) string {
	for range 20 {
		if s := draw(); s != than {
			return s
		}
	}
	return than
}

// handOver gives all rows of a citizen to another authority.
func (x *tx) handOver(ctx context.Context, cpr string, axis catalog.Axis, code string) error {
	n, err := x.changeOwner(ctx, x.db, cpr, axis, code)
	x.rows += n
	if err == nil && n == 0 {
		return errIdle
	}
	return err
}

func playFilterChange(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, func(s *shape) bool { return isAboutCitizen(s) && s.filterColumn() >= 0 }, anyRow)
	if err != nil {
		return err
	}
	i := s.filterColumn()
	wanted := s.filter(i)
	to := pick(x.k.r, wanted)
	if contains(wanted, strings.TrimRight(row[i].s, " ")) { // out: a code that the axis does not want
		for code := 1; ; code++ {
			if to = strconv.Itoa(code); !contains(wanted, to) {
				break
			}
		}
	}
	if !s.cols[i].accepts(to) {
		return errIdle
	}
	return x.update(ctx, s, row, map[int]value{i: text(to)})
}
