package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"supstream/catalog"
)

// The small catalogue of the tests about bad input: a table of kommuner and a code list, each identified in its own way.
const (
	smallBrugere = `kommune:
  - {code: "101", name: København}
  - {code: "751", name: Aarhus}
akasse:
  - {code: "908", name: Akademikernes}
`
	smallSager = `slug: sager
name: Sager
description: Sager.
version: 1
state: production
audience: [kommune]
sensitivity: almindelig
reported_by: [jobcenter]
frequency: daily
history: all
legal_basis: {chapters: [6]}
link: https://example.org/sager
tables:
  - name: sag
    description: En sag.
    key: [id]
    owners:
      kommune: {column: kommune}
    columns:
      - {name: id, type: bigint, role: pk, description: Sagens nummer.}
      - {name: kommune, type: text, role: kommune_key, description: Kommunens kode.}
      - {name: tekst, type: text, nullable: true, role: free_text, free_text: true, description: Sagens tekst.}
`
	smallKoder = `slug: koder
name: Koder
description: Koder.
version: 1
state: production
audience: [alle]
sensitivity: ikke_person
reported_by: [star]
frequency: weekly
history: all
legal_basis: {none: Opslagsdata uden personoplysninger.}
link: https://example.org/koder
tables:
  - name: kode
    description: En kode.
    key: [kode]
    identity: default
    everybody: true
    columns:
      - {name: kode, type: integer, role: pk, description: Koden.}
      - {name: navn, type: text, role: value, description: Navnet.}
`
	smallAgreements = `opgaveloesere:
  - {id: nordlys, name: Nordlys, kind: leverandoer, cvr: "12345678", contact: drift@nordlys.invalid}
  - {id: intet, name: Intet, kind: leverandoer, cvr: "12345679", contact: drift@intet.invalid}
tilslutningsaftaler:
  - {reference: T-101, bruger: kommune.101, state: active, from: 2026-01-01, bilag: [nordlys, intet]}
databehandleraftaler:
  - {reference: D-nordlys, opgaveloeser: nordlys, bruger: kommune.101, state: active, from: 2026-01-01, confirmed_by: Direktionen}
  - {reference: D-intet, opgaveloeser: intet, bruger: kommune.101, state: active, from: 2026-01-01, confirmed_by: Direktionen}
samarbejdsaftaler:
  - {reference: S-nordlys, opgaveloeser: nordlys, state: active, from: 2026-01-01, formaal: Ledelsesinformation, approved_by: STAR, approved_on: 2025-12-15, dataomraader: [{dataomraade: alle}]}
  - {reference: S-intet, opgaveloeser: intet, state: ended, from: 2026-01-01, formaal: Ledelsesinformation, approved_by: STAR, approved_on: 2025-12-15, dataomraader: [{dataomraade: alle}]}
`
	smallConfig = `data_dir: data
catalog: catalogue
agreements: agreements.yaml
postgres: {slot: %[1]s}
capture: {marker_interval: 200ms}
projections: {every: 2s}
http: {listen: ""}
%[2]s`
)

// smallDDL makes an empty mirror for the small catalogue.
func smallDDL(t testing.TB) string {
	t.Helper()
	c, err := catalog.LoadDir(filepath.Join(smallFolder(t, "s", ""), "catalogue"))
	if err != nil {
		t.Fatal(err)
	}
	return catalog.DDL(c)
}

// smallFolder is a new folder with everything that supstream is given, but for the URL of Postgres.
func smallFolder(t testing.TB, slot, extra string) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, map[string]string{
		"catalogue/brugere.yaml": smallBrugere, "catalogue/sager.yaml": smallSager, "catalogue/koder.yaml": smallKoder,
		"agreements.yaml": smallAgreements, "supstream.yaml": fmt.Sprintf(smallConfig, slot, extra),
	})
	return dir
}

func put(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// outcome is what a command that has ended left behind.
type outcome struct {
	code           int
	stdout, stderr string
}

// supstream runs a command in a folder until it ends by itself, with no environment but what is given.
func supstream(t testing.TB, dir string, env []string, args ...string) outcome {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append([]string{"HOME=" + dir}, env...), &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	if ctx.Err() != nil {
		t.Fatalf("supstream %s did not end:\n%s", strings.Join(args, " "), stderr.String())
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// listing is every file below a folder with its mode and a hash of its content.
func listing(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s", info.Mode(), p)
		if !d.IsDir() {
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %x", sha256.Sum256(text))
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBadFiles: what is wrong in a file that was given is said with file and line, by run and by check, and nothing is touched.
func TestBadFiles(t *testing.T) {
	for _, tc := range []struct{ name, file, old, new, want string }{
		{"configuration, unknown key", "supstream.yaml", "data_dir: data", "data_dirr: data", `supstream: configuration: supstream.yaml:1: unknown key "data_dirr" in the file`},
		{"configuration, impossible value", "supstream.yaml", "200ms", "2ms",
			`supstream: configuration: supstream.yaml:5: capture.marker_interval: want 100ms to 1h0m0s`},
		{"configuration, not YAML", "supstream.yaml", "data_dir: data", "data_dir: [", `supstream: configuration: supstream.yaml:`},
		{"configuration, postgres.url with a password", "supstream.yaml", "{slot: s}", "{slot: s, url: 'postgres://x:hemmelig@[/'}",
			`supstream: configuration: supstream.yaml:4: postgres.url: not a connection string`},
		{"catalogue, unknown key", "catalogue/sager.yaml", "sensitivity:", "sensitivitet:", `supstream: catalogue/sager.yaml:7: unknown key "sensitivitet" in the file`},
		{"catalogue, table twice", "catalogue/koder.yaml", "name: kode\n", "name: sag\n", `supstream: catalogue/sager.yaml:14: `},
		{"catalogue, no description", "catalogue/sager.yaml", ", description: Sagens tekst.", "", `supstream: catalogue/sager.yaml:22: `},
		{"agreements, unknown state", "agreements.yaml", "T-101, bruger: kommune.101, state: active", "T-101, bruger: kommune.101, state: aktiv", `supstream: agreements.yaml:5: `},
		{"agreements, unknown kommune", "agreements.yaml", "T-101, bruger: kommune.101", "T-101, bruger: kommune.999", `supstream: agreements.yaml:5: `},
		{"agreements, unknown dataomraade", "agreements.yaml", "[{dataomraade: alle}]", "[{dataomraade: lager}]", `supstream: agreements.yaml:10: `},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := smallFolder(t, "s", "")
			text, err := os.ReadFile(filepath.Join(dir, tc.file))
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), tc.old, tc.new, 1)
			if changed == string(text) {
				t.Fatalf("%q is not in %s", tc.old, tc.file)
			}
			put(t, dir, map[string]string{tc.file: changed})
			before := listing(t, dir)
			// Nobody listens there: the file must be refused before anybody is asked.
			env := []string{"SUPSTREAM_POSTGRES_URL=postgres://postgres@127.0.0.1:1/x"}
			if strings.Contains(tc.new, "url:") {
				env = nil
			}
			for _, command := range []string{"run", "check"} {
				got := supstream(t, dir, env, command)
				if got.code != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, tc.want) {
					t.Errorf("%s: got %+v\nwant exit code 2 and %s", command, got, tc.want)
				}
				if strings.Contains(got.stderr, "hemmelig") {
					t.Errorf("%s shows the password", command)
				}
			}
			if after := listing(t, dir); after != before {
				t.Errorf("files before:\n%safter:\n%s", before, after)
			}
		})
	}
}
