package pgtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"supstream/internal/pgtest"
)

func value(t *testing.T, s *pgtest.Server, db, sql string) string {
	t.Helper()
	rows, err := s.Query(t.Context(), db, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		t.Fatalf("%s: got %v, want one value", sql, rows)
	}
	return rows[0][0]
}

func TestDefaults(t *testing.T) {
	s := pgtest.New(t)
	for name, want := range map[string]string{
		"wal_level": "logical", "fsync": "on", "server_encoding": "UTF8", "lc_collate": "C.UTF-8", "TimeZone": "UTC",
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": strconv.Itoa(s.Port()),
	} {
		if got := value(t, s, "postgres", "SHOW "+name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if _, err := s.Query(t.Context(), "postgres", "SELECT pg_create_logical_replication_slot('s','pgoutput')"); err != nil {
		t.Errorf("logical decoding does not work: %v", err)
	}
}

func TestDatabaseWithOddName(t *testing.T) {
	s := pgtest.New(t)
	const name = `Fælles "grundlag"/1`
	if err := s.CreateDatabase(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if got := value(t, s, name, "SELECT current_database()"); got != name {
		t.Errorf("connected to %q, want %q", got, name)
	}
}

func TestSettingsAndSocket(t *testing.T) {
	s := pgtest.NewWith(t, pgtest.Options{Settings: map[string]string{"wal_level": "replica"}, NoSync: true, Socket: true})
	if got := value(t, s, "postgres", "SHOW wal_level") + " " + value(t, s, "postgres", "SHOW fsync"); got != "replica off" {
		t.Errorf("got %q, want %q", got, "replica off")
	}
	conn, err := pgconn.Connect(t.Context(), s.SocketURL("postgres"))
	if err != nil {
		t.Fatalf("connect over the socket: %v", err)
	}
	conn.Close(t.Context())

	if err := s.Stop(pgtest.Fast); err != nil {
		t.Fatal(err)
	}
	s.Configure(map[string]string{"wal_level": ""})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := value(t, s, "postgres", "SHOW wal_level"); got != "logical" {
		t.Errorf("wal_level = %q after it went back to its default, want logical", got)
	}
}

func TestPassword(t *testing.T) {
	s := pgtest.NewWith(t, pgtest.Options{Password: "it's æ secret"})
	if got := value(t, s, "postgres", "SELECT 1"); got != "1" {
		t.Errorf("got %q with the right password", got)
	}
	_, err := pgconn.Connect(t.Context(), strings.Replace(s.URL("postgres"), "secret", "guess", 1))
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Errorf("wrong password: got %v, want code 28P01", err)
	}
}

func TestSurvives(t *testing.T) {
	for name, end := range map[string]func(*pgtest.Server) error{
		"fast":      func(s *pgtest.Server) error { return s.Stop(pgtest.Fast) },
		"immediate": func(s *pgtest.Server) error { return s.Stop(pgtest.Immediate) },
		"kill":      (*pgtest.Server).Kill,
	} {
		t.Run(name, func(t *testing.T) {
			s := pgtest.New(t)
			url := s.URL("postgres")
			if err := s.Exec(t.Context(), "postgres", "CREATE TABLE kept(i int); INSERT INTO kept SELECT generate_series(1,1000)"); err != nil {
				t.Fatal(err)
			}
			conn, err := s.Connect(t.Context(), "postgres") // a backend that must go too
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			if s.PID() != 0 {
				t.Error("it still has a process id")
			}
			if err := conn.Ping(t.Context()); err == nil {
				t.Error("its connection still answers")
			}
			if err := s.Kill(); !errors.Is(err, pgtest.ErrStopped) {
				t.Errorf("kill a stopped server: got %v, want ErrStopped", err)
			}
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s.URL("postgres") != url {
				t.Errorf("it moved from %s to %s", url, s.URL("postgres"))
			}
			if got := value(t, s, "postgres", "SELECT count(*) FROM kept"); got != "1000" {
				t.Errorf("%s rows survived, want 1000", got)
			}
			if err := s.Start(t.Context()); !errors.Is(err, pgtest.ErrRunning) {
				t.Errorf("start a running server: got %v, want ErrRunning", err)
			}
		})
	}
}

func TestSeveralServers(t *testing.T) {
	a, b := pgtest.New(t), pgtest.NewWith(t, pgtest.Options{OwnIdentity: true})
	if a.Port() == b.Port() {
		t.Errorf("both have port %d", a.Port())
	}
	const identity = "SELECT system_identifier FROM pg_control_system()"
	if x := value(t, a, "postgres", identity); x == value(t, b, "postgres", identity) {
		t.Errorf("both have the system identifier %s", x)
	}
}

func TestDirIsKept(t *testing.T) {
	dir := reachableDir(t)
	s, err := pgtest.Start(t.Context(), pgtest.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), "postgres", "CREATE TABLE kept(i int)"); err != nil {
		t.Fatal(err)
	}
	if _, err := pgtest.Start(t.Context(), pgtest.Options{Dir: dir}); err == nil {
		t.Error("a directory was used by two servers")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = pgtest.NewWith(t, pgtest.Options{Dir: dir})
	if got := value(t, s, "postgres", "SELECT to_regclass('kept')"); got != "kept" {
		t.Errorf("got %q, want the table kept", got)
	}
}

func TestBadStart(t *testing.T) {
	for name, c := range map[string]struct {
		opts pgtest.Options
		want string
	}{
		"setting":  {pgtest.Options{Settings: map[string]string{"wal_level": "wrong"}}, `invalid value for parameter "wal_level"`},
		"binaries": {pgtest.Options{Bin: "/nowhere"}, "/nowhere does not hold both initdb and postgres"},
		"relative": {pgtest.Options{Dir: "."}, ". is not an absolute path"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := pgtest.Start(t.Context(), c.opts)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestNotInstalled(t *testing.T) {
	t.Setenv("PG_BIN", t.TempDir())
	if _, err := pgtest.FindBin(); err == nil || !strings.Contains(err.Error(), "PG_BIN") {
		t.Errorf("got %v, want an error that names PG_BIN", err)
	}
	if !strings.Contains(pgtest.ErrNotInstalled.Error(), "apt-get install --no-install-recommends postgresql") {
		t.Error("the message does not say how to install")
	}
}

func TestRootCannotReach(t *testing.T) {
	if os.Geteuid() != 0 {
		return // an ordinary user runs Postgres as itself and reaches what it made
	}
	closed := filepath.Join(reachableDir(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := pgtest.Start(t.Context(), pgtest.Options{Dir: filepath.Join(closed, "pg")}); !errors.Is(err, pgtest.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
}

// TestOrdinaryUser runs TestSurvives once more as an ordinary user when the tests run as root.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // all tests of this package run as an ordinary user already
	}
	out, err := childTest(t, "TestSurvives|TestDirIsKept").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("as an ordinary user: %v\n%s", err, out)
	}
}

// TestEndsWithItsProcess kills a process that runs a server and expects the server to end.
func TestEndsWithItsProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // promised on Linux only
	}
	cmd := childTest(t, "TestChildWaits")
	cmd.Env = append(cmd.Environ(), childWaits+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	var url string
	if _, err := fmt.Fscanf(out, "url %s\n", &url); err != nil {
		t.Fatalf("the child did not say where its server is: %v", err)
	}
	conn, err := pgconn.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := conn.WaitForNotification(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the server goes on 20 s after its parent was killed: %v", err)
	}
}

// childWaits is the environment variable that makes TestChildWaits do so.
const childWaits = "PGTEST_CHILD_WAITS"

// TestChildWaits is the child of TestEndsWithItsProcess.
func TestChildWaits(t *testing.T) {
	if os.Getenv(childWaits) == "" {
		return
	}
	s := pgtest.New(t)
	fmt.Printf("url %s\n", s.URL("postgres"))
	select {}
}

// childTest is a command that runs tests of this package in another process, as an ordinary user.
func childTest(t *testing.T, tests string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := reachableDir(t)
	program := filepath.Join(dir, "pgtest.test")
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run", "^("+tests+")$")
	cmd.Dir = dir
	if os.Geteuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	return cmd
}

// reachableDir is a temporary directory that every user may enter, also when those of the testing package are closed.
func reachableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgtest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
