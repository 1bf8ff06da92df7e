// Package pgtest starts throw-away Postgres servers from the binaries installed on the machine.
//
//	server, err := pgtest.Start(ctx, pgtest.Options{})
//	...
//	defer server.Close()
//	err = server.CreateDatabase(ctx, "mirror")
//	conn, err := server.Connect(ctx, "mirror")
//
// In a test, New does the same and cleans up by itself:
//
//	server := pgtest.New(t)
//
// A server is a real one: it may be stopped, killed and started again on the same port and the same data. It listens on
// 127.0.0.1 only, trusts every local user unless Options.Password is set, and must never hold anything but synthetic data.
// It ends with the process that started it (on Linux even when that process is killed).
//
// Postgres refuses to run as root. Started by root, server and initdb run as the user postgres or, failing that, nobody.
//
// Nothing is downloaded. ErrNotInstalled says how to install Postgres.
package pgtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

var (
	// ErrNotInstalled means that no Postgres server binaries were found.
	ErrNotInstalled = errors.New("no postgres server found; install one with: apt-get install --no-install-recommends postgresql, or name its bin directory in PG_BIN")

	// ErrUnreachable means that the user Postgres runs as may not enter Options.Dir or one of its parents. It can only happen to root.
	ErrUnreachable = errors.New("directory cannot be reached by the user that postgres runs as")

	// ErrRunning and ErrStopped mean that the server is not in the state that the call needs.
	ErrRunning = errors.New("postgres is running")
	ErrStopped = errors.New("postgres is not running")
)

// Superuser is the name of the only role of a new server.
const Superuser = "postgres"

// Options says how a server is made. The zero value is a server for logical decoding in a temporary directory.
type Options struct {
	// Dir holds the data and the log. Empty: a temporary directory that Close removes. A directory that already holds a
	// server made by this package is taken into use as it is. It must be absolute.
	Dir string

	// Bin is the directory of the server binaries. Empty: found by FindBin.
	Bin string

	// Settings are put on top of the defaults (see Defaults), e.g. {"wal_level": "replica"}.
	Settings map[string]string

	// Password, when not empty, is the password of Superuser, and connections need it (scram-sha-256).
	Password string

	// Socket makes the server listen on a Unix socket too, see SocketURL.
	Socket bool

	// NoSync switches fsync off. A machine crash may then lose the data; a killed server still loses nothing.
	NoSync bool

	// OwnIdentity gives the server a system identifier of its own. Servers without it are copies of one template
	// (made in a tenth of the time) and share its identifier. A server in Dir always has its own.
	OwnIdentity bool
}

// Defaults are the settings of every server before Options.Settings. The returned map is the caller's.
func Defaults() map[string]string {
	return map[string]string{
		"wal_level":             "logical",
		"max_wal_senders":       "20",
		"max_replication_slots": "20",
		"max_connections":       "100",
		"shared_buffers":        "128MB",
		"max_wal_size":          "4GB",
		"checkpoint_timeout":    "30min",
		"jit":                   "off",
		"TimeZone":              "UTC",
		"log_timezone":          "UTC",
		"log_line_prefix":       "%m [%p] ",
	}
}

// config is the text of the settings file for a server on that port.
func (o *Options) config(port int, socketDir string) string {
	set := Defaults()
	set["fsync"] = "on"
	if o.NoSync {
		set["fsync"], set["synchronous_commit"], set["full_page_writes"] = "off", "off", "off"
	}
	maps.Copy(set, o.Settings)
	set["port"] = fmt.Sprint(port)
	set["listen_addresses"] = "127.0.0.1"
	set["unix_socket_directories"] = socketDir
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(set)) {
		fmt.Fprintf(&b, "%s = '%s'\n", k, strings.ReplaceAll(set[k], "'", "''"))
	}
	return b.String()
}
