package seal

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, KeySize) }

func keyring(t *testing.T, keys ...[]byte) *Keyring {
	t.Helper()
	k, err := New(keys)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyring(t *testing.T) {
	one, both, other := keyring(t, key(1)), keyring(t, key(2), key(1)), keyring(t, key(3))
	text, context := []byte("text"), []byte("context")
	sealed, err := one.Seal([]byte("before"), text, context)
	if err != nil || !bytes.HasPrefix(sealed, []byte("before")) || bytes.Contains(sealed, text) {
		t.Fatalf("%q, %v", sealed, err)
	}
	sealed = sealed[len("before"):]
	if len(sealed) != len(text)+Overhead {
		t.Errorf("%d bytes", len(sealed))
	}
	again, _ := one.Seal(nil, text, context)
	if bytes.Equal(again, sealed) {
		t.Error("the same twice")
	}
	for _, k := range []*Keyring{one, both} {
		if got, err := k.Open([]byte("x"), sealed, context); err != nil || string(got) != "xtext" {
			t.Errorf("%q, %v", got, err)
		}
		if !k.Has(sealed) || !k.HasID(one.SealingID()) {
			t.Error("the key is not known")
		}
	}
	for _, k := range []*Keyring{other, nil} {
		if _, err := k.Open(nil, sealed, context); !errors.Is(err, ErrKey) {
			t.Errorf("another key: %v", err)
		}
		if k.Has(sealed) || k.HasID(one.SealingID()) || !k.HasID("") {
			t.Error("another key passes for the right one")
		}
	}
	if _, err := one.Open(nil, sealed, []byte("other")); !errors.Is(err, ErrDamaged) {
		t.Errorf("another context: %v", err)
	}
	for i := idSize; i < len(sealed); i++ {
		sealed[i] ^= 1
		if _, err := one.Open(nil, sealed, context); !errors.Is(err, ErrDamaged) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		sealed[i] ^= 1
		if _, err := one.Open(nil, sealed[:i], context); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d: %v", i, err)
		}
	}
	if _, err := New([][]byte{key(1), key(2)[:31]}); err == nil || !strings.Contains(err.Error(), "key 2 has 31 bytes") {
		t.Errorf("a short key: %v", err)
	}
}
