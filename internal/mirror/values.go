package mirror

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// value is one column value in the text form that Postgres reads.
type value struct {
	s    string
	null bool
}

func text(s string) value { return value{s: s} }

func null() value { return value{null: true} }

// row makes the values of a row, in the order of the columns. id names the row among those of its table; the same id gives the
// same key. The random source stands where the caller put it.
func (k *maker) row(s *shape, c *citizen, id uint64, day time.Time, into []value) []value {
	k.id, k.day = id, day
	k.draft = s.Draft != nil && k.r.chance(0.3)
	into = into[:0]
	for i := range s.cols {
		into = append(into, k.value(s, i, c, into))
	}
	return into
}

// value makes column i of the row in work; so far holds the columns before it.
func (k *maker) value(s *shape, i int, c *citizen, soFar []value) value {
	col := &s.cols[i]
	switch {
	case i == s.person:
		return k.person(col, c.cpr, c)
	case i == s.kommune:
		return k.owner(col, c.kommune, "998")
	case i == s.akasse:
		return k.owner(col, c.akasse, "099")
	case i == s.jobcentr:
		return k.owner(col, jobcenterOf(c.kommune), "99801")
	case s.nature == reference:
		if v, ok := k.referenceValue(s, i); ok {
			return v
		}
	}
	if col.key {
		if s.nature == tie && col.base == "uuid" {
			return text(c.identity)
		}
		return text(k.key(s, col, k.id))
	}
	if s.Draft != nil && i == s.Draft.Column {
		draft, published := s.drafts()
		if k.draft {
			return text(draft)
		}
		return text(published)
	}
	switch col.Role {
	case "valid_from", "event_time", "date":
		if col.Nullable && k.r.chance(0.15) {
			return null()
		}
		return k.moment(col, k.day)
	case "valid_to":
		return k.end(col)
	case "created_at":
		return k.moment(col, k.day)
	case "updated_at":
		return k.moment(col, k.day.Add(time.Duration(k.r.IntN(72*3600))*time.Second))
	case "ref":
		return k.ref(s, col, c)
	}
	if col.Nullable && k.r.chance(0.2) {
		return null()
	}
	return k.plain(s, i, c)
}

// plain makes a value that is not null and is neither key, owner nor date of the row.
func (k *maker) plain(s *shape, i int, c *citizen) value {
	col := &s.cols[i]
	whole := col.base == "smallint" || col.base == "integer" || col.base == "bigint"
	switch {
	case col.FreeText:
		return text(k.freeText(col.limit, k.draft || !s.Area.Open()))
	case col.Role == "type_code" && s.filter(i) != nil && k.r.chance(0.5):
		return text(pick(k.r, s.filter(i)))
	case col.Role == "type_code" && whole:
		return text(strconv.Itoa(k.r.between(1, 20)))
	case col.Role == "status" && whole:
		return text(strconv.Itoa(pick(k.r, []int{1, 1, 1, 1, 2, 3, 3, 4, 5})))
	case col.Role == "reason" && whole:
		return text(strconv.Itoa(k.r.between(1, 60)))
	case col.Role == "version" && whole:
		return text(strconv.FormatUint(k.id%8+1, 10))
	case col.Role == "registered_by" && whole:
		return text(strconv.Itoa(k.r.between(1, 4)))
	case col.Role == "registered_by" && col.takesText():
		return text(cut(jobcenterOf(k.kommuner.draw(k.r)), col.limit))
	}
	if col.takesText() {
		if s, ok := k.named(col, c); ok {
			return text(cut(s, col.limit))
		}
	}
	return k.ofType(col)
}

// filter is the list of values that some axis wants of a column, nil when none does.
func (s *shape) filter(i int) []string {
	for _, o := range s.Owners {
		if o.Only != nil && o.Only.Column == i {
			return o.Only.In
		}
	}
	return nil
}

func (c *column) takesText() bool {
	switch c.base {
	case "text", "character varying", "character", "bpchar":
		return true
	}
	return false
}

