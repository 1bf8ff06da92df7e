package pgtest

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the user that Postgres runs as.
type account struct {
	uid, gid uint32
	switched bool // not the user of this process: processes are started with other credentials, files are given away
}

// findAccount returns the user of this process or, for root, an unprivileged one.
func findAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("user %s: user id is not a number: %w", name, err)
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("user %s: group id is not a number: %w", name, err)
		}
		return account{uid: uint32(uid), gid: uint32(gid), switched: true}, nil
	}
	return account{}, fmt.Errorf("postgres does not run as root, and there is no user postgres or nobody to run it as; create one or run as an ordinary user")
}

func (a account) attributes() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setsid: true} // a Ctrl-C in the terminal is for us to handle, not for the server
	if a.switched {
		attr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
	return attr
}

// give makes the account the owner of path.
func (a account) give(path string) error {
	if !a.switched {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// mayEnter reports whether the account may pass through dir and all its parents.
func (a account) mayEnter(dir string) bool {
	if !a.switched {
		return true
	}
	for {
		info, err := os.Stat(dir)
		if err != nil || !a.has(info, 1) {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

// has reports whether the permission bit (4 read, 2 write, 1 enter) holds for the account.
func (a account) has(info fs.FileInfo, bit fs.FileMode) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return false
	case st.Uid == a.uid:
		bit <<= 6
	case st.Gid == a.gid:
		bit <<= 3
	}
	return info.Mode().Perm()&bit != 0
}

// tempRoot is a directory for temporary files that the account can reach.
func (a account) tempRoot() (string, error) {
	for _, dir := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if a.mayEnter(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("temporary directory %s: %w; set TMPDIR to one that everybody may enter", os.TempDir(), ErrUnreachable)
}
