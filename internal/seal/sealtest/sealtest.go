// Package sealtest makes keyrings for tests.
package sealtest

import (
	"bytes"
	"testing"

	"github.com/intilery/caddy-intilery/internal/seal"
)

// Keyring returns a keyring of one key for each number: the same number makes the
// same key.
func Keyring(t testing.TB, numbers ...byte) *seal.Keyring {
	t.Helper()
	var keys [][]byte
	for _, n := range numbers {
		keys = append(keys, bytes.Repeat([]byte{n}, seal.KeySize))
	}
	k, err := seal.New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
