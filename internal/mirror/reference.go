package mirror

import (
	"fmt"
	"strconv"
)

// centresPerKommune is the technical head office (00), the business head office (01) and one office.
const centresPerKommune = 3

// referenceRows is how many rows a table of reference data has.
func (k *maker) referenceRows(s *shape) uint64 {
	switch s.Name {
	case "kodeliste_vaerdi":
		return uint64(len(k.codes))
	case "jobcenter":
		return uint64(len(k.kommuner.codes) * centresPerKommune)
	}
	return 100
}

// sharedRows is how many rows a table that is neither about citizens nor reference data has.
func (k *maker) sharedRows() uint64 { return max(20, k.citizens/10) }

// referenceValue makes the columns that mean something in the reference tables of DFDG; k.id is the number of the row.
func (k *maker) referenceValue(s *shape, i int) (value, bool) {
	name := s.cols[i].Name
	switch s.Name {
	case "kodeliste_vaerdi":
		if k.id >= uint64(len(k.codes)) { // made by the player
			return value{}, false
		}
		code := k.codes[k.id]
		switch name {
		case "kodeliste":
			return text(cut(code.list, s.cols[i].limit)), true
		case "kode":
			return text(code.code), true
		case "tekst":
			return text(fmt.Sprintf("%s, værdi %s", code.list, code.code)), true
		}
	case "jobcenter":
		kommune, office := k.centre(k.id)
		switch name {
		case "jobcenter_kode":
			return text(kommune + office), true
		case "hovedjobcenter_kode":
			if office == "00" {
				return null(), true
			}
			return text(kommune + "00"), true
		case "navn":
			return text("Jobcenter " + pick(k.r, k.words.streets) + " " + office), true
		}
	}
	return value{}, false
}

// centre returns the kommune and the last two digits of a job centre's code.
func (k *maker) centre(id uint64) (kommune, office string) {
	kommune = k.kommuner.codes[id/centresPerKommune%uint64(len(k.kommuner.codes))]
	office = strconv.FormatUint(id%centresPerKommune, 10)
	return kommune, "0" + office
}
