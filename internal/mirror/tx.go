package mirror

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tx is a transaction in work.
type tx struct {
	*Player
	db   session
	rows int64
}

// keyNames is the list of the key columns.
func (s *shape) keyNames() string {
	names := make([]string, len(s.Key))
	for i, c := range s.Key {
		names[i] = s.cols[c].name
	}
	return strings.Join(names, ", ")
}

// pick returns some row of a table that fulfils a condition, nil when there is none. Which one depends on the random source and the
// content, not on where rows lie. The row is locked: what is decided from its values must still hold when it is changed, whatever
// other players do.
func (x *tx) pick(ctx context.Context, s *shape, where string, args ...value) ([]value, error) {
	columns := make([]string, len(s.cols))
	for i := range s.cols {
		columns[i] = s.cols[i].name + "::text"
	}
	sql := fmt.Sprintf("SELECT %s FROM %s WHERE (%s)", strings.Join(columns, ", "), s.name, where)
	order := fmt.Sprintf(" ORDER BY %s LIMIT 1", s.keyNames())
	var rows [][]value
	var err error
	if first := &s.cols[s.Key[0]]; first.base == "uuid" {
		rows, err = x.db.query(ctx, fmt.Sprintf("%s AND %s >= $%d %s FOR UPDATE", sql, first.name, len(args)+1, order), append(slices.Clone(args), text(x.k.r.uuid()))...)
	} else {
		rows, err = x.db.query(ctx, fmt.Sprintf("%s %s OFFSET %d FOR UPDATE", sql, order, x.k.r.IntN(50)), args...)
	}
	if err == nil && len(rows) == 0 {
		rows, err = x.db.query(ctx, sql+order+" FOR UPDATE", args...)
	}
	if err != nil || len(rows) == 0 {
		return nil, wrap(s, err)
	}
	return rows[0], nil
}

// some returns a table of those that fulfil a condition, the common ones more often, and a row of it that fulfils where. It returns
// errIdle when a few tables have none.
func (x *tx) some(ctx context.Context, condition func(*shape) bool, where func(*shape) string) (*shape, []value, error) {
	for range 5 {
		s := x.someTable(condition)
		row, err := x.pick(ctx, s, where(s))
		if err != nil || row != nil {
			return s, row, err
		}
	}
	return nil, nil, errIdle
}

func anyRow(*shape) string { return "true" }

func (x *tx) someTable(condition func(*shape) bool) *shape {
	tables := x.having(condition)
	total := 0.0
	for _, s := range tables {
		total += 0.3 + meanRows(s.Name)
	}
	at := x.k.r.Float64() * total
	for _, s := range tables {
		if at -= 0.3 + meanRows(s.Name); at < 0 {
			return s
		}
	}
	return tables[len(tables)-1]
}

// someCitizen returns a citizen with the authorities that answer now; errIdle when there are no citizens.
func (x *tx) someCitizen(ctx context.Context) (citizen, error) {
	if len(x.people) == 0 {
		return citizen{}, errIdle
	}
	return x.citizen(ctx, pick(x.k.r, x.people))
}

// citizen returns a citizen by number. The authorities stay what they are until the transaction ends.
func (x *tx) citizen(ctx context.Context, cpr string) (citizen, error) {
	i, _ := slices.BinarySearch(x.people, cpr)
	c := citizen{number: uint64(i), cpr: cpr, first: pick(x.k.r, x.k.words.first), last: pick(x.k.r, x.k.words.last)}
	c.identity = uuid(hash(cpr, x.k.seed), hash(cpr))
	s := x.ties()
	if s == nil {
		return c, nil
	}
	code := func(i int) string {
		if i < 0 {
			return "''"
		}
		return "coalesce(" + s.cols[i].name + "::text, '')"
	}
	rows, err := x.db.query(ctx, fmt.Sprintf("SELECT %s, %s FROM %s WHERE %s = $1 ORDER BY %s LIMIT 1 FOR SHARE",
		code(s.kommune), code(s.akasse), s.name, s.cols[s.person].name, s.keyNames()), text(cpr))
	if err != nil {
		return c, wrap(s, err)
	}
	if len(rows) > 0 {
		c.kommune, c.akasse = strings.TrimSpace(rows[0][0].s), strings.TrimSpace(rows[0][1].s)
	}
	return c, nil
}

// holder returns the citizen of a row, or nobody for a table without citizens.
func (x *tx) holder(ctx context.Context, s *shape, row []value) (citizen, error) {
	if s.person < 0 {
		c := citizen{}
		if s.kommune >= 0 {
			c.kommune = strings.TrimSpace(row[s.kommune].s)
		}
		return c, nil
	}
	return x.citizen(ctx, row[s.person].s)
}

// newRow makes a row of a citizen with a key that is not in use.
func (x *tx) newRow(s *shape, c *citizen) []value {
	return x.k.row(s, c, x.k.r.Uint64N(1<<52)|1<<52, x.now, nil)
}

