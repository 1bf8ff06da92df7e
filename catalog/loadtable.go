package catalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// table builds one table and checks it. The result is complete only if there
// is no error.
func (l *loader) table(d *Dataomraade, f *tableFile, p place) *Table {
	t := &Table{
		Area: d, Schema: f.Schema, Name: f.Name, Slug: f.Slug, Description: f.Description,
		Everybody: f.Everybody, Identity: f.Identity,
	}
	if t.Schema == "" {
		t.Schema = "public"
	}
	if t.Slug == "" && slugText.MatchString(t.Name) {
		t.Slug = t.Name
	}
	if t.Identity == "" {
		t.Identity = "full"
	}
	l.identifier(t.Schema, "schema", p)
	l.identifier(t.Name, "name", p)
	l.required(t.Description, "description", p)
	if t.Name != "" && !slugText.MatchString(t.Slug) {
		l.errorf(p.in("slug"), "table %s needs a slug of its own: %s", t, slugRule)
	}
	b := tableLoader{l, t, p}
	b.columns(f.Columns)
	b.key(f.Key)
	if f.Draft != nil {
		t.Draft = b.match(f.Draft, "draft", p.in("draft"))
	}
	b.owners(f.Owners)
	if f.Persons != nil {
		b.persons(f.Persons)
	}
	b.identity()
	return t
}

// identifier checks a name that Postgres must accept.
func (l *loader) identifier(s, key string, p place) {
	switch {
	case s == "":
		l.errorf(p.in(key), "%s is missing", key)
	case len(s) > 63:
		l.errorf(p.in(key), "%s: Postgres names have at most 63 bytes", key)
	case strings.ContainsRune(s, 0):
		l.errorf(p.in(key), "%s: Postgres names have no NUL characters", key)
	}
}

// tableLoader is a loader at work on one table.
type tableLoader struct {
	*loader
	t *Table
	p place
}

func (l tableLoader) columns(files []columnFile) {
	if len(files) == 0 {
		l.errorf(l.p.in("columns"), "columns: a table needs at least one column")
	}
	seen := map[string]place{}
	for i, f := range files {
		p := l.p.in("columns", i)
		c := Column{
			Name: f.Name, Type: canonicalType(f.Type), Description: f.Description, Role: f.Role,
			Nullable: f.Nullable, FreeText: f.FreeText,
		}
		c.Form = formOf(c.Type)
		l.t.Columns = append(l.t.Columns, c)
		l.identifier(f.Name, "name", p)
		if f.Name != "" {
			once(l.loader, seen, f.Name, p, "column %s is listed twice in table %s", f.Name, l.t)
			if strings.TrimSpace(f.Description) == "" {
				l.errorf(p, "column %s has no description: say in a sentence what it means", f.Name)
			}
		}
		if !typeText.MatchString(f.Type) {
			l.errorf(p.in("type"), "type of column %s: want a Postgres type such as text, uuid or numeric(7,2)", f.Name)
		}
		if f.Role != "" && !slices.Contains(roles, f.Role) {
			l.errorf(p.in("role"), "unknown role %q: want one of %s", f.Role, strings.Join(roles, ", "))
		}
		if slices.Contains(textRoles, f.Role) && !f.FreeText {
			l.errorf(p.in("role"), "column %s has role %s: say free_text: true, so that erasure finds it", f.Name, f.Role)
		}
	}
}

// column finds a column by name and reports it when it is not listed.
func (l tableLoader) column(name, what string, p place) (int, bool) {
	i, ok := l.t.Column(name)
	switch {
	case name == "":
		l.errorf(p, "%s: name a column", what)
		return 0, false
	case !ok:
		l.errorf(p, "%s column %s is not among the columns of table %s: list it or correct the name", what, name, l.t)
	}
	return i, ok
}

func (l tableLoader) key(names []string) {
	if len(names) == 0 {
		l.errorf(l.p.in("key"), "key is missing: name the columns of the primary key")
	}
	for n, name := range names {
		p := l.p.in("key", n)
		i, ok := l.column(name, "key", p)
		switch {
		case !ok:
		case slices.Contains(l.t.Key, i):
			l.errorf(p, "key names column %s twice", name)
		case l.t.Columns[i].Nullable:
			l.errorf(p, "key column %s is nullable: a primary key is not", name)
		default:
			l.t.Key = append(l.t.Key, i)
		}
	}
	for i, c := range l.t.Columns {
		if c.Role == "pk" && !slices.Contains(names, c.Name) {
			l.errorf(l.p.in("columns", i, "role"), "column %s has role pk but is not in key", c.Name)
		}
	}
}

