package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Mode is a way to shut down.
type Mode uint8

const (
	Fast      Mode = iota + 1 // connections are ended, a checkpoint is written; waits for replication clients to confirm
	Immediate                 // like a crash: the next start recovers from the WAL
)

// Server is one Postgres server. Its methods may be called from several goroutines.
type Server struct {
	opts  Options
	in    installation
	root  string
	temp  bool // root is removed by Close
	inUse *os.File
	port  port

	mu   sync.Mutex // guards proc and opts.Settings; held while the server starts or stops
	proc *process
}

// Start makes a server and returns when it takes connections. The caller must call Close.
// ctx bounds the start only; the server goes on when it ends.
func Start(ctx context.Context, opts Options) (*Server, error) {
	s, err := prepare(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("prepare a postgres server: %w", err)
	}
	for {
		err = s.Start(ctx)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
		s.port.release()
		if s.port, err = takePort(); err != nil {
			break
		}
	}
	return nil, errors.Join(err, s.Close())
}

// prepare makes the files of a server.
func prepare(ctx context.Context, opts Options) (_ *Server, err error) {
	s := &Server{opts: opts}
	s.opts.Settings = maps.Clone(opts.Settings)
	if s.in.bin = opts.Bin; s.in.bin == "" {
		if s.in.bin, err = FindBin(); err != nil {
			return nil, err
		}
	} else if !complete(s.in.bin) {
		return nil, fmt.Errorf("%s does not hold both initdb and postgres", s.in.bin)
	}
	if s.in.account, err = findAccount(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	temp, err := s.in.account.tempRoot()
	if err != nil {
		return nil, err
	}
	if opts.Dir == "" {
		sweep(temp)
		s.temp = true
		s.root, err = os.MkdirTemp(temp, "supstream-pg-")
	} else {
		s.root, err = opts.Dir, os.MkdirAll(opts.Dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	if !filepath.IsAbs(s.root) {
		return nil, fmt.Errorf("%s is not an absolute path", s.root)
	}
	if err = s.in.account.give(s.root); err != nil {
		return nil, err
	}
	if !s.in.account.mayEnter(s.root) {
		return nil, fmt.Errorf("%s: %w; choose another place or run as an ordinary user", s.root, ErrUnreachable)
	}
	if s.inUse, err = lock(s.root); err != nil {
		return nil, err
	}
	if s.port, err = takePort(); err != nil {
		return nil, err
	}
	if err = s.makeData(ctx, temp); err != nil {
		return nil, err
	}
	return s, nil
}

// makeData makes the data directory unless there is one.
func (s *Server) makeData(ctx context.Context, temp string) error {
	data := filepath.Join(s.root, dataDir)
	if _, err := os.Stat(filepath.Join(data, configFile)); err == nil {
		return nil
	}
	if err := os.RemoveAll(data); err != nil { // left by an interrupted initdb: the settings file is written last
		return err
	}
	if s.temp && !s.opts.OwnIdentity {
		template, err := s.in.template(ctx, temp)
		if err != nil {
			return err
		}
		if err := s.in.copyTree(filepath.Join(template, dataDir), data); err != nil {
			return fmt.Errorf("copy the template of a data directory: %w", err)
		}
	} else if err := s.in.initdb(ctx, s.root); err != nil {
		return err
	}
	if err := s.in.newDir(filepath.Join(s.root, socketDir)); err != nil {
		return err
	}
	// The settings file is included by postgresql.conf, so it must exist before the server runs in any mode.
	if err := s.writeConfig(); err != nil {
		return err
	}
	if s.opts.Password != "" {
		if err := s.in.setPassword(ctx, s.root, s.opts.Password); err != nil {
			return errors.Join(err, os.RemoveAll(data)) // never taken into use without it
		}
	}
	return nil
}

func (s *Server) writeConfig() error {
	path, socket := filepath.Join(s.root, dataDir, configFile), ""
	if s.opts.Socket {
		socket = filepath.Join(s.root, socketDir)
	}
	if err := os.WriteFile(path, []byte(s.opts.config(s.port.number, socket)), 0o600); err != nil {
		return err
	}
	return s.in.account.give(path)
}

var errPortTaken = errors.New("port is taken")

// Start starts a stopped or killed server again, on the same port and data, and returns when it takes connections.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running() {
		return ErrRunning
	}
	if err := s.writeConfig(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	log, err := os.OpenFile(s.Log(), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	// The context must not end the server: it bounds the start only.
	cmd := s.in.command(context.WithoutCancel(ctx), s.root, "postgres", "-D", filepath.Join(s.root, dataDir))
	cmd.Stdout, cmd.Stderr = log, log
	proc, err := run(cmd)
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	if err := s.waitReady(ctx, proc); err != nil {
		if !proc.ended() {
			err = errors.Join(err, proc.kill())
		}
		said := logAfter(s.Log(), info.Size())
		if strings.Contains(said, "could not bind") {
			err = errors.Join(err, errPortTaken)
		}
		return fmt.Errorf("start postgres: %w; its log says: %s", err, said)
	}
	s.proc = proc
	return nil
}

// waitReady watches the postmaster's own file, as pg_ctl does: its eighth line says "ready".
func (s *Server) waitReady(ctx context.Context, proc *process) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(filepath.Join(s.root, dataDir, "postmaster.pid"))
		lines := strings.Split(string(b), "\n")
		if err == nil && len(lines) > 7 && lines[0] == strconv.Itoa(proc.pid) && strings.TrimSpace(lines[7]) == "ready" {
			return nil
		}
		select {
		case <-proc.done:
			return fmt.Errorf("it ended at once: %w", errors.Join(proc.err, ErrStopped))
		case <-ctx.Done():
			return fmt.Errorf("it was not ready in time: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// logAfter is what the log says after an offset, without the noise, in one line of at most about 2,000 bytes.
func logAfter(path string, offset int64) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	b = bytes.TrimSpace(b[min(int(offset), len(b)):])
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return strings.ReplaceAll(string(b), "\n", " | ")
}

func (s *Server) running() bool { return s.proc != nil && !s.proc.ended() }

// Stop shuts down and returns when the server has ended. It returns ErrStopped when it was not running.
// A fast shutdown that takes more than a minute (a replication client that does not confirm) is an error, and the server goes on shutting down.
func (s *Server) Stop(mode Mode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return ErrStopped
	}
	sig := syscall.SIGINT
	if mode == Immediate {
		sig = syscall.SIGQUIT
	}
	if err := syscall.Kill(s.proc.pid, sig); err != nil && !s.proc.ended() {
		return fmt.Errorf("stop postgres: %w", err)
	}
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	select {
	case <-s.proc.done:
		return nil
	case <-timeout.C:
		return fmt.Errorf("stop postgres: it did not end within a minute; see %s", s.Log())
	}
}

// Kill ends the postmaster and all its children with SIGKILL and returns when they are gone. It returns ErrStopped when it was not running.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return ErrStopped
	}
	return s.proc.kill()
}

// Configure changes settings from the next start on; an empty value takes a setting back to its default.
func (s *Server) Configure(settings map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.Settings == nil {
		s.opts.Settings = map[string]string{}
	}
	for k, v := range settings {
		if v == "" {
			delete(s.opts.Settings, k)
		} else {
			s.opts.Settings[k] = v
		}
	}
}

// Close kills the server and removes its temporary directory. It may be called again.
func (s *Server) Close() error {
	err := s.Kill()
	if errors.Is(err, ErrStopped) {
		err = nil
	}
	if s.temp && s.root != "" {
		err = errors.Join(err, os.RemoveAll(s.root))
	}
	if s.inUse != nil {
		s.inUse.Close()
	}
	s.port.release()
	return err
}

// URL is the connection URL of a database.
func (s *Server) URL(db string) string {
	return s.url(db, "127.0.0.1:"+strconv.Itoa(s.port.number), "sslmode=disable")
}

// SocketURL is the connection URL of a database over the Unix socket; the server needs Options.Socket.
func (s *Server) SocketURL(db string) string {
	return s.url(db, "", url.Values{"host": {filepath.Join(s.root, socketDir)}, "port": {strconv.Itoa(s.port.number)}}.Encode())
}

func (s *Server) url(db, host, query string) string {
	u := url.URL{Scheme: "postgres", User: url.User(Superuser), Host: host, Path: "/" + db, RawQuery: query}
	if s.opts.Password != "" {
		u.User = url.UserPassword(Superuser, s.opts.Password)
	}
	return u.String()
}

// PID is the process id of the postmaster, 0 when it does not run.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running() {
		return 0
	}
	return s.proc.pid
}