// named makes a text for what the column's role and name say it holds.
func (k *maker) named(col *column, c *citizen) (string, bool) {
	switch col.Role {
	case "cvr":
		return "99" + k.r.digits(max(col.limit, 8)-2), true
	case "origin":
		return pick(k.r, []string{"sagsbehandler", "raskmelding", "sygedagpenge", "fleksjob_batch", "oprydningsjob", "star_sf"}), true
	case "type_code":
		return pick(k.r, []string{"Custom", "Job", "Uddannelse", "Sundhed", "Tidlig opfølgning"}), true
	}
	has := func(part string) bool { return strings.Contains(col.Name, part) }
	switch {
	case has("mail"):
		return k.mail(), true
	case has("telefon"):
		return "+45 00 " + k.r.digits(2) + " " + k.r.digits(2) + " " + k.r.digits(2), true
	case has("navn"):
		return pick(k.r, k.words.first) + " " + pick(k.r, k.words.last), true
	case has("adresse"), has("lokation"):
		return fmt.Sprintf("%s %d, %s th", pick(k.r, k.words.streets), k.r.between(1, 250), pick(k.r, []string{"st.", "1.", "2."})), true
	case has("virksomhed"):
		return pick(k.r, k.words.companies), true
	case has("titel"), has("stilling"):
		return pick(k.r, k.words.titles), true
	case has("akasse_kode"):
		if c.akasse != "" && k.r.chance(0.9) {
			return c.akasse, true
		}
		return k.akasser.draw(k.r), true
	case has("afdeling"):
		return k.r.digits(4), true
	case col.limit == 1:
		return string(rune('A' + k.r.IntN(26))), true
	case has("nr"):
		return fmt.Sprintf("%d/%d", k.r.between(2020, 2026), k.r.between(1, 99999)), true
	}
	return "", false
}

func (k *maker) mail() string {
	mail := strings.ToLower(pick(k.r, k.words.first)+"."+pick(k.r, k.words.last)) + "@eksempel.invalid"
	if k.r.chance(0.05) { // left by an old conversion
		return `"` + pick(k.r, k.words.last) + `, Ø." <` + mail + `>`
	}
	return mail
}

// ofType makes a value that only the type decides.
func (k *maker) ofType(col *column) value {
	switch col.base {
	case "smallint":
		return text(strconv.Itoa(k.r.between(0, 40)))
	case "integer", "oid":
		return text(strconv.Itoa(k.r.between(0, 1<<31-1)))
	case "bigint":
		return text(strconv.FormatInt(k.r.Int64()-k.r.Int64(), 10))
	case "numeric":
		return text(k.numeric(col))
	case "money":
		return text(fmt.Sprintf("%d.%02d", k.r.between(0, 99999), k.r.IntN(100)))
	case "real":
		return text(strconv.FormatFloat(k.r.NormFloat64()*1000, 'g', 6, 32))
	case "double precision":
		return text(strconv.FormatFloat(k.r.NormFloat64()*1e6, 'g', 17, 64))
	case "boolean":
		return text(pick(k.r, []string{"t", "f"}))
	case "uuid":
		return text(k.r.uuid())
	case "bytea":
		return text(fmt.Sprintf(`\x%x`, k.noise(k.r.between(1, 60))))
	case "json", "jsonb":
		return text(k.json())
	case "date", "timestamp without time zone", "timestamp with time zone", "time without time zone":
		return k.moment(col, k.day.Add(time.Duration(k.r.IntN(365*24))*time.Hour))
	case "interval":
		return text(fmt.Sprintf("%d days %d:00:00", k.r.IntN(400), k.r.IntN(24)))
	case "inet":
		return text(fmt.Sprintf("192.0.2.%d", k.r.IntN(256)))
	}
	if col.takesText() {
		return text(k.sentence(col.limit))
	}
	if strings.HasSuffix(col.Type, "[]") && !col.Nullable {
		return text("{}")
	}
	return null()
}

// numeric fills the column's precision: a column without one gets more digits than a float can hold.
func (k *maker) numeric(col *column) string {
	if col.limit == 0 {
		return k.r.digits(20) + "." + k.r.digits(10)
	}
	whole := k.r.digits(k.r.between(1, max(1, col.limit-col.scale)))
	if col.limit == col.scale {
		whole = "0"
	}
	if col.scale == 0 {
		return whole
	}
	return whole + "." + k.r.digits(col.scale)
}

