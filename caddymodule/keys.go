package caddymodule

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/cookie"
)

// keeperKeysFile is where the keeper's keys are in Caddy's storage: one key of
// 32 bytes a line as base64, the newest first. The first seals; all open. To
// rotate, put a new line on top and reload with --force.
const keeperKeysFile = "intilery_keeper/keys"

// loadKeys reads the keys that a server of the fleet has made. It returns
// fs.ErrNotExist when none has.
func loadKeys(ctx context.Context, storage certmagic.Storage) (*cookie.Keyring, error) {
	text, err := storage.Load(ctx, keeperKeysFile)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, string(line))
		}
	}
	ring, err := parseKeys(lines)
	if err != nil {
		return nil, fmt.Errorf("%s in Caddy's storage: %w", keeperKeysFile, err)
	}
	return ring, nil
}

// parseKeys builds the keyring of base64 lines, in either alphabet.
func parseKeys(lines []string) (*cookie.Keyring, error) {
	keys, err := decodeKeys(lines, nil)
	if err != nil {
		return nil, err
	}
	return cookie.NewKeyring(keys...)
}

// decodeKeys returns keys of 32 bytes that are given as base64, in either
// alphabet, or as placeholders for it when there is a replacer. No error holds
// a key.
func decodeKeys(lines []string, repl *caddy.Replacer) ([][]byte, error) {
	var keys [][]byte
	for i, line := range lines {
		if repl != nil {
			var err error
			if line, err = repl.ReplaceOrErr(line, true, true); err != nil {
				return nil, fmt.Errorf("key %d: %w; use 32 bytes as base64, or {file./path} of a file with them", i+1, err)
			}
		}
		key, err := decodeKey(i+1, line)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func decodeKey(number int, text string) ([]byte, error) {
	key, ok := reserved.DecodeBase64(strings.TrimSpace(text))
	if !ok || len(key) != 32 {
		return nil, fmt.Errorf("key %d is not 32 bytes as base64; make one with: openssl rand -base64 32", number)
	}
	return key, nil
}

// makeKeys makes the first key under the storage's lock, so that a fleet that
// starts at once agrees on one.
func makeKeys(ctx context.Context, storage certmagic.Storage) (*cookie.Keyring, error) {
	if err := storage.Lock(ctx, keeperKeysFile); err != nil {
		return nil, fmt.Errorf("locking %s: %w", keeperKeysFile, err)
	}
	defer storage.Unlock(context.WithoutCancel(ctx), keeperKeysFile) //nolint:errcheck // it expires by itself
	ring, err := loadKeys(ctx, storage)
	if !errors.Is(err, fs.ErrNotExist) {
		return ring, err
	}
	key, err := cookie.NewKey()
	if err != nil {
		return nil, err
	}
	line := base64.StdEncoding.EncodeToString(key) + "\n"
	if err := storage.Store(ctx, keeperKeysFile, []byte(line)); err != nil {
		return nil, fmt.Errorf("storing %s: %w", keeperKeysFile, err)
	}
	return cookie.NewKeyring(key)
}

// Bounds of the wait for a key at start, and between tries afterwards.
const (
	keyWait      = 2 * time.Second
	keyRetry     = 5 * time.Second
	keyLoadLimit = 2 * time.Second
)
