package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"supstream/agreements"
	"supstream/catalog"
	"supstream/projections"
	"supstream/sinks"
)

// built is where the tests of this package put the command.
var built string

func TestMain(m *testing.M) {
	var err error
	if built, err = os.MkdirTemp("", "supstream-cmd-test-"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

// demoBinary builds the command once for all tests that need it as a process.
var demoBinary = sync.OnceValues(func() (string, error) {
	name := filepath.Join(built, "supstream")
	if out, err := exec.Command("go", "build", "-o", name, "supstream/cmd/supstream").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build supstream: %w\n%s", err, out)
	}
	return name, nil
})

// demoProcess is a running `supstream demo`.
type demoProcess struct {
	*exec.Cmd
	out  *transcript
	done chan struct{}
}

// transcript collects what a process says and lets a test wait for a part of it.
type transcript struct {
	mu      sync.Mutex // guards text
	text    strings.Builder
	written chan struct{}
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	select {
	case o.written <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func startDemo(t *testing.T, args ...string) *demoProcess {
	t.Helper()
	name, err := demoBinary()
	if err != nil {
		t.Fatal(err)
	}
	p := &demoProcess{Cmd: exec.Command(name, append([]string{"demo"}, args...)...), out: &transcript{written: make(chan struct{}, 1)}, done: make(chan struct{})}
	p.Stdout, p.Stderr = p.out, p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("the demo said:\n%s", p.out)
		}
	})
	return p
}

// await waits until the process has said something that matches and returns the submatches.
func (p *demoProcess) await(ctx context.Context, t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for {
		if m := re.FindStringSubmatch(p.out.String()); m != nil {
			return m
		}
		select {
		case <-p.out.written:
		case <-p.done:
			if m := re.FindStringSubmatch(p.out.String()); m != nil {
				return m
			}
			t.Fatalf("the demo ended and had not said %q", pattern)
		case <-ctx.Done():
			t.Fatalf("the demo has not said %q", pattern)
		}
	}
}

// exit waits for the end and returns the exit code.
func (p *demoProcess) exit(ctx context.Context, t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-ctx.Done():
		t.Fatal("the demo has not ended")
	}
	return p.ProcessState.ExitCode()
}

// openFolder is a folder that Postgres can enter when root runs the test, which it cannot with t.TempDir.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "supstream-demo-test-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestDemo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir := filepath.Join(openFolder(t), "demo")
	p := startDemo(t, "--for", "8s", "--citizens", "300", "--dir", dir)
	if code := p.exit(ctx, t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	said := p.out.String()
	for _, want := range []string{
		`(?m)^ kill -9: .* was killed \(process \d+\) and started again \(process \d+\)`,
		`(?m)^  halvklar +0 +0 +0 +0 +0 +0 B +no grant, no file$`,
		`(?m)^  nordlys +4 +92 +92 +\d+ .* right$`,
		`(?m)^  sygefokus +2 +2 +2 +\d+ .* right$`,
		`(?m)^ +samtaler / samtale +[\d,]+ +0$`,
		`(?m)^  halvklar \(databehandleraftale .*\): no folder$`,
		`(?m)^All holds: 4 vendors, 159 tables of a Bruger, [\d,]+ rows, 0 differences; supstream was killed once on the way`,
	} {
		if !regexp.MustCompile(want).MatchString(said) {
			t.Errorf("it did not say %s", want)
		}
	}
	table, err := os.ReadFile(filepath.Join(dir, demoComparison))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for i, line := range strings.Split(strings.TrimSpace(string(table)), "\n") {
		cells := strings.Split(line, "\t")
		if i == 0 {
			continue
		}
		n, err := strconv.Atoi(cells[4])
		if err != nil || !slices.Equal(cells[5:], []string{"0", "0", "0"}) {
			t.Errorf("comparison: %s", line)
		}
		rows += n
	}
	if rows < 1000 {
		t.Errorf("only %d rows were compared", rows)
	}
	t.Run("a sabotaged folder", func(t *testing.T) { sabotage(ctx, t, dir) })
}

