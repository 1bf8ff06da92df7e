package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// result is what a command line did.
type result struct {
	code           int
	stdout, stderr string
}

// runIn runs a command line in a folder with the given environment variables, and nothing else of the environment.
func runIn(t *testing.T, dir string, env map[string]string, args ...string) result {
	t.Helper()
	t.Chdir(dir)
	var stdout, stderr bytes.Buffer
	a := &app{stdout: &stdout, stderr: &stderr, getenv: func(name string) string { return env[name] }}
	code := a.execute(context.Background(), args)
	return result{code, stdout.String(), stderr.String()}
}

// folder is a new folder with the given files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUsage(t *testing.T) {
	dir := folder(t, nil)
	for _, tc := range []struct{ args, want string }{
		{"", "supstream: supstream needs a command\nrun supstream --help\n"},
		{"catalog", "supstream: supstream catalog needs a command\nrun supstream catalog --help\n"},
		{"catlog", "supstream: unknown command \"catlog\" of supstream; did you mean catalog?\nrun supstream --help\n"},
		{"catalog chek", "supstream: unknown command \"chek\" of supstream catalog; did you mean check?\nrun supstream catalog --help\n"},
		{"version now", "supstream: unknown command \"now\" for \"supstream version\"\nrun supstream version --help\n"},
		{"aftale access a b", "supstream: accepts 3 arg(s), received 2\nrun supstream aftale access --help\n"},
		{"version --jsn", "supstream: unknown flag: --jsn\nrun supstream version --help\n"},
		{"aftale show --at tomorrow", "supstream: invalid argument \"tomorrow\" for \"--at\" flag: want a date (2026-01-31) or an instant with its zone " +
			"(2026-01-31T12:00:00+01:00)\nrun supstream aftale show --help\n"},
		{"-c none.yaml config check", "supstream: read configuration: open none.yaml: no such file or directory\n"},
		{"--log-level loud config check", "supstream: configuration: log.level: want debug, info, warn or error\n"},
	} {
		got := runIn(t, dir, nil, strings.Fields(tc.args)...)
		if want := (result{exitInput, "", tc.want}); got != want {
			t.Errorf("supstream %s\ngot  %+v\nwant %+v", tc.args, got, want)
		}
	}
}

func TestVersion(t *testing.T) {
	got := runIn(t, folder(t, nil), nil, "version")
	if got.code != exitOK || !strings.HasPrefix(got.stdout, "supstream ") || !strings.Contains(got.stdout, ", go1.") || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("got %+v", got)
	}
	got = runIn(t, folder(t, nil), nil, "version", "--json")
	if got.code != exitOK || !strings.Contains(got.stdout, `"platform": "`) {
		t.Errorf("got %+v", got)
	}
	for _, tc := range []struct {
		b    build
		want string
	}{
		{build{"v1.2.0", "0123abc", false, "go1.26.8", "linux/amd64"}, "supstream v1.2.0, commit 0123abc, go1.26.8 linux/amd64"},
		{build{"(devel)", "0123abc", true, "go1.26.8", "linux/amd64"}, "supstream (devel), commit 0123abc with changes, go1.26.8 linux/amd64"},
		{build{"(devel)", "", false, "go1.26.8", "linux/amd64"}, "supstream (devel), go1.26.8 linux/amd64"},
	} {
		if got := tc.b.String(); got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
}
