package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

func playInsert(ctx context.Context, x *tx) error {
	c, err := x.someCitizen(ctx)
	if err != nil {
		return err
	}
	s := x.someTable(isAboutCitizen)
	return x.insert(ctx, s, x.newRow(s, &c))
}

func playRegister(ctx context.Context, x *tx) error {
	c, err := x.someCitizen(ctx)
	if err != nil {
		return err
	}
	return x.register(ctx, &c)
}

// register gives a citizen rows in a few tables.
func (x *tx) register(ctx context.Context, c *citizen) error {
	for range x.k.r.between(1, 4) {
		s := x.someTable(isAboutCitizen)
		if err := x.insert(ctx, s, x.newRow(s, c)); err != nil {
			return err
		}
	}
	return nil
}

func playNewCitizen(ctx context.Context, x *tx) error {
	c := citizen{cpr: cpr(x.k.seed, x.k.r.Uint64N(cprSpace)), identity: x.k.r.uuid(), kommune: x.k.someKommune(0.02, 0.02)}
	at, taken := slices.BinarySearch(x.people, c.cpr)
	if taken {
		return errIdle
	}
	if x.k.r.chance(0.6) {
		c.akasse = x.k.akasser.draw(x.k.r)
	}
	for _, s := range x.having(func(s *shape) bool { return s.nature == tie }) {
		if err := x.insert(ctx, s, x.newRow(s, &c)); err != nil {
			return err
		}
	}
	x.people = slices.Insert(x.people, at, c.cpr)
	return x.register(ctx, &c)
}

func playUpdate(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, isAboutCitizen, anyRow)
	if err != nil {
		return err
	}
	return x.change(ctx, s, row)
}

// change is an ordinary correction of a row.
func (x *tx) change(ctx context.Context, s *shape, row []value) error {
	c, err := x.holder(ctx, s, row)
	if err != nil {
		return err
	}
	return x.update(ctx, s, row, x.changes(s, row, &c))
}

func playSoftCancel(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, cancellable, anyRow)
	if err != nil {
		return err
	}
	return x.softCancel(ctx, s, row)
}

func cancellable(s *shape) bool { return isAboutCitizen(s) && (s.status >= 0 || s.reason >= 0) }

// softCancel marks a row as wrongly created as far as its columns can say it.
func (x *tx) softCancel(ctx context.Context, s *shape, row []value) error {
	set := map[int]value{}
	if s.status >= 0 {
		set[s.status] = x.described(s, s.status, row, &citizen{}, "cancelled")
	}
	if s.reason >= 0 {
		set[s.reason] = x.described(s, s.reason, row, &citizen{}, "fejloprettet")
	}
	if s.comment >= 0 {
		set[s.comment] = text(cut("Fejlregistreret på denne borger.", s.cols[s.comment].limit))
	}
	return x.update(ctx, s, row, set)
}

func playDelete(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, isAboutCitizen, anyRow)
	if err != nil {
		return err
	}
	return x.delete(ctx, s, row)
}

func hasEnd(s *shape) bool { return isAboutCitizen(s) && s.to >= 0 }

func playClose(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, hasEnd, func(s *shape) string {
		if s.cols[s.to].Nullable {
			return s.cols[s.to].name + " IS NULL"
		}
		return "true"
	})
	if err != nil {
		return err
	}
	end := x.k.moment(&s.cols[s.to], x.now)
	if s.from >= 0 && s.cols[s.from].base == s.cols[s.to].base && !row[s.from].null && x.k.r.chance(0.2) {
		end = row[s.from] // equal to the start: the mark of an error
	}
	return x.update(ctx, s, row, map[int]value{s.to: end})
}

func playRedact(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, func(s *shape) bool { return isAboutCitizen(s) && len(s.texts) > 0 }, func(s *shape) string {
		return s.cols[s.texts[0]].name + " IS NOT NULL"
	})
	if err != nil {
		return err
	}
	return x.update(ctx, s, row, map[int]value{s.texts[0]: text(x.k.redaction(s.cols[s.texts[0]].limit, x.staysHere(s, row)))})
}

func playReassign(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, isAboutCitizen, anyRow)
	if err != nil {
		return err
	}
	right, err := x.someCitizen(ctx)
	if err != nil {
		return err
	}
	if cancellable(s) && x.k.r.chance(0.5) {
		err = x.softCancel(ctx, s, row)
	} else {
		err = x.delete(ctx, s, row)
	}
	if err != nil {
		return err
	}
	moved := x.newRow(s, &right) // key, citizen and authorities of the right one, the rest from the wrong one
	for _, i := range s.ordinary() {
		moved[i] = row[i]
	}
	for i, v := range x.fittingTexts(s, moved) {
		moved[i] = v
	}
	return x.insert(ctx, s, moved)
}

// playReopen takes the end of a row back, or brings a deleted row back with the citizen's present authorities.
func playReopen(ctx context.Context, x *tx) error {
	if len(x.removed) > 0 && x.k.r.chance(0.5) {
		i := x.k.r.IntN(len(x.removed))
		r := x.removed[i]
		x.removed = slices.Delete(x.removed, i, i+1)
		c, err := x.holder(ctx, r.s, r.row)
		if err != nil {
			return err
		}
		row := slices.Clone(r.row)
		for _, owner := range []int{r.s.kommune, r.s.akasse} {
			if owner >= 0 {
				row[owner] = x.k.value(r.s, owner, &c, nil)
			}
		}
		return x.insertOr(ctx, r.s, row, " ON CONFLICT DO NOTHING") // another player may have been faster
	}
	s, row, err := x.some(ctx, func(s *shape) bool { return hasEnd(s) && s.cols[s.to].Nullable }, func(s *shape) string {
		return s.cols[s.to].name + " IS NOT NULL"
	})
	if err != nil {
		return err
	}
	return x.update(ctx, s, row, map[int]value{s.to: null()})
}

