package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// FindBin returns the directory that holds initdb and postgres: PG_BIN when set, else the newest version in the places
// where packages put them, else what pg_config or PATH names. It returns ErrNotInstalled when there is none.
func FindBin() (string, error) {
	if dir := os.Getenv("PG_BIN"); dir != "" {
		if !complete(dir) {
			return "", fmt.Errorf("PG_BIN names %s, which does not hold both initdb and postgres", dir)
		}
		return dir, nil
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
		"/usr/pgsql-*/bin",                  // Red Hat, PGDG
		"/usr/local/pgsql/bin",              // from source
		"/opt/homebrew/opt/postgresql*/bin", // macOS on ARM
		"/usr/local/opt/postgresql*/bin",    // macOS on Intel
		"/opt/homebrew/bin",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("look for postgres in %s: %w", pattern, err)
		}
		slices.SortFunc(found, func(a, b string) int { return versionIn(b) - versionIn(a) })
		for _, dir := range found {
			if complete(dir) {
				return dir, nil
			}
		}
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		if dir := strings.TrimSpace(string(out)); complete(dir) {
			return dir, nil
		}
	}
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil && complete(filepath.Dir(p)) {
			return filepath.Dir(p), nil
		}
	}
	return "", ErrNotInstalled
}

func complete(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// versionIn is the major version in a path such as /usr/lib/postgresql/15/bin, 0 when there is none.
func versionIn(path string) int {
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '-' || r == '@' }) {
		if n, err := strconv.Atoi(part); err == nil {
			return n
		}
	}
	return 0
}
