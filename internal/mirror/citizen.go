package mirror

import (
	"fmt"
	"strconv"
	"time"

	"supstream/catalog"
)

// citizen is somebody who does not exist.
type citizen struct {
	number          uint64 // from 0
	cpr             string
	identity        string // a pseudonym
	first, last     string
	kommune, akasse string // "" when there is none; may be a code that no authority has
}

// The CPR numbers of synthetic citizens: every day 32–60 of every month and every serial number, in an order that looks random.
const (
	cprDays  = 29
	cprSpace = cprDays * 12 * 100 * 10000
	cprStep  = 179424673 // a prime that does not divide the space, so no number comes twice
)

// cpr returns the number of citizen n; numbers are distinct for n below 348,000,000.
func cpr(seed, n uint64) string {
	x := (n%cprSpace*cprStep + hash("cpr", seed)) % cprSpace
	serial, x := x%10000, x/10000
	year, x := x%100, x/100
	month, day := x%12+1, x/12+32
	return fmt.Sprintf("%02d%02d%02d%04d", day, month, year, serial)
}

// maker makes the values of rows from a seed.
type maker struct {
	*Mirror
	seed     uint64
	citizens uint64 // how many there are: whom a text may mention
	r        rng
	kommuner lottery
	akasser  lottery
	codes    []codeValue

	// Of the row in work:
	day   time.Time // when it happened
	draft bool
	id    uint64
}

func (m *Mirror) newMaker(seed, citizens uint64) *maker {
	return &maker{
		Mirror: m, seed: seed, citizens: max(citizens, 1), r: newRNG(seed, 0),
		kommuner: newLottery(m.catalog, catalog.Kommune, m.words),
		akasser:  newLottery(m.catalog, catalog.Akasse, m.words),
		codes:    m.codeValues(),
	}
}

// citizen returns citizen n of the seed.
func (k *maker) citizen(n uint64) citizen {
	k.r.restart(hash("citizen", k.seed, n), n)
	c := citizen{number: n, cpr: cpr(k.seed, n), identity: k.r.uuid(), first: pick(k.r, k.words.first), last: pick(k.r, k.words.last)}
	c.kommune = k.someKommune(0.01, 0.005)
	if k.r.chance(0.6) {
		c.akasse = k.akasser.draw(k.r)
		if k.r.chance(0.003) {
			c.akasse = "099" // a fund that nobody knows
		}
	}
	return c
}

// someKommune draws a kommune, or "" (unknown or abroad) or one of the codes of registers that mean the same.
func (k *maker) someKommune(none, outside float64) string {
	switch x := k.r.Float64(); {
	case x < none:
		return ""
	case x < none+outside:
		return pick(k.r, []string{"997", "998"})
	}
	return k.kommuner.draw(k.r)
}

// rows is how many rows citizen n has in a table. The first three have some in every table, so that no table is empty.
func (k *maker) rows(s *shape, n uint64) int {
	if s.nature == tie {
		return 1
	}
	mean := meanRows(s.Name)
	k.r.restart(hash(s.name, k.seed, n), n)
	least := 0
	if n < 3 {
		least = 1
	}
	if mean < 1 {
		if k.r.chance(mean) {
			return 1
		}
		return least
	}
	return max(least, k.r.between(0, int(2*mean)))
}

// meanRows is how many rows a citizen has on average; a table that is not named has one for every third citizen.
func meanRows(table string) float64 {
	switch table {
	case "joblog_post":
		return 3
	case "samtale":
		return 2.5
	case "booking", "kontaktgruppe", "aktivitet":
		return 1.5
	case "tilmelding", "cv_status", "plan_version", "planmaal", "akassemedlemskab":
		return 1
	case "visitation", "fravaer", "selvbookingsfrist", "jobsoegningskrav", "akasse_deltagelse", "personkontakt":
		return 0.6
	}
	return 0.3
}

// codeValue is one value of one code list.
type codeValue struct{ list, code string }

// codeValues makes a code list for every column that holds codes.
func (m *Mirror) codeValues() []codeValue {
	var values []codeValue
	for _, s := range m.tables {
		for i := range s.cols {
			n := 0
			switch s.cols[i].Role {
			case "type_code":
				n = 20
			case "status":
				n = 9
			case "reason":
				n = 60
			}
			for code := 1; code <= n; code++ {
				values = append(values, codeValue{s.Name + "." + s.cols[i].Name, strconv.Itoa(code)})
			}
		}
	}
	return values
}
