package streams

import (
	"fmt"

	"supstream/catalog"
)

// appendValue appends v as JSON by the rules of docs/EVENTS.md. The text of a
// value never becomes part of an error.
func appendValue(b []byte, form catalog.Form, v catalog.Value) ([]byte, error) {
	if v.Kind == catalog.Null {
		return append(b, "null"...), nil
	}
	t := v.Text
	switch form {
	case catalog.FormInt:
		if !isInteger(t) {
			return b, fmt.Errorf("value is not an integer")
		}
		return append(b, t...), nil
	case catalog.FormBool:
		switch string(t) {
		case "t":
			return append(b, "true"...), nil
		case "f":
			return append(b, "false"...), nil
		}
		return b, fmt.Errorf("value is not a boolean")
	case catalog.FormFloat:
		return appendFloat(b, t)
	case catalog.FormJSON:
		return appendJSON(b, t), nil
	case catalog.FormDate, catalog.FormTimestamp, catalog.FormTimestampTZ:
		return appendTime(b, form, t)
	}
	return appendString(b, t), nil
}

func isInteger(t []byte) bool {
	if len(t) > 1 && t[0] == '-' {
		t = t[1:]
	}
	return allDigits(t)
}

func allDigits(t []byte) bool {
	for _, c := range t {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(t) > 0
}

// appendFloat passes the shortest exact text of Postgres as a JSON number.
func appendFloat(b, t []byte) ([]byte, error) {
	switch string(t) {
	case "NaN", "Infinity", "-Infinity":
		return appendString(b, t), nil
	}
	digits := 0
	for _, c := range t {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c != '-' && c != '+' && c != '.' && c != 'e':
			return b, fmt.Errorf("value is not a floating-point number")
		}
	}
	if digits == 0 {
		return b, fmt.Errorf("value is not a floating-point number")
	}
	return append(b, t...), nil
}

// appendJSON passes a json or jsonb text. Line breaks can only stand between
// its tokens and become spaces, so that an event stays on one line.
func appendJSON(b, t []byte) []byte {
	n := len(b)
	b = append(b, t...)
	for i := n; i < len(b); i++ {
		if b[i] < ' ' {
			b[i] = ' '
		}
	}
	return b
}

// appendTime turns the ISO text of Postgres ("2026-01-31 08:00:00.5+00",
// "0044-03-15 BC", "infinity") into ISO 8601.
func appendTime(b []byte, form catalog.Form, t []byte) ([]byte, error) {
	if s := string(t); s == "infinity" || s == "-infinity" {
		return appendString(b, t), nil
	}
	bc := false
	if n := len(t); n > 3 && string(t[n-3:]) == " BC" {
		bc, t = true, t[:n-3]
	}
	dash := 0
	for dash < len(t) && t[dash] != '-' {
		dash++
	}
	year, rest := t[:dash], t[dash:]
	if !allDigits(year) || len(year) < 4 || len(rest) < len("-01-31") {
		return b, fmt.Errorf("value is not a date in ISO style: is the session's DateStyle pinned?")
	}
	b = append(b, '"')
	b = appendYear(b, year, bc)
	b = append(b, rest[:6]...)
	rest = rest[6:]
	if form != catalog.FormDate {
		if len(rest) < len(" 08:00:00") || rest[0] != ' ' {
			return b, fmt.Errorf("value is not a timestamp in ISO style: is the session's DateStyle pinned?")
		}
		b = append(b, 'T')
		rest = rest[1:]
		if form == catalog.FormTimestampTZ {
			n := len(rest) - len("+00")
			if n < 0 || string(rest[n:]) != "+00" {
				return b, fmt.Errorf("value is not in UTC: is the session's TimeZone pinned?")
			}
			b = append(b, rest[:n]...)
			return append(b, 'Z', '"'), nil
		}
		b = append(b, rest...)
		rest = nil
	}
	if len(rest) != 0 {
		return b, fmt.Errorf("value is not a date in ISO style: is the session's DateStyle pinned?")
	}
	return append(b, '"'), nil
}

// appendYear writes a year as ISO 8601 does: four digits, with a sign when it
// has more or lies before year 0 (1 BC is year 0, 2 BC is -0001).
func appendYear(b, year []byte, bc bool) []byte {
	if !bc {
		if len(year) > 4 {
			b = append(b, '+')
		}
		return append(b, year...)
	}
	n := 0
	for _, c := range year {
		n = n*10 + int(c-'0')
	}
	n--
	if n > 0 {
		b = append(b, '-')
	}
	return fmt.Appendf(b, "%04d", n)
}

const lowerHex = "0123456789abcdef"

// plain says that c stands for itself in a JSON string.
func plain(c byte) bool { return c >= ' ' && c != '"' && c != '\\' }

// appendString appends t, valid UTF-8, as a JSON string.
func appendString(b, t []byte) []byte {
	b = append(b, '"')
	start := 0
	for i, c := range t {
		if plain(c) {
			continue
		}
		b = append(b, t[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', lowerHex[c>>4], lowerHex[c&15])
		}
	}
	b = append(b, t[start:]...)
	return append(b, '"')
}
