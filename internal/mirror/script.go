package mirror

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// scripts are the corrections that have steps for tables and columns of the catalogue, by pattern.
func (m *Mirror) scripts() map[Pattern][]Correction {
	found := map[Pattern][]Correction{}
	for _, c := range m.corrections {
		if len(c.Steps) == 0 || slices.ContainsFunc(c.Steps, func(s Step) bool { return !m.playable(s) }) {
			continue
		}
		for _, p := range c.Patterns {
			found[Pattern(p)] = append(found[Pattern(p)], c)
		}
	}
	return found
}

func (m *Mirror) playable(step Step) bool {
	s := m.named(step.Table)
	if s == nil {
		return false
	}
	for name := range step.Set {
		if i, ok := s.Column(name); !ok || s.cols[i].key || i == s.person || i == s.kommune || i == s.akasse {
			return false
		}
	}
	return true
}

// named returns the table of that name in whatever schema.
func (m *Mirror) named(table string) *shape {
	for _, s := range m.tables {
		if s.Name == table {
			return s
		}
	}
	return nil
}

// correction plays a correction that has the pattern, or does the same to some row when there is none or chance wants it.
func correction(pattern Pattern, otherwise func(context.Context, *tx) error) func(context.Context, *tx) error {
	return func(ctx context.Context, x *tx) error {
		scripts := x.scripts[pattern]
		if len(scripts) == 0 || x.k.r.chance(0.3) {
			return otherwise(ctx, x)
		}
		return x.perform(ctx, pick(x.k.r, scripts))
	}
}

// perform does the steps of a correction. The first row that a step needs decides who the (wrong) citizen is; a step whose row the
// citizen does not have is left out, but for the right citizen it becomes an insert.
func (x *tx) perform(ctx context.Context, c Correction) error {
	right, err := x.someCitizen(ctx)
	if err != nil {
		return err
	}
	wrong, subject, row, err := x.subject(ctx, c)
	if err != nil {
		return err
	}
	for _, step := range c.Steps {
		s, who := x.named(step.Table), &wrong
		if step.Target == "right_citizen" {
			who = &right
		}
		if step.Action == "insert" {
			if err := x.insertStep(ctx, s, who, step); err != nil {
				return err
			}
			continue
		}
		target := row
		if s != subject || who != &wrong || target == nil {
			if target, err = x.rowOf(ctx, s, who, step); err != nil {
				return err
			}
		}
		switch {
		case target == nil && who == &right:
			err = x.insertStep(ctx, s, who, step)
		case target == nil:
		case step.Action == "delete":
			err = x.delete(ctx, s, target)
			row = nil
		default:
			err = x.update(ctx, s, target, x.values(s, target, who, step))
		}
		if err != nil {
			return err
		}
	}
	if x.rows == 0 {
		return errIdle
	}
	return nil
}

// subject finds the row that the first update or delete is about, and its citizen.
func (x *tx) subject(ctx context.Context, c Correction) (citizen, *shape, []value, error) {
	for _, step := range c.Steps {
		if step.Action == "insert" || step.Target == "right_citizen" {
			continue
		}
		s := x.named(step.Table)
		row, err := x.pick(ctx, s, stepWhere(s, step))
		if err != nil {
			return citizen{}, nil, nil, err
		}
		if row == nil {
			return citizen{}, nil, nil, errIdle
		}
		who, err := x.holder(ctx, s, row)
		return who, s, row, err
	}
	who, err := x.someCitizen(ctx)
	return who, nil, nil, err
}

// rowOf finds a row of a citizen for a step; for tables without citizens any row will do.
func (x *tx) rowOf(ctx context.Context, s *shape, who *citizen, step Step) ([]value, error) {
	if s.person < 0 {
		return x.pick(ctx, s, stepWhere(s, step))
	}
	return x.pick(ctx, s, s.cols[s.person].name+" = $1 AND "+stepWhere(s, step), text(who.cpr))
}

// stepWhere is the condition for rows that a step makes sense for: what is taken back must be there.
func stepWhere(s *shape, step Step) string {
	conditions := []string{"true"}
	for _, name := range slices.Sorted(maps.Keys(step.Set)) {
		if i, _ := s.Column(name); step.Set[name] == "null" && s.cols[i].Nullable {
			conditions = append(conditions, s.cols[i].name+" IS NOT NULL")
		}
	}
	return strings.Join(conditions, " AND ")
}

func (x *tx) insertStep(ctx context.Context, s *shape, who *citizen, step Step) error {
	row := x.newRow(s, who)
	for i, v := range x.values(s, row, who, step) {
		row[i] = v
	}
	for i, v := range x.fittingTexts(s, row) {
		row[i] = v
	}
	return x.insert(ctx, s, row)
}

// values are what a step writes.
func (x *tx) values(s *shape, row []value, who *citizen, step Step) map[int]value {
	set := map[int]value{}
	for _, name := range slices.Sorted(maps.Keys(step.Set)) { // in order: each draws from the random source
		i, _ := s.Column(name)
		set[i] = x.described(s, i, row, who, step.Set[name])
	}
	return set
}

var numbers = regexp.MustCompile(`^\d+( or \d+)*`)

// The words of the corrections for codes of DFDG whose numbers they do not give.
var codeWords = map[string]string{
	"active": "1", "ended": "3", "cancelled": "5", "aborted": "6", "terminated": "7", "recalled": "8", "removed": "9", "fejloprettet": "99",
}

// described makes the value that a correction describes in words.
func (x *tx) described(s *shape, i int, row []value, who *citizen, words string) value {
	col := &s.cols[i]
	whole := col.base == "smallint" || col.base == "integer" || col.base == "bigint"
	switch other, equal := strings.CutPrefix(words, "equal to "); {
	case col.Nullable && (words == "null" || strings.HasSuffix(words, " or null") && x.k.r.chance(0.5)):
		return null()
	case equal:
		if j, ok := s.Column(other); ok && s.cols[j].base == col.base {
			return row[j]
		}
	case strings.HasPrefix(words, "replacement text"):
		return text(x.k.redaction(col.limit, x.staysHere(s, row)))
	case whole && numbers.MatchString(words):
		return text(pick(x.k.r, strings.Split(numbers.FindString(words), " or ")))
	case whole && codeWords[words] != "":
		return text(codeWords[words])
	case col.base == "boolean":
		if words != "set" && row[i].s == "t" {
			return text("f")
		}
		return text("t")
	case (col.Role == "origin" || col.Role == "draft_marker") && col.accepts(words):
		return text(words)
	case words == "today" || strings.HasSuffix(words, "batch job") || strings.HasPrefix(words, "batch date") || strings.HasPrefix(words, "clean-up date"):
		return x.k.moment(col, x.now)
	case strings.HasPrefix(words, "past date"):
		return x.k.moment(col, x.now.AddDate(0, 0, -x.k.r.between(30, 900)))
	}
	v := x.fresh(s, i, row, who)
	for range 20 { // something is to be said, if the type allows
		if !v.null {
			break
		}
		v = x.fresh(s, i, row, who)
	}
	return v
}
