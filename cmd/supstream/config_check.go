package main

import (
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"supstream/internal/yamlfile"
)

// The roles of a process.
const (
	roleCapture = "capture" // Postgres to streams
	roleProject = "project" // streams to files
	roleServe   = "serve"   // what vendors and operations connect to
)

// The forms of names.
var (
	mirrorName  = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)
	slotName    = regexp.MustCompile(`^[a-z0-9_]{1,63}$`)
	pgName      = regexp.MustCompile(`^[^\x00]{1,63}$`)
	wholeNumber = regexp.MustCompile(`^([0-9]+) ?(B|KiB|MiB|GiB|TiB)$`)
)

// check finds values that are not possible, alone or together. Errors stand at their line in doc; doc is nil without a file.
func (c *Config) check(doc *yamlfile.Document) error {
	var errs []error
	refuse := func(key, format string, args ...any) {
		text := key + ": " + fmt.Sprintf(format, args...)
		if doc == nil {
			errs = append(errs, fmt.Errorf("%s", text))
			return
		}
		var path []any
		for part := range strings.SplitSeq(key, ".") {
			path = append(path, part)
		}
		errs = append(errs, doc.Errorf(path, "%s", text))
	}
	between := func(key string, have, low, high int64, show func(int64) string) {
		if have < low || have > high {
			refuse(key, "want %s to %s", show(low), show(high))
		}
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	size := func(n int64) string { return Bytes(n).String() }
	duration := func(n int64) string { return time.Duration(n).String() }

	if !mirrorName.MatchString(c.Mirror) {
		refuse("mirror", "want 1 to 40 lower-case letters, digits, - and _, beginning with a letter: it is part of every event")
	}
	if c.DataDir == "" {
		refuse("data_dir", "must not be empty")
	}
	c.checkRoles(refuse)
	c.checkPostgres(refuse)
	c.checkNATS(refuse)

	between("nats.replicas", int64(c.NATS.Replicas), 1, 5, number)
	if c.NATS.Embedded.MaxStore != 0 {
		between("nats.embedded.max_store", int64(c.NATS.Embedded.MaxStore), 64<<20, 1<<50, size)
	}
	between("capture.batch_events", int64(c.Capture.BatchEvents), 0, 10_000, number)
	between("capture.batch_bytes", int64(c.Capture.BatchBytes), 64<<10, 64<<20, size)
	between("capture.linger", int64(c.Capture.Linger), int64(time.Millisecond), int64(time.Minute), duration)
	between("capture.marker_interval", int64(c.Capture.MarkerInterval), int64(100*time.Millisecond), int64(time.Hour), duration)
	between("capture.backfill.chunk_rows", int64(c.Capture.Backfill.ChunkRows), 0, 1_000_000, number)
	between("capture.backfill.rows_per_second", int64(c.Capture.Backfill.RowsPerSecond), 0, 10_000_000, number)
	between("projections.memory", int64(c.Projections.Memory), 1<<20, 1<<40, size)
	between("projections.workers", int64(c.Projections.Workers), 1, 64, number)
	if every := c.Projections.Every; every != 0 && every < c.Capture.MarkerInterval {
		refuse("projections.every", "%s is shorter than capture.marker_interval (%s): a window closes only at a marker", every, c.Capture.MarkerInterval)
	}
	if c.Reconcile.At != "" {
		if _, err := time.Parse("15:04", c.Reconcile.At); err != nil {
			refuse("reconcile.at", "want a time of day such as 03:00, or empty for never")
		} else if slices.Contains(c.Roles, roleProject) && c.Postgres.URL == "" {
			refuse("reconcile.at", "the comparison reads the mirror: set postgres.url")
		}
	}
	c.checkFolders(refuse)
	if c.HTTP.Listen != "" && !hostPort(c.HTTP.Listen) {
		refuse("http.listen", "want host:port, or empty for none")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		refuse("log.level", "want debug, info, warn or error")
	}
	if !slices.Contains([]string{"text", "json"}, c.Log.Format) {
		refuse("log.format", "want text or json")
	}
	return yamlfile.Join(errs...)
}

type refuser func(key, format string, args ...any)

func (c *Config) checkRoles(refuse refuser) {
	known := []string{roleCapture, roleProject, roleServe}
	if len(c.Roles) == 0 {
		refuse("roles", "list at least one of %s", strings.Join(known, ", "))
	}
	for i, r := range c.Roles {
		switch {
		case !slices.Contains(known, r):
			refuse("roles", "unknown role %q: want %s", r, strings.Join(known, ", "))
		case slices.Contains(c.Roles[:i], r):
			refuse("roles", "%s is listed twice", r)
		}
	}
	if c.NATS.URL == "" && slices.Contains(c.Roles, roleCapture) != slices.Contains(c.Roles, roleProject) {
		refuse("roles", "the embedded NATS server is inside this process, so capture and project belong together: list both, or set nats.url")
	}
}

func (c *Config) checkPostgres(refuse refuser) {
	if c.Postgres.URL != "" {
		if _, err := pgconn.ParseConfig(string(c.Postgres.URL)); err != nil {
			refuse("postgres.url", "not a connection string: want postgres://user@host:5432/database or host=… dbname=…")
		}
	}
	if !slotName.MatchString(c.Postgres.Slot) {
		refuse("postgres.slot", "want 1 to 63 lower-case letters, digits and _")
	}
	if !pgName.MatchString(c.Postgres.Publication) {
		refuse("postgres.publication", "want a name of 1 to 63 bytes")
	}
}

func (c *Config) checkNATS(refuse refuser) {
	n := c.NATS
	for server := range strings.SplitSeq(n.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		switch {
		case n.URL == "":
		case err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			refuse("nats.url", "want nats://host:4222 or tls://host:4222, several with commas")
		case u.User != nil:
			refuse("nats.url", "holds a user or password: use nats.credentials or nats.tls instead")
		}
	}
	for _, address := range n.Monitor {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
			refuse("nats.monitor", "want the monitoring address of every server: http://host:8222")
		}
	}
	if n.URL == "" {
		if len(n.Monitor) > 0 {
			refuse("nats.monitor", "is for a cluster: set nats.url, or remove it")
		}
		if n.Replicas > 1 {
			refuse("nats.replicas", "%d replicas need a cluster: set nats.url", n.Replicas)
		}
		for key, value := range map[string]string{"nats.credentials": n.Credentials, "nats.tls.ca": n.TLS.CA, "nats.tls.cert": n.TLS.Cert, "nats.tls.key": n.TLS.Key} {
			if value != "" {
				refuse(key, "is for a cluster: set nats.url, or remove it")
			}
		}
	} else {
		if len(n.Monitor) == 0 {
			refuse("nats.monitor", "list the monitoring address of every server (http://host:8222): there supstream sees that they sync before they acknowledge")
		}
		if n.Embedded.Listen != "" {
			refuse("nats.embedded.listen", "nats.url names a cluster, so there is no embedded server: remove one of them")
		}
	}
	if (n.TLS.Cert == "") != (n.TLS.Key == "") {
		refuse("nats.tls", "cert and key belong together")
	}
	if n.Embedded.Listen != "" && !hostPort(n.Embedded.Listen) {
		refuse("nats.embedded.listen", "want host:port, or empty for no port")
	}
}