func (x *tx) insert(ctx context.Context, s *shape, row []value) error {
	return x.insertOr(ctx, s, row, "")
}

func (x *tx) insertOr(ctx context.Context, s *shape, row []value, onConflict string) error {
	places := make([]string, len(row))
	for i := range row {
		places[i] = fmt.Sprintf("$%d", i+1)
	}
	n, err := x.db.exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)%s", s.name, s.columnList(), strings.Join(places, ", "), onConflict), row...)
	x.rows += n
	return wrap(s, err)
}

// update writes columns of a row. The texts follow the row when it becomes a draft or ceases to be one, and the time of the last change
// is set.
func (x *tx) update(ctx context.Context, s *shape, row []value, set map[int]value) error {
	after := slices.Clone(row)
	for i, v := range set {
		after[i] = v
	}
	set = maps.Clone(set)
	for i, v := range x.fittingTexts(s, after) {
		set[i] = v
	}
	if s.updated >= 0 {
		if _, given := set[s.updated]; !given {
			set[s.updated] = x.k.moment(&s.cols[s.updated], x.now)
		}
	}
	var assign []string
	var args []value
	for _, i := range slices.Sorted(maps.Keys(set)) {
		args = append(args, set[i])
		assign = append(assign, fmt.Sprintf("%s = $%d", s.cols[i].name, len(args)))
	}
	where, args := keyWhere(s, row, args)
	n, err := x.db.exec(ctx, fmt.Sprintf("UPDATE %s SET %s WHERE %s", s.name, strings.Join(assign, ", "), where), args...)
	x.rows += n
	return wrap(s, err)
}

func (x *tx) delete(ctx context.Context, s *shape, row []value) error {
	where, args := keyWhere(s, row, nil)
	n, err := x.db.exec(ctx, fmt.Sprintf("DELETE FROM %s WHERE %s", s.name, where), args...)
	x.rows += n
	if err == nil {
		x.removed = append(x.removed, removedRow{s, row})
		if len(x.removed) > 200 {
			x.removed = slices.Delete(x.removed, 0, 100)
		}
	}
	return wrap(s, err)
}

// keyWhere is the condition for one row, with its arguments after those given.
func keyWhere(s *shape, row []value, args []value) (string, []value) {
	var conditions []string
	for _, i := range s.Key {
		args = append(args, row[i])
		conditions = append(conditions, fmt.Sprintf("%s = $%d", s.cols[i].name, len(args)))
	}
	return strings.Join(conditions, " AND "), args
}

// fittingTexts returns the texts that a row must change to keep the promise of NeverLeaves: drafts hold it, others do not.
func (x *tx) fittingTexts(s *shape, row []value) map[int]value {
	stays := x.staysHere(s, row)
	set := map[int]value{}
	for _, i := range s.texts {
		v := row[i]
		if v.null || strings.Contains(v.s, NeverLeaves) == stays {
			continue
		}
		if stays {
			set[i] = text(cut(NeverLeaves+" "+v.s, s.cols[i].limit))
		} else {
			set[i] = text(x.k.freeText(s.cols[i].limit, false))
		}
	}
	return set
}

func (x *tx) staysHere(s *shape, row []value) bool {
	if !s.Area.Open() {
		return true
	}
	if s.Draft == nil {
		return false
	}
	marker := row[s.Draft.Column]
	return marker.null || contains(s.Draft.In, strings.TrimRight(marker.s, " "))
}

// fresh makes a new value for a column of a row.
func (x *tx) fresh(s *shape, i int, row []value, c *citizen) value {
	x.k.draft = x.staysHere(s, row)
	x.k.day = x.now
	if s.cols[i].Nullable && x.k.r.chance(0.1) {
		return null()
	}
	switch s.cols[i].Role {
	case "valid_from", "valid_to", "event_time", "date":
		return x.k.moment(&s.cols[i], x.now.AddDate(0, 0, x.k.r.between(-200, 200)))
	}
	return x.k.plain(s, i, c)
}

// ordinary are the columns that an ordinary correction may change.
func (s *shape) ordinary() []int {
	var list []int
	for i := range s.cols {
		c := &s.cols[i]
		switch {
		case c.key, i == s.person, i == s.kommune, i == s.akasse, i == s.jobcentr, s.Draft != nil && i == s.Draft.Column:
		case c.Role == "created_at", c.Role == "updated_at", c.Role == "ref":
		default:
			list = append(list, i)
		}
	}
	return list
}

// changes makes new values for one to three ordinary columns; none when the table has no such column.
func (x *tx) changes(s *shape, row []value, c *citizen) map[int]value {
	set := map[int]value{}
	columns := s.ordinary()
	for range x.k.r.between(1, 3) {
		if len(columns) > 0 {
			i := pick(x.k.r, columns)
			set[i] = x.fresh(s, i, row, c)
		}
	}
	return set
}

func wrap(s *shape, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("table %s: %w", s.Table, err)
}
