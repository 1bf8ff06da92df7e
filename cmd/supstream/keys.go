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
	name := filepath.Join(folder, "pseudonym.key")
	key, err := readPseudonymKey(name)
	if errors.Is(err, fs.ErrNotExist) {
		return makePseudonymKey(folder, name)
	}
	return key, err
}

// readPseudonymKey is an error matching fs.ErrNotExist when the file is not there.
func readPseudonymKey(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read key of pseudonyms: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", name, info.Mode().Perm())
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read key of pseudonyms: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != pseudonymKeyLen {
		return nil, fmt.Errorf("%s: want %d hexadecimal digits; restore the file from the backup", name, 2*pseudonymKeyLen)
	}
	return key, nil
}

const pseudonymKeyLen = 32

func makePseudonymKey(folder, name string) ([]byte, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make key of pseudonyms: %w", err)
	}
	key := make([]byte, pseudonymKeyLen)
	rand.Read(key) // never fails
	f, err := os.CreateTemp(folder, ".pseudonym-*")
	if err != nil {
		return nil, fmt.Errorf("make key of pseudonyms: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		// A link, unlike a rename, does not replace a key that another process made meanwhile.
		err = os.Link(f.Name(), name)
	}
	if errors.Is(err, fs.ErrExist) {
		return pseudonymKey(folder)
	}
	if err != nil {
		return nil, fmt.Errorf("make key of pseudonyms: %w", err)
	}
	return key, nil
}
