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
	rest, ours := strings.CutPrefix(subject, "dfdg.")
	slug, bruger, dotted := strings.Cut(rest, ".")
	if !ours || !dotted || slug == "" {
		return "", b, fmt.Errorf("subject %q: want dfdg.<dataomraade>.<bruger>", subject)
	}
	b, err = catalog.ParseBruger(bruger)
	if err != nil {
		return "", b, fmt.Errorf("subject %q: %w", subject, err)
	}
	return slug, b, nil
}

func positionSubject(slug string) string { return "dfdg." + slug + "._pos" }

func loadSubject(slug, table string) string { return "dfdg." + slug + "._load." + table }

func orderSubject(slug, id string) string { return "dfdg." + slug + "._order." + id }