// checkFolders keeps what vendors can fetch apart from everything else.
func (c *Config) checkFolders(refuse refuser) {
	for _, f := range []struct{ key, path string }{
		{"keys", c.Keys}, {"projections.dir", c.Projections.Dir}, {"data_dir", c.DataDir}, {"agreements", c.Agreements}, {"catalog", c.Catalog},
	} {
		if f.path != "" && within(c.Outbox, f.path) {
			refuse(f.key, "lies inside outbox, which vendors can read: move one of them")
		}
	}
	if within(c.Keys, c.Projections.Dir) {
		refuse("projections.dir", "lies inside keys: move one of them")
	}
}

// within tells whether p is folder or lies in it.
func within(folder, p string) bool {
	rel, err := filepath.Rel(folder, p)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

func hostPort(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n <= 65535
}

// Secret is a text that is never printed: formatting, logging and JSON all show only whether there is one.
type Secret string

// String is "(hidden)", or empty when there is nothing to hide.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString hides it from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides it from JSON and from slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Bytes is a size, written as a whole number with its unit: 512KiB, 64MiB, 50GiB.
type Bytes int64

// UnmarshalText is the inverse of String.
func (b *Bytes) UnmarshalText(text []byte) error {
	m := wholeNumber.FindSubmatch(text)
	if m == nil {
		return fmt.Errorf("want a size such as 512KiB, 64MiB or 50GiB")
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	shift := 10 * slices.Index([]string{"B", "KiB", "MiB", "GiB", "TiB"}, string(m[2]))
	if err != nil || n > 1<<62>>shift {
		return fmt.Errorf("size is too large")
	}
	*b = Bytes(n << shift)
	return nil
}

// String uses the largest unit that leaves a whole number.
func (b Bytes) String() string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; i < len(units)-1 && b != 0 && b%1024 == 0; i++ {
		b /= 1024
	}
	return strconv.FormatInt(int64(b), 10) + units[i]
}

// MarshalText writes String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
