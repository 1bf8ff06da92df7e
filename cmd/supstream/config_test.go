package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// loadConfig reads a configuration file with an environment.
func loadConfig(t *testing.T, text string, env map[string]string) (*Config, error) {
	t.Helper()
	dir := folder(t, map[string]string{"supstream.yaml": text, "pw": "from file\nsecond line\n", "empty": "\n"})
	t.Chdir(dir)
	a := &app{getenv: func(name string) string { return env[name] }}
	return a.config()
}

// TestExampleIsTheDefaults: `config example` loads as it is printed, names every key there is, and says the true defaults.
func TestExampleIsTheDefaults(t *testing.T) {
	printed := runIn(t, folder(t, nil), nil, "config", "example")
	if printed.code != exitOK || printed.stderr != "" {
		t.Fatalf("got %+v", printed)
	}
	got, err := loadConfig(t, printed.stdout, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Postgres.URL = "postgres://supstream@localhost:5432/dfdg"
	want.NATS.Monitor = []string{}
	want.place(".")
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %#v\nwant %#v", *got, want)
	}
	for _, s := range settings(reflect.ValueOf(want), "") {
		last := s.key[strings.LastIndex(s.key, ".")+1:]
		if !strings.Contains(printed.stdout, "\n"+strings.Repeat("  ", strings.Count(s.key, "."))+last+": ") {
			t.Errorf("the example does not show %s", s.key)
		}
	}
	check := runIn(t, folder(t, map[string]string{"supstream.yaml": printed.stdout}), nil, "config", "check")
	if check != (result{exitOK, "configuration ok\n", ""}) {
		t.Errorf("config check of the example: %+v", check)
	}
}

