package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"supstream/internal/yamlfile"
)

// Retention that an area has when its file does not say: never less than
// fourteen days, and several periods of its deltas.
const (
	minRetention     = 14 * day
	retentionPeriods = 4 // by default
	fewestPeriods    = 3 // accepted
)

var (
	slugText      = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	historyText   = regexp.MustCompile(`^(all|current|[1-9][0-9]?y)$`)
	chapterText   = regexp.MustCompile(`^[1-9][0-9]*[a-z]?$`)
	reporterText  = regexp.MustCompile(`^[a-z][a-z_]*$`)
	packageNumber = regexp.MustCompile(`^[0-9]{2,4}$`)
)

const slugRule = "want 1 to 40 of a-z, 0-9 and _, a letter first (write ae, oe, aa for æ, ø, å)"

// areaFile reads and checks one dataområde.
func (l *loader) areaFile(name string, data []byte) {
	l.files++
	var f areaFile
	doc, err := yamlfile.Decode(name, data, &f)
	if err != nil {
		l.fail(err)
		return // what is built on a half-read file would only repeat its errors
	}
	p := place{file: name, doc: doc}
	d := &Dataomraade{
		Slug: f.Slug, Package: f.Package, Name: f.Name, Description: f.Description, Version: f.Version,
		State: f.State, Audience: f.Audience, Sensitivity: f.Sensitivity, ThirdParty: f.ThirdParty, Decision: f.Decision,
		ReportedBy: f.ReportedBy, ForSharing: f.ForSharing, Frequency: f.Frequency, Retention: f.Retention,
		History: f.History, LegalBasis: f.LegalBasis.String(), Link: f.Link, Notes: f.Notes,
	}
	d.Frequency.Decision = f.FrequencyDecision
	l.describe(d, p)
	l.legalBasis(f.LegalBasis, p)
	l.openness(d, p)
	l.schedule(d, p)
	slices.Sort(d.Audience)
	seen := map[string]place{}
	if len(f.Tables) == 0 {
		l.errorf(p.in("tables"), "tables: an area needs at least one table")
	}
	for i := range f.Tables {
		p := p.in("tables", i)
		t := l.table(d, &f.Tables[i], p)
		d.Tables = append(d.Tables, t)
		if t.Slug != "" {
			once(l, seen, t.Slug, p, "the table slug %s is used twice in the area: give one of them another slug", t.Slug)
		}
		id := tableName{t.Schema, t.Name}
		if once(l, l.tables, id, p, "table %s is listed twice: a table belongs to exactly one area", t) {
			l.cat.tables[id] = t
		}
	}
	if d.Slug != "" && once(l, l.areas, d.Slug, p, "the slug %s is used by two areas: slugs are unique", d.Slug) {
		l.cat.areas = append(l.cat.areas, d)
	}
}

// describe checks the fields that stand for themselves.
func (l *loader) describe(d *Dataomraade, p place) {
	if !slugText.MatchString(d.Slug) {
		l.errorf(p.in("slug"), "slug: %s", slugRule)
	}
	if d.Package != "" && !packageNumber.MatchString(d.Package) {
		l.errorf(p.in("package"), `package: want two to four digits such as "08"`)
	}
	l.required(d.Name, "name", p)
	l.required(d.Description, "description", p)
	if d.Version < 1 {
		l.errorf(p.in("version"), "version: want a whole number from 1; raise it when tables or columns change")
	}
	if d.State == 0 {
		l.errorf(p.in("state"), "state is missing: want one of %s", strings.Join(states[1:], ", "))
	}
	if d.Sensitivity == 0 {
		l.errorf(p.in("sensitivity"), "sensitivity is missing: want one of %s", strings.Join(sensitivities[1:], ", "))
	}
	if !historyText.MatchString(d.History) {
		l.errorf(p.in("history"), "history: want all, current, or the years that ended rows are kept, such as 5y")
	}
	if len(d.ReportedBy) == 0 {
		l.errorf(p.in("reported_by"), "reported_by is missing: say who reports the data, such as [jobcenter, akasse]")
	}
	for i, by := range d.ReportedBy {
		if !reporterText.MatchString(by) {
			l.errorf(p.in("reported_by", i), "reported_by: want words of a-z and _")
		}
	}
}