// sabotage spoils the files of a finished demo and expects that each deed is seen.
func sabotage(ctx context.Context, t *testing.T, dir string) {
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	register, err := agreements.LoadPath(filepath.Join(dir, demoAgreementsFile), cat)
	if err != nil {
		t.Fatal(err)
	}
	key, err := sinks.LoadOrCreateKey(filepath.Join(dir, "data/keys/manifest.pem"))
	if err != nil {
		t.Fatal(err)
	}
	reader := &sinks.Reader{Keys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}}
	all := grantedChains(register, cat, time.Now())
	outbox := filepath.Join(dir, demoOutbox)
	problems := func(vendor string) []string {
		t.Helper()
		v := &vendorProof{Opgaveloeser: agreements.Opgaveloeser{ID: vendor}, chains: chainsOf(all, vendor)}
		if err := v.checkFiles(ctx, reader, filepath.Join(outbox, vendor)); err != nil {
			t.Fatal(err)
		}
		return v.problems
	}
	expect := func(what string, got []string, want ...string) {
		t.Helper()
		if len(got) != len(want) {
			t.Errorf("%s: got %q, want %d problems", what, got, len(want))
			return
		}
		for i := range want {
			if !strings.Contains(got[i], want[i]) {
				t.Errorf("%s: got %q, want %q in it", what, got[i], want[i])
			}
		}
	}
	expect("untouched", problems("sygefokus"))
	expect("nobody", problems("halvklar"))

	chain := filepath.Join(outbox, "sygefokus/kommune-101/sygemelding/v1")
	full, err := filepath.Glob(filepath.Join(chain, "*.F.ndjson.zst"))
	if err != nil || len(full) != 1 {
		t.Fatalf("%q, %v", full, err)
	}
	data, err := os.ReadFile(full[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(full[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	expect("one bit", problems("sygefokus"), "its SHA-256 is", "it has no files that are right")

	if err := os.RemoveAll(chain); err != nil {
		t.Fatal(err)
	}
	expect("a chain is gone", problems("sygefokus"), "it has no files that are right")

	if err := os.CopyFS(filepath.Join(outbox, "halvklar"), os.DirFS(filepath.Join(outbox, "aarhus-bi"))); err != nil {
		t.Fatal(err)
	}
	expect("files without a grant", problems("halvklar"), "it has a folder, and no grant")
	left, err := foreign(outbox, all)
	if err != nil || len(left) == 0 || !strings.HasPrefix(left[0], filepath.Join(outbox, "halvklar")) {
		t.Errorf("files of nobody: %d, %v", len(left), err)
	}
}

// TestDemoInterrupted: the first Ctrl-C ends the traffic, and the proof follows. As root, Postgres cannot enter t.TempDir.
func TestDemoInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := startDemo(t, "--citizens", "100", "--dir", t.TempDir())
	p.await(ctx, t, `(?m)^ 00:\d\d +[\d,]+ +[\d,]+ +\S+`)
	p.Process.Signal(os.Interrupt)
	p.await(ctx, t, `(?m)^All holds: .* supstream was killed 0 times`)
	if code := p.exit(ctx, t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestDemoKilled: nothing is left running, however the demo ends.
func TestDemoKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	dir := filepath.Join(openFolder(t), "demo")
	p := startDemo(t, "--citizens", "100", "--dir", dir)
	pid := p.await(ctx, t, `supstream run  process (\d+)`)[1]
	text, err := os.ReadFile(filepath.Join(dir, "postgres/data/postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	postmaster, _, _ := strings.Cut(string(text), "\n")
	p.Process.Kill()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, left := range []string{pid, postmaster} {
		n, err := strconv.Atoi(left)
		if err != nil {
			t.Fatal(err)
		}
		for running(n) {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("process %d is still there", n)
			}
		}
	}
	// What it left is recognised, and replaced by the next demo.
	place, err := takePlace(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer place.close()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%d entries are left, %v", len(left), err)
	}
}

// running tells whether a process is there and not just waiting to be buried.
func running(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err != nil || !strings.HasPrefix(rest, "Z")
}

func TestDemoPlace(t *testing.T) {
	dir := folder(t, map[string]string{"mine/thesis.txt": "words", "fake/" + demoMarker: "something else", "file": ""})
	for name, want := range map[string]string{
		"mine": "demo: %s holds files that no demo made: choose another with --dir",
		"fake": "demo: %s holds files that no demo made: choose another with --dir",
		"file": "demo: %s is not a folder: choose another with --dir",
	} {
		p := filepath.Join(dir, name)
		got := runIn(t, dir, nil, "demo", "--dir", p)
		if want := (result{exitInput, "", "supstream: " + fmt.Sprintf(want, p) + "\n"}); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "mine/thesis.txt")); err != nil || string(text) != "words" {
		t.Errorf("the file of somebody else: %q, %v", text, err)
	}

	ours := filepath.Join(dir, "ours")
	place, err := takePlace(ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := place.write("left.txt", "left"); err != nil {
		t.Fatal(err)
	}
	if _, err := takePlace(ours); err == nil || !strings.Contains(err.Error(), "another demo is running there") {
		t.Errorf("two demos in one folder: %v", err)
	}
	if _, err := os.Stat(place.path("left.txt")); err != nil {
		t.Errorf("the second demo touched the first one's files: %v", err)
	}
	if err := place.close(); err != nil {
		t.Fatal(err)
	}
	again, err := takePlace(ours)
	if err != nil {
		t.Fatal(err)
	}
	defer again.close()
	if _, err := os.Stat(place.path("left.txt")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what the last demo left is still there: %v", err)
	}
}

func TestDemoUsage(t *testing.T) {
	dir := folder(t, nil)
	for _, tc := range []struct{ args, want string }{
		{"--for 10ms", "--for: want at least 1s"},
		{"--for -1s", "--for: want at least 1s"},
		{"--citizens 7", "--citizens: want 100 to 1000000"},
		{"--rate 0", "--rate: want more than 0 and at most 10000 transactions per second"},
		{"--rate NaN", "--rate: want more than 0 and at most 10000 transactions per second"},
		{"now", "unknown command \"now\" for \"supstream demo\""},
	} {
		got := runIn(t, dir, nil, append([]string{"demo"}, strings.Fields(tc.args)...)...)
		if want := (result{exitInput, "", "supstream: " + tc.want + "\nrun supstream demo --help\n"}); got != want {
			t.Errorf("%s: got %+v, want %+v", tc.args, got, want)
		}
	}
}

func TestDemoAgreements(t *testing.T) {
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	register, err := agreements.LoadPath(filepath.Join(folder(t, map[string]string{"a.yaml": demoAgreements}), "a.yaml"), cat)
	if err != nil {
		t.Fatal(err)
	}
	all := grantedChains(register, cat, time.Now())
	got := map[string]string{}
	for _, o := range register.Opgaveloesere() {
		v := vendorProof{chains: chainsOf(all, o.ID)}
		sensitive := 0
		for _, c := range v.chains {
			if area, _ := cat.Dataomraade(c.Dataomraade); area.Sensitivity == catalog.Foelsom {
				sensitive++
			}
		}
		got[o.ID] = fmt.Sprintf("%d chains, %d sensitive, %v", len(v.chains), sensitive, v.brugere())
	}
	for vendor, want := range map[string]string{
		"nordlys":     "92 chains, 0 sensitive, [kommune.101 kommune.461 kommune.751 kommune.851]",
		"medlemsdata": "16 chains, 0 sensitive, [akasse.901]",
		"aarhus-bi":   "25 chains, 2 sensitive, [kommune.751]",
		"sygefokus":   "2 chains, 2 sensitive, [kommune.101 kommune.851]",
		"halvklar":    "0 chains, 0 sensitive, []",
	} {
		if got[vendor] != want {
			t.Errorf("%s: got %s, want %s", vendor, got[vendor], want)
		}
	}
	d := &demo{register: register}
	if got, want := d.whyNot("halvklar"), "databehandleraftale DEMO D-8 is not confirmed by kommune.101 (confirmed_by)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNewestEnd(t *testing.T) {
	const from, to, later = "0000000000000000-00000000", "0000000001A2B3C4-00000000", "0000000001A2B3C5-00000000"
	dir := folder(t, map[string]string{
		"00000001-" + from + "-" + to + ".F.json":           "",
		"00000001-" + from + "-" + to + ".F.ndjson.zst":     "",
		"00000002-" + to + "-" + later + ".D.json":          "",
		"00000003-" + later + "-" + later + ".D.ndjson.zst": "", // no manifest yet
		"notes.json": "",
	})
	got, ok := newestEnd(dir)
	if !ok || got.String() != later {
		t.Errorf("got %s, %v", got, ok)
	}
	if got, ok := newestEnd(filepath.Join(dir, "none")); ok {
		t.Errorf("a folder that is not there ends at %s", got)
	}
}

func TestVerdict(t *testing.T) {
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	table, _ := cat.Table("public", "samtale")
	b := catalog.Bruger{Axis: catalog.Kommune, Kode: "751"}
	good := func() *proof {
		return &proof{files: found{control: 2}, store: found{control: 1}, vendors: []*vendorProof{{
			Opgaveloeser: agreements.Opgaveloeser{ID: "nordlys"}, chains: []projections.Chain{{}},
			tables: []comparison{{vendor: "nordlys", bruger: b, table: table, rows: 10}},
		}}}
	}
	for _, tc := range []struct {
		name  string
		spoil func(*proof)
		want  string
	}{
		{"all holds", func(*proof) {}, ""},
		{"a row differs", func(p *proof) { p.vendors[0].tables[0].different = 1 },
			"nordlys, kommune.751, samtaler samtale: of 10 rows 0 are missing and 1 have other values; 0 rows are too many"},
		{"a row is missing", func(p *proof) { p.vendors[0].tables[0].missing = 3 },
			"nordlys, kommune.751, samtaler samtale: of 10 rows 3 are missing and 0 have other values; 0 rows are too many"},
		{"a row is too many", func(p *proof) { p.vendors[0].tables[0].surplus = 2 },
			"nordlys, kommune.751, samtaler samtale: of 10 rows 0 are missing and 0 have other values; 2 rows are too many"},
		{"a file is wrong", func(p *proof) { p.vendors[0].problems = []string{"x: broken"} }, "nordlys: x: broken"},
		{"a file is nobody's", func(p *proof) { p.foreign = []string{"y"} }, "y: nobody has a grant for this file"},
		{"a text has left", func(p *proof) { p.files.hits = []string{"z"} }, "z: holds what must not leave the mirror"},
		{"a file is damaged", func(p *proof) { p.files.broken = []string{"z.zst"} }, "z.zst: cannot be unpacked"},
		{"the search is blind", func(p *proof) { p.store.control = 0 },
			"the search for what must not leave the mirror did not find what it must find, so it shows nothing"},
		{"nothing was compared", func(p *proof) { p.vendors[0].tables = nil }, "no row was compared, so the comparison shows nothing"},
	} {
		p := good()
		tc.spoil(p)
		got := ""
		if err := p.verdict(); err != nil {
			got = err.Error()
		}
		want := tc.want
		if want != "" {
			want = "demo: it does not hold:\n" + want
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", tc.name, got, want)
		}
	}
}
