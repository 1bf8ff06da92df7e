package mirror

import (
	"context"
	"fmt"
	"strings"
)

// playBatchInsert is a delivery of a whole file: rows of many citizens.
func playBatchInsert(ctx context.Context, x *tx) error {
	s := x.someTable(isAboutCitizen)
	var people []citizen
	for range min(100, len(x.people)) {
		c, err := x.someCitizen(ctx)
		if err != nil {
			return err
		}
		people = append(people, c)
	}
	if len(people) == 0 {
		return errIdle
	}
	rows := make([][]value, x.opts.BatchSize)
	for i := range rows {
		rows[i] = x.newRow(s, &people[i%len(people)])
	}
	n, err := copyRows(ctx, x.db.conn, s, func(w *copyWriter) {
		for _, row := range rows {
			w.row(row)
		}
	})
	x.rows += n
	return wrap(s, err)
}

// playBatchUpdate is a nightly job: one column of many rows gets one value.
func playBatchUpdate(ctx context.Context, x *tx) error {
	s := x.someTable(isAboutCitizen)
	row, err := x.pick(ctx, s, "true")
	if err != nil {
		return err
	}
	if row == nil {
		return errIdle
	}
	var columns []int
	for _, i := range s.ordinary() {
		if !s.cols[i].FreeText && i != s.filterColumn() {
			columns = append(columns, i)
		}
	}
	if len(columns) == 0 {
		return errIdle
	}
	i := pick(x.k.r, columns)
	args := []value{x.fresh(s, i, row, &citizen{})}
	set := s.cols[i].name + " = $1"
	if s.updated >= 0 && s.updated != i {
		args = append(args, x.k.moment(&s.cols[s.updated], x.now))
		set += fmt.Sprintf(", %s = $2", s.cols[s.updated].name)
	}
	return x.many(ctx, s, "UPDATE %s SET "+strings.ReplaceAll(set, "%", "%%"), args, x.opts.BatchSize)
}

// playBatchDelete is a clean-up of old rows.
func playBatchDelete(ctx context.Context, x *tx) error {
	s := x.someTable(isAboutCitizen)
	return x.many(ctx, s, "DELETE FROM %s", nil, x.opts.BatchSize/4)
}

// many runs a statement, with a place for the table's name, on up to limit rows that follow each other by key.
func (x *tx) many(ctx context.Context, s *shape, statement string, args []value, limit int) error {
	from := "true"
	if first := &s.cols[s.Key[0]]; first.base == "uuid" {
		from = fmt.Sprintf("%s >= '%s'", first.name, x.k.r.uuid())
	}
	keys := s.keyNames()
	for _, where := range []string{from, "true"} { // too far back in the keys: from the first
		n, err := x.db.exec(ctx, fmt.Sprintf(statement, s.name)+
			fmt.Sprintf(" WHERE (%s) IN (SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %d)", keys, keys, s.name, where, keys, limit), args...)
		x.rows += n
		if err != nil {
			return wrap(s, err)
		}
		if n > 0 {
			return nil
		}
	}
	return errIdle
}