func (l *loader) required(value, key string, p place) {
	if strings.TrimSpace(value) == "" {
		l.errorf(p.in(key), "%s is missing", key)
	}
}

func (l *loader) legalBasis(f legalBasisFile, p place) {
	p = p.in("legal_basis")
	if (len(f.Chapters) == 0) == (strings.TrimSpace(f.None) == "") {
		l.errorf(p, "legal_basis: give either chapters of databekendtgørelsen, or none: why there is none")
	}
	for i, c := range f.Chapters {
		if !chapterText.MatchString(c) {
			l.errorf(p.in("chapters", i), "chapters: want numbers such as 6 or 6a")
		}
	}
}

// String writes the legal basis as documents show it.
func (f legalBasisFile) String() string {
	if len(f.Chapters) == 0 {
		return f.None
	}
	return "databekendtgørelsen kap. " + strings.Join(f.Chapters, ", ")
}

// openness checks that the area is open only if it may be.
func (l *loader) openness(d *Dataomraade, p place) {
	delivered := d.State == Test || d.State == Production || d.State == Closing
	switch {
	case d.Decision != "" && !d.ThirdParty:
		l.errorf(p.in("decision"), "decision opens a third party's data: remove it or say third_party: true")
	case d.Decision != "" && !delivered && d.State != 0:
		l.errorf(p.in("decision"), "decision says that the area is open, state says %s: remove the decision or change the state", d.State)
	case d.ThirdParty && d.Decision == "" && delivered:
		l.errorf(p.in("state"), "a third party's data may not be in state %s without a decision: give its reference in decision, or use state closed", d.State)
	}
	if delivered && slices.Contains(d.ReportedBy, Akasse.String()) && !d.ForSharing {
		l.errorf(p.in("state"), "data reported by a-kasser may not be in state %s unless reported for sharing with kommuner: say for_sharing: true, or use state closed", d.State)
	}
	if delivered && d.Link == "" {
		l.errorf(p, "link is missing: an area that is delivered links to the description of its data")
	}
	switch p := p.in("audience"); {
	case d.State == Internal:
		if len(d.Audience) > 0 {
			l.errorf(p, "an internal area is never delivered: remove audience or change the state")
		}
	case len(d.Audience) == 0:
		l.errorf(p, "audience is missing: want [alle], or kommune, akasse or both")
	case len(d.Audience) > 1 && slices.Contains(d.Audience, Alle):
		l.errorf(p, "audience alle stands alone: want [alle], or kommune, akasse or both")
	}
	for i, a := range d.Audience {
		if slices.Contains(d.Audience[:i], a) {
			l.errorf(p.in("audience", i), "audience names %s twice", a)
		}
	}
}

// schedule checks frequency and retention and fills in the default retention.
func (l *loader) schedule(d *Dataomraade, p place) {
	f := d.Frequency
	if d.State == Internal {
		if f != (Frequency{}) || d.Retention != 0 {
			l.errorf(p.in("state"), "an internal area is never delivered: remove frequency, frequency_decision and retention, or change the state")
		}
		return
	}
	switch fixed := !slices.ContainsFunc(frequencies[:], func(n Frequency) bool { return n.Name == f.Name }); {
	case f.Every == 0:
		l.errorf(p.in("frequency"), "frequency is missing: want four_times_daily, daily, weekly, monthly, or a duration such as 90m")
		return
	case fixed && f.Decision == "":
		l.errorf(p.in("frequency"), "frequency %s is not one of the four usual ones: give the reference of its decision in frequency_decision", f)
	}
	if d.Retention == 0 {
		d.Retention = max(minRetention, retentionPeriods*f.Every)
	}
	if least := fewestPeriods * f.Every; d.Retention < least {
		l.errorf(p.in("retention"), "retention is shorter than %d deltas (%s): want at least %s", fewestPeriods, f, days(least))
	}
}

// days writes a duration in days if it is a whole number of them.
func days(d time.Duration) string {
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}
