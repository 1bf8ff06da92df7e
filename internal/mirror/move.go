package mirror

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"supstream/catalog"
)

// Move gives a citizen to another kommune: all rows of the citizen in all tables, in one transaction. An empty code means unknown or
// abroad (null). It returns how many rows changed hands.
func (m *Mirror) Move(ctx context.Context, conn *pgx.Conn, cpr, kommune string) (int64, error) {
	return m.change(ctx, conn, cpr, catalog.Kommune, kommune)
}

// ChangeAkasse is Move for the a-kasse; an empty code means that the citizen is in none.
func (m *Mirror) ChangeAkasse(ctx context.Context, conn *pgx.Conn, cpr, akasse string) (int64, error) {
	return m.change(ctx, conn, cpr, catalog.Akasse, akasse)
}

func (m *Mirror) change(ctx context.Context, conn *pgx.Conn, cpr string, axis catalog.Axis, code string) (rows int64, err error) {
	for range 10 { // a player may be at work on the same rows
		err = pgx.BeginFunc(ctx, conn, func(pgx.Tx) error {
			rows, err = m.changeOwner(ctx, session{conn}, cpr, axis, code)
			return err
		})
		if err == nil {
			return rows, nil
		}
		if !conflict(err) {
			break
		}
	}
	return 0, fmt.Errorf("change the %s of a citizen: %w", axis, err)
}

// changeOwner changes an owner column in every row of a citizen that has another value, within the transaction of the session. The
// table that ties citizens to authorities comes first: whoever adds a row of the citizen looks there, see tx.citizen, and has either
// committed before, so that the row is found, or waits.
func (m *Mirror) changeOwner(ctx context.Context, db session, cpr string, axis catalog.Axis, code string) (rows int64, err error) {
	tables := slices.Clone(m.tables)
	slices.SortStableFunc(tables, func(a, b *shape) int { return tieFirst(a) - tieFirst(b) })
	for _, s := range tables {
		column := s.kommune
		if axis == catalog.Akasse {
			column = s.akasse
		}
		if s.person < 0 || column < 0 || s.cols[column].key {
			continue
		}
		to := null()
		if code != "" {
			to = text(code)
		} else if !s.cols[column].Nullable {
			continue
		}
		set := s.cols[column].name + " = $2"
		if s.nature == tie && axis == catalog.Kommune && s.jobcentr >= 0 {
			set += fmt.Sprintf(", %s = ($2)::text || '01'", s.cols[s.jobcentr].name)
		}
		n, err := db.exec(ctx, fmt.Sprintf("UPDATE %s SET %s WHERE %s = $1 AND %s IS DISTINCT FROM $2",
			s.name, set, s.cols[s.person].name, s.cols[column].name), text(cpr), to)
		if err != nil {
			return rows, fmt.Errorf("table %s: %w", s.Table, err)
		}
		rows += n
	}
	return rows, nil
}

// Citizens returns the CPR numbers of all citizens in order.
func (m *Mirror) Citizens(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	rows, err := m.citizens(ctx, session{conn}, "true")
	if err != nil {
		return nil, fmt.Errorf("list the citizens: %w", err)
	}
	return rows, nil
}

// citizens returns the citizens whose row in the table that ties them to their authorities fulfils a condition.
func (m *Mirror) citizens(ctx context.Context, db session, where string) ([]string, error) {
	s := m.ties()
	if s == nil {
		return nil, nil
	}
	person := s.cols[s.person].name
	rows, err := db.query(ctx, fmt.Sprintf(`SELECT DISTINCT %s::text COLLATE "C" FROM %s WHERE %s ORDER BY 1`, person, s.name, where))
	if err != nil {
		return nil, err
	}
	list := make([]string, len(rows))
	for i, r := range rows {
		list[i] = r[0].s
	}
	return list, nil
}

// ties is the table that says who answers for a citizen or, in a catalogue without one, the first table about citizens that does.
func (m *Mirror) ties() *shape {
	var best *shape
	for _, s := range m.tables {
		if s.person < 0 || s.kommune < 0 && s.akasse < 0 {
			continue
		}
		if s.nature == tie {
			return s
		}
		if best == nil {
			best = s
		}
	}
	return best
}

func tieFirst(s *shape) int {
	if s.nature == tie {
		return 0
	}
	return 1
}
