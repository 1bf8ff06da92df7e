package streams

import (
	"fmt"
	"strings"

	"supstream/catalog"
)

// Subjects and streams of one dataområde; docs/EVENTS.md has the list.

// StreamName is the stream of a dataområde.
func StreamName(slug string) string { return "DFDG_" + strings.ToUpper(slug) }

// Subject is where the events of an area for a Bruger go.
func Subject(slug string, b catalog.Bruger) string {
	return "dfdg." + slug + "." + b.String()
}

// ParseSubject is the inverse of Subject. Internal subjects (positions,
// back-fill progress) are not subjects of events and give an error.
func ParseSubject(subject string) (slug string, b catalog.Bruger, err error) {
	parts := strings.SplitN(subject, ".", 3)
	if len(parts) != 3 || parts[0] != "dfdg" || parts[1] == "" {
		return "", b, fmt.Errorf("subject %q: want dfdg.<dataomraade>.<bruger>", subject)
	}
	b, err = catalog.ParseBruger(parts[2])
	if err != nil {
		return "", b, fmt.Errorf("subject %q: %w", subject, err)
	}
	return parts[1], b, nil
}

func positionSubject(slug string) string { return "dfdg." + slug + "._pos" }

func loadSubject(slug, table string) string { return "dfdg." + slug + "._load." + table }