func TestConfigValues(t *testing.T) {
	got, err := loadConfig(t, `
mirror: spejl-2
data_dir: var
catalog: /etc/supstream/catalogue
agreements: aftaler
roles: [capture, project]
postgres: {url: "host=db dbname=dfdg", password_file: pw, slot: s2, publication: "Min publikation"}
nats:
  url: nats://a:4222,tls://b:4222
  monitor: [http://a:8222, https://b:8222]
  credentials: nats.creds
  tls: {ca: ca.pem, cert: c.pem, key: /k.pem}
  replicas: 3
capture:
  batch_events: 10
  batch_bytes: 1MiB
  marker_interval: 1s
  backfill: {chunk_rows: 100, rows_per_second: 5}
projections: {every: 5s, memory: 2MiB, workers: 3, dir: /tmp/p}
outbox: out
http: {listen: ""}
log: {level: debug, format: json}
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Mirror: "spejl-2", DataDir: "var", Catalog: "/etc/supstream/catalogue", Agreements: "aftaler", Roles: []string{"capture", "project"},
		Postgres: Postgres{URL: "host=db dbname=dfdg password='from file'", PasswordFile: "pw", Slot: "s2", Publication: "Min publikation"},
		NATS:     NATS{URL: "nats://a:4222,tls://b:4222", Monitor: []string{"http://a:8222", "https://b:8222"}, Credentials: "nats.creds", TLS: TLS{"ca.pem", "c.pem", "/k.pem"}, Replicas: 3},
		Capture: Capture{BatchEvents: 10, BatchBytes: 1 << 20, MarkerInterval: time.Second,
			Backfill: Backfill{ChunkRows: 100, RowsPerSecond: 5}},
		Projections: Projections{Every: 5 * time.Second, Memory: 2 << 20, Workers: 3, Dir: "/tmp/p"},
		Outbox:      "out", Keys: "var/keys", Log: Log{"debug", "json"},
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %#v\nwant %#v", *got, want)
	}
}

// TestConfigPlaces: relative paths start from the folder of the file, wherever the process runs.
func TestConfigPlaces(t *testing.T) {
	dir := folder(t, map[string]string{"etc/s.yaml": "data_dir: ../var\nagreements: aftaler.yaml\noutbox: /srv/out\n"})
	t.Chdir("/")
	for _, a := range []*app{
		{configFile: filepath.Join(dir, "etc/s.yaml"), getenv: func(string) string { return "" }},
		{getenv: func(name string) string {
			return map[string]string{"SUPSTREAM_CONFIG": filepath.Join(dir, "etc/s.yaml")}[name]
		}},
	} {
		c, err := a.config()
		if err != nil {
			t.Fatal(err)
		}
		got := []string{c.DataDir, c.Agreements, c.Outbox, c.Keys, c.Projections.Dir, c.Catalog}
		want := []string{dir + "/var", dir + "/etc/aftaler.yaml", "/srv/out", dir + "/var/keys", dir + "/var/projections", ""}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	const file = "postgres: {url: postgres://a@file/db, password_file: pw}\nnats: {url: nats://file:4222, monitor: [http://file:8222], credentials: file.creds}\n"
	for _, tc := range []struct {
		name string
		env  map[string]string
		conn string // for pgx
		nats [2]string
	}{
		{"file only", nil, "postgres://a:from%20file@file/db", [2]string{"nats://file:4222", "file.creds"}},
		{"environment", map[string]string{"SUPSTREAM_POSTGRES_URL": "postgresql://b:old@env:1/db?sslmode=require", "SUPSTREAM_POSTGRES_PASSWORD": "p@ss/w",
			"SUPSTREAM_NATS_URL": "nats://env:4222", "SUPSTREAM_NATS_MONITOR": "http://env:8222", "SUPSTREAM_NATS_CREDENTIALS": "env.creds"},
			"postgresql://b:p%40ss%2Fw@env:1/db?sslmode=require", [2]string{"nats://env:4222", "env.creds"}},
		{"keywords", map[string]string{"SUPSTREAM_POSTGRES_URL": "host=x user=y", "SUPSTREAM_POSTGRES_PASSWORD": `it's \`},
			`host=x user=y password='it\'s \\'`, [2]string{"nats://file:4222", "file.creds"}},
	} {
		c, err := loadConfig(t, file, tc.env)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if got := c.Postgres.ConnString(); got != tc.conn {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.conn)
		}
		if got := [2]string{c.NATS.URL, c.NATS.Credentials}; got != tc.nats {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.nats)
		}
	}
	for name, want := range map[string]string{
		"empty": "configuration: postgres.password_file: the first line of empty is empty; it must be the password",
		"none":  "configuration: postgres.password_file: open none: no such file or directory",
	} {
		_, err := loadConfig(t, "mirror: m\n", map[string]string{"SUPSTREAM_POSTGRES_PASSWORD_FILE": name})
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestConfigRefusals(t *testing.T) {
	for _, tc := range []struct{ yaml, want string }{
		{"mirror: m\nslot: x\n", `supstream.yaml:2: unknown key "slot" in the file: want one of agreements, capture, catalog, data_dir, http, keys, log, mirror, nats, outbox, postgres, projections, roles`},
		{"postgres:\n  url:\n", "supstream.yaml:2: url has no value: give one or remove the key"},
		{"postgres:\n  password: hemmelig\n", `supstream.yaml:2: unknown key "password" in postgres: want one of password_file, publication, slot, url`},
		{"capture: {batch_bytes: 4 megabytes}\n", "supstream.yaml:1: batch_bytes: want a size such as 512KiB, 64MiB or 50GiB"},
		{"mirror: M\n\n\ndata_dir: \"\"\n", "supstream.yaml:1: mirror: want 1 to 40 lower-case letters, digits, - and _, beginning with a letter: it is part of every event\n" +
			"supstream.yaml:4: data_dir: must not be empty"},
		{"roles: []\n", "supstream.yaml:1: roles: list at least one of capture, project, serve"},
		{"roles: [capture, capture, project, drive]\n", "supstream.yaml:1: roles: capture is listed twice\nsupstream.yaml:1: roles: unknown role \"drive\": want capture, project, serve"},
		{"roles: [capture]\n", "supstream.yaml:1: roles: the embedded NATS server is inside this process, so capture and project belong together: list both, or set nats.url"},
		{"postgres:\n  url: mysql://x\n  slot: Slot\n  publication: \"\"\n", "supstream.yaml:2: postgres.url: not a connection string: want postgres://user@host:5432/database or host=… dbname=…\n" +
			"supstream.yaml:3: postgres.slot: want 1 to 63 lower-case letters, digits and _\nsupstream.yaml:4: postgres.publication: want a name of 1 to 63 bytes"},
		{"nats:\n  replicas: 3\n  credentials: x\n  tls: {cert: c}\n  monitor: [a:8222]\n", "supstream.yaml:2: nats.replicas: 3 replicas need a cluster: set nats.url\n" +
			"supstream.yaml:3: nats.credentials: is for a cluster: set nats.url, or remove it\n" +
			"supstream.yaml:4: nats.tls.cert: is for a cluster: set nats.url, or remove it\n" +
			"supstream.yaml:4: nats.tls: cert and key belong together\n" +
			"supstream.yaml:5: nats.monitor: want the monitoring address of every server: http://host:8222\n" +
			"supstream.yaml:5: nats.monitor: is for a cluster: set nats.url, or remove it"},
		{"nats:\n  url: http://a\n  replicas: 9\n  embedded: {listen: here}\n", "supstream.yaml:1: nats.monitor: list the monitoring address of every server (http://host:8222): " +
			"there supstream sees that they sync before they acknowledge\n" +
			"supstream.yaml:2: nats.url: want nats://host:4222 or tls://host:4222, several with commas\n" +
			"supstream.yaml:3: nats.replicas: want 1 to 5\n" +
			"supstream.yaml:4: nats.embedded.listen: nats.url names a cluster, so there is no embedded server: remove one of them\n" +
			"supstream.yaml:4: nats.embedded.listen: want host:port, or empty for no port"},
		{"nats: {url: \"nats://me:hemmelig@a:4222\", monitor: [http://a:8222]}\n", "supstream.yaml:1: nats.url: holds a user or password: use nats.credentials or nats.tls instead"},
		{"nats: {embedded: {max_store: 1MiB}}\n", "supstream.yaml:1: nats.embedded.max_store: want 64MiB to 1024TiB"},
		{"capture:\n  batch_events: -1\n  batch_bytes: 1B\n  marker_interval: 2h\n  backfill:\n    chunk_rows: 1000001\n    rows_per_second: -1\n",
			"supstream.yaml:2: capture.batch_events: want 0 to 10000\nsupstream.yaml:3: capture.batch_bytes: want 64KiB to 64MiB\n" +
				"supstream.yaml:4: capture.marker_interval: want 100ms to 1h0m0s\n" +
				"supstream.yaml:6: capture.backfill.chunk_rows: want 0 to 1000000\nsupstream.yaml:7: capture.backfill.rows_per_second: want 0 to 10000000"},
		{"projections:\n  every: 1s\n  memory: 1KiB\n  workers: 65\n", "supstream.yaml:2: projections.every: 1s is shorter than capture.marker_interval (5s): a window closes only at a marker\n" +
			"supstream.yaml:3: projections.memory: want 1MiB to 1TiB\nsupstream.yaml:4: projections.workers: want 1 to 64"},
		{"outbox: data\nkeys: data/k\nagreements: data/a.yaml\n", "supstream.yaml:1: projections.dir: lies inside outbox, which vendors can read: move one of them\n" +
			"supstream.yaml:1: data_dir: lies inside outbox, which vendors can read: move one of them\n" +
			"supstream.yaml:2: keys: lies inside outbox, which vendors can read: move one of them\n" +
			"supstream.yaml:3: agreements: lies inside outbox, which vendors can read: move one of them"},
		{"keys: data/projections\n", "supstream.yaml:1: projections.dir: lies inside keys: move one of them"},
		{"http: {listen: 9464}\nlog: {level: trace, format: xml}\n", "supstream.yaml:1: http.listen: want host:port, or empty for none\n" +
			"supstream.yaml:2: log.level: want debug, info, warn or error\nsupstream.yaml:2: log.format: want text or json"},
	} {
		_, err := loadConfig(t, tc.yaml, nil)
		if want := "configuration: " + tc.want; err == nil || err.Error() != want {
			t.Errorf("%s\ngot\n%v\nwant\n%s", tc.yaml, err, want)
		}
	}
}

// TestSecretsAreNeverPrinted: not by a format verb, not as JSON, not by config show, not in an error.
func TestSecretsAreNeverPrinted(t *testing.T) {
	const secret = "hemmelig7"
	url := "postgres://u:" + secret + "@h/db"
	env := map[string]string{"SUPSTREAM_POSTGRES_URL": url, "SUPSTREAM_POSTGRES_PASSWORD": secret}
	c, err := loadConfig(t, "mirror: m\n", env)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	newLogger(&logged, Log{"info", "json"}).Info("x", "config", c, "url", c.Postgres.URL)
	newLogger(&logged, Log{"info", "text"}).Info("x", "config", *c, "postgres", c.Postgres)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q", *c, *c, *c, c.Postgres.URL, c.Postgres.URL), string(asJSON), logged.String()} {
		if strings.Contains(text, secret) || !strings.Contains(text, "hidden") {
			t.Errorf("secret shown in %s", text)
		}
	}
	got := runIn(t, folder(t, nil), env, "config", "show")
	if got.code != exitOK || strings.Contains(got.stdout+got.stderr, secret) || !strings.Contains(got.stdout, "\npostgres.url: (hidden)\n") {
		t.Errorf("config show: %+v", got)
	}
	for _, bad := range []string{"postgres://u:" + secret + "@h:port/db", "://" + secret, secret + " x"} {
		got := runIn(t, folder(t, nil), map[string]string{"SUPSTREAM_POSTGRES_URL": bad}, "config", "check")
		if got.code != exitInput || strings.Contains(got.stderr, secret) {
			t.Errorf("%s: %+v", bad, got)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{"0B": 0, "1B": 1, "1023B": 1023, "1KiB": 1 << 10, "1025B": 1025, "64MiB": 64 << 20, "3GiB": 3 << 30, "2048TiB": 2048 << 40} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %d, %s, %v", text, got, got, err)
		}
	}
	for text, want := range map[string]Bytes{"1024KiB": 1 << 20, "7 MiB": 7 << 20} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "MiB", "-1B", "1.5GiB", "1MB", "9999999TiB", "99999999999999999999B"} {
		var got Bytes
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s: accepted as %s", text, got)
		}
	}
}

// TestConfigDocument: docs/CONFIG.md has one row per key with the true default, and one per environment variable.
func TestConfigDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/CONFIG.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 && strings.HasPrefix(cells[1], " `") {
			documented[strings.Trim(cells[1], " `")] = strings.Trim(cells[2], " `")
		}
	}
	for _, s := range settings(reflect.ValueOf(defaults()), "") {
		want := s.value
		switch s.key {
		case "outbox", "keys", "projections.dir":
			want = "<data_dir>/" + strings.TrimSuffix(s.key, ".dir")
		}
		if got, ok := documented[s.key]; !ok || got != want {
			t.Errorf("key %s: documented default %q, true default %q", s.key, got, want)
		}
		delete(documented, s.key)
	}
	source, err := os.ReadFile("config.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.FieldsFunc(string(source), func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') }) {
		if strings.HasPrefix(word, "SUPSTREAM_") {
			if _, ok := documented[word]; !ok && !strings.Contains(string(text), "`"+word+"`") {
				t.Errorf("variable %s is not documented", word)
			}
			delete(documented, word)
		}
	}
	for key := range documented {
		t.Errorf("documented, but unknown: %s", key)
	}
}
