package app

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// replica is this installation as its jobs know it from start to start. Its
// name is in a file of the data folder, which a process keeps locked as long as
// it lives: of two that share the folder, the second has no lasting name.
type replica struct {
	name string
	file *os.File
}

func openReplica(data string) (r replica, err error) {
	path := filepath.Join(data, "replica")
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("replica: %w", err), r.close())
		}
	}()
	if r.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return r, err
	}
	if alone, err := lockFile(r.file); err != nil || !alone {
		return r, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	const length = 32
	name := strings.TrimSpace(string(text))
	if raw, err := hex.DecodeString(name); err == nil && len(raw) == length/2 {
		r.name = name
		return r, nil
	}
	raw := make([]byte, length/2)
	if _, err := rand.Read(raw); err != nil {
		return r, err
	}
	name = hex.EncodeToString(raw)
	if err := errors.Join(r.file.Truncate(0), write(r.file, name+"\n"), r.file.Sync()); err != nil {
		return r, err
	}
	r.name = name
	return r, nil
}

func write(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func (r replica) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
