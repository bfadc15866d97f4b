package secret_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pratique/pratique/internal/secret"
)

func TestBox(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.key")
	box, err := secret.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	sealed := box.Seal("a", []byte("Bearer x"))
	if bytes.Contains(sealed, []byte("Bearer")) || bytes.Equal(sealed, box.Seal("a", []byte("Bearer x"))) {
		t.Error("the secret shows")
	}
	again, err := secret.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open("a", sealed); err != nil || string(got) != "Bearer x" {
		t.Errorf("got %q, %v", got, err)
	}
	other, err := secret.Load(filepath.Join(t.TempDir(), "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another purpose": func() ([]byte, error) { return box.Open("b", sealed) },
		"another key":     func() ([]byte, error) { return other.Open("a", sealed) },
		"changed":         func() ([]byte, error) { return box.Open("a", changed) },
		"nothing":         func() ([]byte, error) { return box.Open("a", nil) },
	} {
		if got, err := open(); !errors.Is(err, secret.ErrKey) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, text := range map[string]string{"no base64": "?", "a short key": "YWJj", "nothing": ""} {
		path := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := secret.Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Processes that start at once agree on one key.
func TestLoadRaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	var group sync.WaitGroup
	boxes := make([]*secret.Box, 8)
	for i := range boxes {
		group.Go(func() {
			var err error
			if boxes[i], err = secret.Load(path); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, box := range boxes[1:] {
		if _, err := box.Open("p", boxes[0].Seal("p", []byte("x"))); err != nil {
			t.Error(err)
		}
	}
}