// Port is the TCP port on 127.0.0.1. It never changes.
func (s *Server) Port() int { return s.port.number }

// DataDir is the data directory.
func (s *Server) DataDir() string { return filepath.Join(s.root, dataDir) }

// Log is the path of the server's log file.
func (s *Server) Log() string { return filepath.Join(s.root, logFile) }

// Program is the path of a program of this Postgres version, e.g. "pg_recvlogical".
func (s *Server) Program(name string) string { return filepath.Join(s.in.bin, name) }

// Connect opens a connection to a database. The caller closes it.
func (s *Server) Connect(ctx context.Context, db string) (*pgx.Conn, error) {
	return pgx.Connect(ctx, s.URL(db))
}

// CreateDatabase makes an empty database. The name may be anything.
func (s *Server) CreateDatabase(ctx context.Context, name string) error {
	return s.Exec(ctx, "postgres", "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}

// Exec runs one or more statements in a database over a connection of its own. Several statements run as one transaction.
func (s *Server) Exec(ctx context.Context, db, sql string) error {
	conn, err := s.Connect(ctx, db)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// Query runs one statement over a connection of its own and returns all values as Postgres writes them; null is "".
func (s *Server) Query(ctx context.Context, db, sql string) ([][]string, error) {
	conn, err := s.Connect(ctx, db)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 {
		return nil, err
	}
	last := results[len(results)-1]
	rows := make([][]string, len(last.Rows))
	for i, row := range last.Rows {
		for _, value := range row {
			rows[i] = append(rows[i], string(value))
		}
	}
	return rows, nil
}
