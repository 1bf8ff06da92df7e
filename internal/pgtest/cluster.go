package pgtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	dataDir    = "data"
	socketDir  = "s" // short: the path of a socket is limited to about 100 bytes
	logFile    = "postgres.log"
	lockFile   = "in-use"
	configFile = "supstream.conf"
)

// installation is a Postgres version together with the user it runs as.
type installation struct {
	bin     string
	account account
}

func (in installation) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(in.bin, program), args...)
	cmd.Dir = dir
	cmd.SysProcAttr = in.account.attributes()
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "HOME=" + dir} // nothing of the caller's PG* settings
	return cmd
}

// initdb makes a data directory at root/data.
func (in installation) initdb(ctx context.Context, root string) error {
	locale := "C.UTF-8"
	if runtime.GOOS == "darwin" {
		locale = "C"
	}
	cmd := in.command(ctx, root, "initdb", "--pgdata="+filepath.Join(root, dataDir), "--username="+Superuser,
		"--locale="+locale, "--encoding=UTF8", "--auth=trust")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	f, err := os.OpenFile(filepath.Join(root, dataDir, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	_, err = fmt.Fprintf(f, "\ninclude '%s'\n", configFile)
	return errors.Join(err, f.Close())
}

// newDir makes a directory of that name in parent which belongs to the account.
func (in installation) newDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return in.account.give(path)
}

// template returns a directory that holds a fresh data directory for this installation. It is made once per machine and user.
func (in installation) template(ctx context.Context, temp string) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(in.bin, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("postgres --version: %w", err)
	}
	id := sha256.Sum256(fmt.Appendf(nil, "1 %s %s", in.bin, out))
	dir := filepath.Join(temp, fmt.Sprintf("supstream-pgtemplate-%d-%x", in.account.uid, id[:4]))
	if in.ownsTemplate(dir) {
		return dir, nil
	}
	made, err := os.MkdirTemp(temp, "supstream-pginit-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(made)
	if err := in.account.give(made); err != nil {
		return "", err
	}
	if err := in.initdb(ctx, made); err != nil {
		return "", err
	}
	if err := os.Rename(made, dir); err != nil && !in.ownsTemplate(dir) { // another process may have been faster
		return "", fmt.Errorf("keep the template of a data directory: %w", err)
	}
	return dir, nil
}

// ownsTemplate reports whether dir is a finished template that nobody else could have put there.
func (in installation) ownsTemplate(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != in.account.uid {
		return false
	}
	_, err = os.Stat(filepath.Join(dir, dataDir, "PG_VERSION"))
	return err == nil
}

// copyTree copies the files of a stopped server and gives them to the account.
func (in installation) copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() {
			err = os.Mkdir(target, info.Mode().Perm())
		} else {
			err = copyFile(path, target, info.Mode().Perm())
		}
		if err != nil {
			return err
		}
		return in.account.give(target)
	})
}

func copyFile(from, to string, mode fs.FileMode) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// setPassword gives Superuser the password and makes the stopped server ask for it.
func (in installation) setPassword(ctx context.Context, root, password string) error {
	data := filepath.Join(root, dataDir)
	cmd := in.command(ctx, root, "postgres", "--single", "-D", data, "postgres")
	cmd.Stdin = strings.NewReader("ALTER ROLE " + Superuser + " PASSWORD '" + strings.ReplaceAll(password, "'", "''") + "'\n")
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("ERROR:")) {
		return fmt.Errorf("set the password: %w: %s", errors.Join(err, errors.New("statement failed")), bytes.TrimSpace(out))
	}
	const hba = "local all all scram-sha-256\nlocal replication all scram-sha-256\n" +
		"host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
	return os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(hba), 0o600)
}

// lock marks root as used by this process until the file is closed or the process ends.
func lock(root string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(root, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another process: %w", root, err)
	}
	return f, nil
}

// sweep removes what killed processes left behind. A directory younger than a minute may be about to be locked.
func sweep(temp string) {
	left, _ := filepath.Glob(filepath.Join(temp, "supstream-pg-*"))
	for _, root := range left {
		info, err := os.Lstat(root)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		f, err := lock(root)
		if err != nil {
			continue
		}
		os.RemoveAll(root) // best effort: another user's directory stays
		f.Close()
	}
}
