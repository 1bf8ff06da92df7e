package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// pseudonymKey reads the secret of the row keys' hashes, and makes it at the first start. With another secret the same row has another
// pseudonym, so the file belongs into the backup.
func pseudonymKey(folder string) ([]byte, error) {
	return secretFile{folder, "pseudonym.key", "key of pseudonyms"}.get()
}

// adminToken reads the token that requests below /admin/ show, and makes it at the first start. Whoever can read the file may give orders.
func adminToken(dataDir string) (string, error) {
	token, err := secretFile{dataDir, "admin.token", "admin token"}.get()
	return hex.EncodeToString(token), err
}

// readAdminToken is an error matching fs.ErrNotExist when no process has made it.
func readAdminToken(dataDir string) (string, error) {
	token, err := secretFile{dataDir, "admin.token", "admin token"}.read()
	return hex.EncodeToString(token), err
}

// secretFile holds random bytes that only its owner can read.
type secretFile struct{ folder, file, what string }

const secretLen = 32

func (s secretFile) name() string { return filepath.Join(s.folder, s.file) }

// get reads the file, and makes it when it is not there.
func (s secretFile) get() ([]byte, error) {
	secret, err := s.read()
	if errors.Is(err, fs.ErrNotExist) {
		return s.make()
	}
	return secret, err
}

func (s secretFile) read() ([]byte, error) {
	info, err := os.Stat(s.name())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.what, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", s.name(), info.Mode().Perm())
	}
	text, err := os.ReadFile(s.name())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.what, err)
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) != secretLen {
		return nil, fmt.Errorf("%s: want %d hexadecimal digits; restore the file from the backup", s.name(), 2*secretLen)
	}
	return secret, nil
}

func (s secretFile) make() ([]byte, error) {
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", s.what, err)
	}
	secret := make([]byte, secretLen)
	rand.Read(secret) // never fails
	f, err := os.CreateTemp(s.folder, ".secret-*")
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", s.what, err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(secret) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		// A link, unlike a rename, does not replace one that another process made meanwhile.
		err = os.Link(f.Name(), s.name())
	}
	if errors.Is(err, fs.ErrExist) {
		return s.get()
	}
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", s.what, err)
	}
	return secret, nil
}
