package main

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"supstream/agreements"
	"supstream/catalog"
	"supstream/internal/yamlfile"
)

// configExample is the commented configuration that `config example` prints. Except where it says so, its values are the defaults.
//
//go:embed config.example.yaml
var configExample string

// defaultConfigFile is read when it is there and no other file was named.
const defaultConfigFile = "supstream.yaml"

// Config is everything that can be set. docs/CONFIG.md describes each key; the yaml names are part of that contract. Paths in a loaded Config
// are ready for use: relative ones have been joined with the folder of the file.
type Config struct {
	Mirror      string      `yaml:"mirror"`     // names the mirror in the source of events
	DataDir     string      `yaml:"data_dir"`   // everything that supstream writes, unless a key below says otherwise
	Catalog     string      `yaml:"catalog"`    // folder; empty: the shipped catalogue
	Agreements  string      `yaml:"agreements"` // file or folder; empty: nobody gets anything
	Roles       []string    `yaml:"roles"`
	Postgres    Postgres    `yaml:"postgres"`
	NATS        NATS        `yaml:"nats"`
	Capture     Capture     `yaml:"capture"`
	Projections Projections `yaml:"projections"`
	Reconcile   Reconcile   `yaml:"reconcile"`
	Outbox      string      `yaml:"outbox"` // folder of the delta files
	Keys        string      `yaml:"keys"`   // folder of the signing keys
	HTTP        HTTP        `yaml:"http"`
	Log         Log         `yaml:"log"`
}

// Postgres is the mirror to read from.
type Postgres struct {
	URL          Secret `yaml:"url"`           // in a loaded Config with the password from elsewhere in it
	PasswordFile string `yaml:"password_file"` // first line is the password
	Slot         string `yaml:"slot"`
	Publication  string `yaml:"publication"`
}

// NATS is where events go: the server inside this process, or a cluster.
type NATS struct {
	URL         string   `yaml:"url"`     // empty: embedded; several servers with commas
	Monitor     []string `yaml:"monitor"` // http address of every server, where sync_interval can be seen
	Credentials string   `yaml:"credentials"`
	TLS         TLS      `yaml:"tls"`
	Replicas    int      `yaml:"replicas"`
	Embedded    Embedded `yaml:"embedded"`
}

// TLS are files in PEM form for a NATS cluster.
type TLS struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Embedded is the NATS server inside this process. Its store is <data_dir>/nats.
type Embedded struct {
	Listen   string `yaml:"listen"`    // host:port; empty: no port is opened
	MaxStore Bytes  `yaml:"max_store"` // 0: three quarters of the free space
}

// Capture is the way from Postgres to the streams.
type Capture struct {
	BatchEvents    int           `yaml:"batch_events"` // 0: what suits the server
	BatchBytes     Bytes         `yaml:"batch_bytes"`
	Linger         time.Duration `yaml:"linger"`
	MarkerInterval time.Duration `yaml:"marker_interval"`
	Backfill       Backfill      `yaml:"backfill"`
}

// Backfill is how existing rows are read.
type Backfill struct {
	ChunkRows     int `yaml:"chunk_rows"`      // 0: as many as a batch takes
	RowsPerSecond int `yaml:"rows_per_second"` // 0: as fast as it goes
}

// Projections is the way from the streams to files.
type Projections struct {
	Every   time.Duration `yaml:"every"` // 0: the schedule of each dataomraade
	Memory  Bytes         `yaml:"memory"`
	Workers int           `yaml:"workers"`
	Dir     string        `yaml:"dir"`
}

// Reconcile compares the mirror with what receivers have.
type Reconcile struct {
	At string `yaml:"at"` // "03:00", every day, Danish time; empty: only when asked
}

// HTTP serves metrics, health and status.
type HTTP struct {
	Listen string `yaml:"listen"` // host:port; empty: off
}

// Log is what goes to standard error.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// defaults are the values of every key that the file does not have. Folders left empty are placed under data_dir by place.
func defaults() Config {
	return Config{
		Mirror:   "dfdg",
		DataDir:  "./data",
		Roles:    []string{roleCapture, roleProject, roleServe},
		Postgres: Postgres{Slot: "supstream", Publication: "supstream"},
		NATS:     NATS{Replicas: 1},
		Capture: Capture{
			BatchBytes:     4 << 20,
			Linger:         time.Second,
			MarkerInterval: 5 * time.Second,
		},
		Projections: Projections{Memory: 64 << 20, Workers: 2},
		HTTP:        HTTP{Listen: "127.0.0.1:9464"},
		Log:         Log{Level: "info", Format: "text"},
	}
}