// playRollBack does a little of everything and takes it back.
func playRollBack(ctx context.Context, x *tx) error {
	removed := len(x.removed)
	for _, play := range []func(context.Context, *tx) error{playInsert, playUpdate, playDelete, playMove} {
		if err := play(ctx, x); err != nil && !errors.Is(err, errIdle) {
			return err
		}
	}
	x.removed = x.removed[:min(removed, len(x.removed))] // nothing was
	if x.rows == 0 {
		return errIdle
	}
	return errRollBack
}

func playSavepoint(ctx context.Context, x *tx) error {
	steps := []func() error{
		func() error { return playInsert(ctx, x) },
		func() error { return execute(ctx, x.db.conn, "SAVEPOINT a") },
		func() error { return playUpdate(ctx, x) },
		func() error { return playInsert(ctx, x) },
		func() error { return execute(ctx, x.db.conn, "ROLLBACK TO SAVEPOINT a; SAVEPOINT b") },
		func() error { return playUpdate(ctx, x) },
		func() error { return execute(ctx, x.db.conn, "SAVEPOINT c") },
		func() error { return playUpdate(ctx, x) },
		func() error { return execute(ctx, x.db.conn, "RELEASE SAVEPOINT b") },
	}
	for i, step := range steps {
		before := x.rows
		if err := step(); err != nil {
			return err
		}
		if i == 2 || i == 3 {
			x.rows = before // taken back
		}
	}
	return nil
}

func playUpsert(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, isAboutCitizen, anyRow)
	if err != nil {
		return err
	}
	c, err := x.holder(ctx, s, row)
	if err != nil {
		return err
	}
	up := x.newRow(s, &c)
	if x.k.r.chance(0.7) { // of a row that is there
		for _, i := range s.Key {
			up[i] = row[i]
		}
	}
	var assign []string
	for i := range s.cols {
		if !s.cols[i].key {
			assign = append(assign, s.cols[i].name+" = EXCLUDED."+s.cols[i].name)
		}
	}
	do := " DO NOTHING"
	if len(assign) > 0 {
		do = " DO UPDATE SET " + strings.Join(assign, ", ")
	}
	return x.insertOr(ctx, s, up, " ON CONFLICT ("+s.keyNames()+")"+do)
}

func playReplaceKey(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, isAboutCitizen, anyRow)
	if err != nil {
		return err
	}
	c, err := x.holder(ctx, s, row)
	if err == nil && x.k.r.chance(0.3) {
		c, err = x.someCitizen(ctx)
	}
	if err != nil {
		return err
	}
	if err := x.delete(ctx, s, row); err != nil {
		return err
	}
	x.removed = x.removed[:len(x.removed)-1] // its key is in use
	again := x.newRow(s, &c)
	for _, i := range s.Key {
		again[i] = row[i]
	}
	return x.insert(ctx, s, again)
}

func playKeyChange(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, isAboutCitizen, anyRow)
	if err != nil {
		return err
	}
	set := map[int]value{}
	for _, i := range s.Key {
		if i != s.person {
			set[i] = text(x.k.key(s, &s.cols[i], x.k.r.Uint64N(1<<52)|1<<52))
		}
	}
	if len(set) == 0 {
		return errIdle
	}
	return x.update(ctx, s, row, set)
}

func playNoOp(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, isAboutCitizen, anyRow)
	if err != nil {
		return err
	}
	where, args := keyWhere(s, row, nil)
	last := s.cols[len(s.cols)-1].name
	n, err := x.db.exec(ctx, fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s", s.name, last, last, where), args...)
	x.rows += n
	return wrap(s, err)
}

// playManyChanges changes one row several times and lets another come and go within the transaction.
func playManyChanges(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, isAboutCitizen, anyRow)
	if err != nil {
		return err
	}
	c, err := x.holder(ctx, s, row)
	if err != nil {
		return err
	}
	passing := x.newRow(s, &c)
	if err := x.insert(ctx, s, passing); err != nil {
		return err
	}
	for range x.k.r.between(3, 8) {
		for _, r := range [][]value{row, passing} {
			if err := x.update(ctx, s, r, x.changes(s, r, &c)); err != nil {
				return err
			}
		}
	}
	err = x.delete(ctx, s, passing)
	if err == nil {
		x.removed = x.removed[:len(x.removed)-1] // its content is not that of any commit
	}
	return err
}

func playCodeList(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, func(s *shape) bool { return s.nature == reference }, anyRow)
	if err != nil {
		return err
	}
	if x.k.r.chance(0.3) && s.Name != "jobcenter" { // a new value
		return x.insertOr(ctx, s, x.newRow(s, &citizen{}), " ON CONFLICT DO NOTHING")
	}
	return x.change(ctx, s, row)
}

func playShared(ctx context.Context, x *tx) error {
	s, row, err := x.some(ctx, func(s *shape) bool { return s.nature == shared }, anyRow)
	if err != nil {
		return err
	}
	switch {
	case x.k.r.chance(0.3):
		return x.insert(ctx, s, x.newRow(s, &citizen{kommune: x.k.someKommune(0.02, 0.01)}))
	case x.k.r.chance(0.1):
		return x.delete(ctx, s, row)
	}
	return x.change(ctx, s, row)
}
