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
func pseudonymKey(folder string) ([]byte, error) { return secretKey(folder, "pseudonym.key") }

// ordersToken reads what a command shows to a running process with an order, and makes it when it is not there. It needs no backup.
func ordersToken(folder string) (string, error) {
	key, err := secretKey(folder, "orders.key")
	return hex.EncodeToString(key), err
}

// secretKey reads a secret, and makes it when it is not there.
func secretKey(folder, file string) ([]byte, error) {
	name := filepath.Join(folder, file)
	key, err := readSecretKey(name)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSecretKey(folder, file)
	}
	return key, err
}

// readSecretKey is an error matching fs.ErrNotExist when the file is not there.
func readSecretKey(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", name, info.Mode().Perm())
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != secretKeyLen {
		return nil, fmt.Errorf("%s: want %d hexadecimal digits; restore the file from the backup", name, 2*secretKeyLen)
	}
	return key, nil
}

const secretKeyLen = 32

func makeSecretKey(folder, file string) ([]byte, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make secret: %w", err)
	}
	key := make([]byte, secretKeyLen)
	rand.Read(key) // never fails
	f, err := os.CreateTemp(folder, ".secret-*")
	if err != nil {
		return nil, fmt.Errorf("make secret: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(hex.EncodeToString(key) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		// A link, unlike a rename, does not replace a key that another process made meanwhile.
		err = os.Link(f.Name(), filepath.Join(folder, file))
	}
	if errors.Is(err, fs.ErrExist) {
		return secretKey(folder, file)
	}
	if err != nil {
		return nil, fmt.Errorf("make secret: %w", err)
	}
	return key, nil
}