// config reads the configuration of this run: defaults, then the file, then the environment, then the flags of every command. change, when
// given, puts a command's own flags over it before the result is checked. Every error is bad input.
func (a *app) config(change ...func(*Config)) (*Config, error) {
	c := defaults()
	name, text, err := a.configText()
	if err != nil {
		return nil, badInput(err)
	}
	var doc *yamlfile.Document
	if name != "" {
		if doc, err = yamlfile.Decode(name, text, &c); err != nil {
			return nil, badInput(fmt.Errorf("configuration: %w", err))
		}
	}
	c.place(filepath.Dir(name))
	if err := c.environment(a.getenv); err != nil {
		return nil, badInput(fmt.Errorf("configuration: %w", err))
	}
	c.Log.Level = cmp.Or(a.logLevel, c.Log.Level)
	c.Log.Format = cmp.Or(a.logFormat, c.Log.Format)
	for _, f := range change {
		f(&c)
	}
	if err := c.check(doc); err != nil {
		return nil, badInput(fmt.Errorf("configuration: %w", err))
	}
	return &c, nil
}

// configText is the name and content of the configuration file; the name is empty when there is none.
func (a *app) configText() (string, []byte, error) {
	name := cmp.Or(a.configFile, a.getenv("SUPSTREAM_CONFIG"))
	optional := name == ""
	name = cmp.Or(name, defaultConfigFile)
	text, err := os.ReadFile(name)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("read configuration: %w", err)
	}
	return name, text, nil
}

// place puts the folders that were left empty under data_dir, and joins relative paths with the folder of the file.
func (c *Config) place(base string) {
	if c.DataDir != "" {
		c.DataDir = under(base, c.DataDir)
	}
	for _, p := range []struct {
		path *string
		name string
	}{{&c.Outbox, "outbox"}, {&c.Keys, "keys"}, {&c.Projections.Dir, "projections"}} {
		if *p.path == "" {
			*p.path = filepath.Join(c.DataDir, p.name)
		} else {
			*p.path = under(base, *p.path)
		}
	}
	for _, p := range []*string{&c.Catalog, &c.Agreements, &c.Postgres.PasswordFile, &c.NATS.Credentials, &c.NATS.TLS.CA, &c.NATS.TLS.Cert, &c.NATS.TLS.Key} {
		if *p != "" {
			*p = under(base, *p)
		}
	}
}

func under(base, p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(base, p)
}

// environment puts the variables of docs/CONFIG.md over the file. A password from a variable or a file becomes part of the URL.
func (c *Config) environment(getenv func(string) string) error {
	var password string
	for _, v := range []struct {
		name string
		set  func(string)
	}{
		{"SUPSTREAM_POSTGRES_URL", func(s string) { c.Postgres.URL = Secret(s) }},
		{"SUPSTREAM_POSTGRES_PASSWORD", func(s string) { password = s }},
		{"SUPSTREAM_POSTGRES_PASSWORD_FILE", func(s string) { c.Postgres.PasswordFile = s }},
		{"SUPSTREAM_NATS_URL", func(s string) { c.NATS.URL = s }},
		{"SUPSTREAM_NATS_MONITOR", func(s string) { c.NATS.Monitor = strings.Split(s, ",") }},
		{"SUPSTREAM_NATS_CREDENTIALS", func(s string) { c.NATS.Credentials = s }},
	} {
		if s := getenv(v.name); s != "" {
			v.set(s)
		}
	}
	if c.Postgres.PasswordFile != "" && password == "" {
		text, err := os.ReadFile(c.Postgres.PasswordFile)
		if err != nil {
			return fmt.Errorf("postgres.password_file: %w", err)
		}
		password, _, _ = strings.Cut(string(text), "\n")
		if password = strings.TrimSuffix(password, "\r"); password == "" {
			return fmt.Errorf("postgres.password_file: the first line of %s is empty; it must be the password", c.Postgres.PasswordFile)
		}
	}
	c.Postgres.URL = withPassword(c.Postgres.URL, password)
	return nil
}

// withPassword puts a password into a connection string of either form, over the one that it may have.
func withPassword(conn Secret, password string) Secret {
	if conn == "" || password == "" {
		return conn
	}
	if u, err := url.Parse(string(conn)); err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") {
		u.User = url.UserPassword(u.User.Username(), password)
		return Secret(u.String())
	}
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password)
	return conn + Secret(" password='"+quoted+"'")
}

// ConnString is the URL in the clear, for pgx. It must not be printed.
func (p Postgres) ConnString() string { return string(p.URL) }

// catalog is the catalogue in folder, or the shipped one when folder is empty.
func (a *app) catalog(folder string) (*catalog.Catalog, error) {
	if folder == "" {
		return catalog.Default()
	}
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is a file; a catalogue is a folder with one file per dataomraade", folder)
	}
	if err != nil {
		return nil, badInput(fmt.Errorf("read catalogue: %w", err))
	}
	c, err := catalog.LoadDir(folder)
	return c, badInput(err)
}

// agreements is the register at a path. Without one nobody has access to anything.
func (a *app) agreements(name string, c *catalog.Catalog) (*agreements.Register, error) {
	if name == "" {
		return agreements.None(c), nil
	}
	r, err := agreements.LoadPath(name, c)
	return r, badInput(err)
}
