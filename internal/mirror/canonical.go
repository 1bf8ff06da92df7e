package mirror

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"supstream/catalog"
)

// canonical writes key and row of a table as JSON arrays; at returns the text of column i, or that it is null.
func canonical(t *catalog.Table, at func(i int) (s string, null bool)) (key, row string) {
	write := func(columns []int) string {
		list := make([]*string, len(columns))
		for i, c := range columns {
			if s, null := at(c); !null {
				if t.Columns[c].Form == catalog.FormJSON { // files carry the JSON itself, without line breaks
					s = compactJSON(s)
				}
				list[i] = &s
			}
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(list); err != nil {
			panic("mirror: a list of texts is not JSON: " + err.Error()) // cannot happen
		}
		return strings.TrimSuffix(b.String(), "\n")
	}
	all := make([]int, len(t.Columns))
	for i := range all {
		all[i] = i
	}
	return write(t.Key), write(all)
}

// Canonical returns key and row of a row as files and events carry it (a JSON object by column name), in the form of Truth. It is an
// error when the row does not hold exactly the columns of the table.
func Canonical(t *catalog.Table, object []byte) (key, row string, err error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(object, &values); err != nil {
		return "", "", fmt.Errorf("table %s: a row is not a JSON object: %w", t, err)
	}
	texts := make([]string, len(t.Columns))
	nulls := make([]bool, len(t.Columns))
	for i := range t.Columns {
		c := &t.Columns[i]
		raw, ok := values[c.Name]
		if !ok {
			return "", "", fmt.Errorf("table %s: a row does not have column %s", t, c.Name)
		}
		delete(values, c.Name)
		if string(raw) == "null" {
			// The JSON null of a json column cannot be told from a missing value; both sides write it alike.
			nulls[i] = true
			continue
		}
		if texts[i], err = postgresText(c.Form, raw); err != nil {
			return "", "", fmt.Errorf("table %s, column %s: %w", t, c.Name, err)
		}
	}
	if len(values) > 0 {
		return "", "", fmt.Errorf("table %s: a row has %d columns that the catalogue does not list", t, len(values))
	}
	key, row = canonical(t, func(i int) (string, bool) { return texts[i], nulls[i] })
	return key, row, nil
}

// postgresText is the text that Postgres writes for a value in a file.
func postgresText(form catalog.Form, raw json.RawMessage) (string, error) {
	if form == catalog.FormJSON {
		return string(raw), nil
	}
	if raw[0] != '"' {
		switch string(raw) {
		case "true":
			return "t", nil
		case "false":
			return "f", nil
		}
		if form != catalog.FormInt && form != catalog.FormFloat {
			return "", fmt.Errorf("a value is a bare number or structure where a string is due")
		}
		return string(raw), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", err
	}
	switch form {
	case catalog.FormBool, catalog.FormInt:
		return "", fmt.Errorf("a value is a string where a number or true or false is due")
	case catalog.FormDate, catalog.FormTimestamp, catalog.FormTimestampTZ:
		return postgresTime(form, s)
	}
	return s, nil
}

// postgresTime turns ISO 8601 with astronomical years into what Postgres writes with DateStyle ISO.
func postgresTime(form catalog.Form, s string) (string, error) {
	if strings.HasSuffix(s, "infinity") {
		return s, nil
	}
	date, clock, timed := strings.Cut(s, "T")
	if timed != (form != catalog.FormDate) {
		return "", fmt.Errorf("a time is not in ISO 8601")
	}
	if timed && form == catalog.FormTimestampTZ {
		var utc bool
		if clock, utc = strings.CutSuffix(clock, "Z"); !utc {
			return "", fmt.Errorf("a time does not end in Z")
		}
		clock += "+00"
	}
	era := ""
	if rest, before := strings.CutPrefix(date, "-"); before || strings.HasPrefix(date, "0000-") {
		if !before {
			rest = date
		}
		year, monthDay, _ := strings.Cut(rest, "-")
		n, err := strconv.Atoi(year)
		if err != nil {
			return "", fmt.Errorf("a year is not a number")
		}
		date, era = fmt.Sprintf("%04d-%s", n+1, monthDay), " BC"
	}
	date = strings.TrimPrefix(date, "+")
	if timed {
		date += " " + clock
	}
	return date + era, nil
}

// compactJSON removes the blanks between tokens.
func compactJSON(s string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(s)) != nil {
		return s
	}
	return b.String()
}
