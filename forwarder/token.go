package forwarder

import (
	"errors"
	"strings"
	"sync"
)

// token caches a destination's auth token, so that a file is not read for each
// request. It is read at first use and when asked to.
type token struct {
	mu    sync.Mutex
	read  func() (string, error)
	known bool
	value string
	err   error
}

// source sets where the token comes from and forgets the present one.
func (t *token) source(read func() (string, error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.read, t.known = read, false
}

// get returns the token.
func (t *token) get() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known {
		t.load()
	}
	return t.value, t.err
}

// refresh reads the token again and reports whether it is another one.
func (t *token) refresh() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	value, known := t.value, t.known
	t.load()
	return t.err == nil && (!known || t.value != value)
}

func (t *token) load() {
	t.value, t.err = t.read()
	t.value = strings.TrimSpace(t.value) // files end with a line break
	if t.err == nil && t.value == "" {
		t.err = errors.New("auth token is empty")
	}
	t.known = true
}