func (k *maker) json() string {
	return fmt.Sprintf(`{"mandag": ["%02d:00", "15:30"], "lukket": [%q], "nøgletal": %d.%02d, "stort": 1234567890123456789%d, "bemærkning": %q, "tom": null}`,
		k.r.between(7, 11), k.day.Format(time.DateOnly), k.r.IntN(100), k.r.IntN(100), k.r.IntN(10), `Ring på døren "ÆØÅ" \ gården`)
}

// moment writes a time as the column's type wants it.
func (k *maker) moment(col *column, t time.Time) value {
	switch col.base {
	case "date":
		return text(t.Format(time.DateOnly))
	case "timestamp with time zone":
		return text(t.Format("2006-01-02 15:04:05.999999+00"))
	case "timestamp without time zone":
		return text(t.Format("2006-01-02 15:04:05.999999"))
	case "time without time zone":
		return text(t.Format("15:04:05"))
	}
	if col.takesText() {
		return text(cut(t.Format(time.DateOnly), col.limit))
	}
	return k.ofType(col)
}

// end makes the end of a validity: none, later than the row's day, or the end of time as old systems write it.
func (k *maker) end(col *column) value {
	switch x := k.r.Float64(); {
	case col.Nullable && x < 0.55:
		return null()
	case x < 0.56:
		return k.moment(col, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
	}
	return k.moment(col, k.day.AddDate(0, 0, k.r.between(0, 400)))
}

// owner writes a code, or when there is none null or, where null is not allowed, a code that means the same.
func (k *maker) owner(col *column, code, none string) value {
	switch {
	case code != "" && col.accepts(code):
		return text(code)
	case col.Nullable:
		return null()
	case col.accepts(none):
		return text(none)
	}
	return text("")
}

// person writes a citizen's number in whatever type the table uses for it.
func (k *maker) person(col *column, cpr string, c *citizen) value {
	switch col.base {
	case "uuid":
		return text(c.identity)
	case "smallint", "integer":
		return text(strconv.FormatUint(c.number%(1<<15), 10))
	}
	return text(cpr)
}

func (k *maker) ref(s *shape, col *column, c *citizen) value {
	switch {
	case col.points != nil && col.points.nature == shared:
		return text(k.key(col.points, &col.points.cols[col.points.Key[0]], k.r.Uint64N(k.sharedRows())))
	case col.Nullable && k.r.chance(0.3):
		return null()
	case col.points != nil:
		return text(k.key(col.points, &col.points.cols[col.points.Key[0]], c.number<<rowBits))
	case strings.Contains(col.Name, "cpr"): // a number the citizen had before; most never changed it
		if col.Nullable && k.r.chance(0.97) {
			return null()
		}
		return text(cpr(k.seed, c.number+cprSpace/2))
	case col.base == "uuid": // several rows of one citizen belong together
		return text(uuid(hash(col.Name, k.seed, c.number), uint64(k.r.IntN(2))<<40))
	case col.takesText():
		return text(cut(fmt.Sprintf("LEV-%s-%03d", k.day.Format("2006-01"), k.r.IntN(50)), col.limit))
	}
	return k.ofType(col)
}

// rowBits is the room for a citizen's rows of one table in a row's id.
const rowBits = 10

// key makes a key column from the id of a row.
func (k *maker) key(s *shape, col *column, id uint64) string {
	switch col.base {
	case "uuid":
		h := hash(s.name, k.seed, id)
		return uuid(h, mix(h^id))
	case "smallint":
		return strconv.FormatUint(id&(1<<15-1), 10)
	case "integer":
		return strconv.FormatUint(id&(1<<31-1), 10)
	case "bigint":
		return strconv.FormatUint(id&(1<<63-1), 10)
	}
	if col.takesText() {
		return cut(strings.ToUpper(strconv.FormatUint(id, 36)), col.limit)
	}
	if v := k.moment(col, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(id%3_000_000)*time.Hour)); !v.null {
		return v.s
	}
	return strconv.FormatUint(id, 10)
}

func jobcenterOf(kommune string) string {
	if kommune == "" {
		return ""
	}
	return kommune + "01"
}