// owners checks who receives the rows of the table.
func (l tableLoader) owners(f *ownersFile) {
	if f != nil {
		if f.Kommune != nil {
			l.owner(Kommune, missingHold, f.Kommune)
		}
		if f.Akasse != nil {
			l.owner(Akasse, missingNone, f.Akasse)
		}
	}
	d := l.t.Area
	if l.t.Everybody {
		if f != nil {
			l.errorf(l.p.in("owners"), "table %s has owners and everybody: true: remove one of them", l.t)
		}
		return
	}
	for _, a := range d.Audience {
		if a == Alle {
			l.errorf(l.p, "audience alle, but table %s is not for everybody: say everybody: true or change the audience", l.t)
		} else if !slices.ContainsFunc(l.t.Owners, func(o Owner) bool { return o.Axis == a }) {
			l.errorf(l.p, "audience %s, but table %s has no %s owner: name its column in owners, or change the audience", a, l.t, a)
		}
	}
}

func (l tableLoader) owner(a Axis, missing missing, f *ownerFile) {
	p := l.p.in("owners", a.String())
	if d := l.t.Area; len(d.Audience) > 0 && !d.HasAudience(a) {
		l.errorf(p, "table %s names the owner %s, but the area's audience has no %s: remove the owner or widen the audience", l.t, a, a)
	}
	i, ok := l.ownerColumn(f, p)
	if f.Missing != 0 {
		missing = f.Missing
	}
	o := Owner{Axis: a, Column: i, Hold: missing == missingHold}
	if f.Only != nil {
		o.Only = l.match(f.Only, "only", p.in("only"))
	}
	l.t.Owners = append(l.t.Owners, o)
	if ok && f.Via != "" && f.Column == "" {
		l.vias = append(l.vias, viaRef{t: l.t, owner: len(l.t.Owners) - 1, name: f.Via, p: p})
	}
}

// match builds a test of one column; the texts become those that Postgres
// writes.
func (l tableLoader) match(f *matchFile, what string, p place) *Match {
	i, ok := l.column(f.Column, what, p.in("column"))
	m := &Match{Column: i}
	if len(f.In) == 0 {
		l.errorf(p, "%s: give the values in a list: in: [...]", what)
	}
	for n, s := range f.In {
		if !ok {
			break
		}
		text, err := matchText(&l.t.Columns[i], s)
		if err != nil {
			l.errorf(p.in("in", n), "%s: %v", what, err)
		}
		m.In = append(m.In, text)
	}
	return m
}

func matchText(c *Column, s string) (string, error) {
	switch c.Form {
	case FormString:
		return strings.TrimRight(s, " "), nil
	case FormInt, FormBigInt:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return "", fmt.Errorf("column %s holds whole numbers", c.Name)
		}
		return strconv.FormatInt(n, 10), nil
	case FormBool:
		switch s {
		case "true":
			return "t", nil
		case "false":
			return "f", nil
		}
		return "", fmt.Errorf("column %s is true or false", c.Name)
	}
	return "", fmt.Errorf("column %s is of type %s: want a column of text, whole numbers or booleans", c.Name, c.Type)
}

// identity checks that old rows will tell who owned them: every routing column
// must be part of the replica identity.
func (l tableLoader) identity() {
	p := l.p.in("identity")
	index, named := strings.CutPrefix(l.t.Identity, "index:")
	switch {
	case l.t.Identity == "full":
	case l.t.Identity == "default":
		for _, i := range l.t.Routing() {
			if !slices.Contains(l.t.Key, i) {
				l.errorf(p, "identity default leaves column %s out of old rows, and it decides who owns them: use full or an index", l.t.Columns[i].Name)
			}
		}
	case named && index == "":
		l.errorf(p, "identity: name the index, such as index:samtale_rute")
	case named:
		l.identifier(index, "identity", l.p)
		for _, i := range l.t.Routing() {
			if l.t.Columns[i].Nullable {
				l.errorf(p, "column %s is nullable and cannot be in a replica identity index: use identity full", l.t.Columns[i].Name)
			}
		}
	default:
		l.errorf(p, "unknown identity %q: want full, default or index:<name>", l.t.Identity)
	}
}
