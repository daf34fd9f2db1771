package caddymodule

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/intilery/caddy-intilery/forwarder"
)

// queueOptions are the options of the data directory, which all destinations
// share.
var queueOptions = []string{"sync", "max_size", "max_age", "encryption_key", "dead_letters_size"}

// syncPolicies are the values of sync.
var syncPolicies = map[string]forwarder.SyncPolicy{
	"group":    forwarder.SyncGroup,
	"interval": forwarder.SyncInterval,
	"os":       forwarder.SyncOS,
}

const syncAccepted = "group, interval <duration> or os"

// queueLimits are the bounds of the options that are a duration or a number of
// bytes.
var queueLimits = map[string]struct{ min, max int64 }{
	"sync interval":     {int64(forwarder.MinSyncEvery), int64(forwarder.MaxSyncEvery)},
	"max_age":           {int64(forwarder.MinMaxAge), math.MaxInt64},
	"max_size":          {forwarder.MinMaxBytes, math.MaxInt64},
	"dead_letters_size": {forwarder.MinDeadLetterBytes, math.MaxInt64},
}

// checkQueue checks one of them, and names it as it is written.
func checkQueue(option string, n int64, written any) error {
	limits := queueLimits[option]
	if n >= limits.min && n <= limits.max {
		return nil
	}
	switch option {
	case "sync interval":
		return notAccepted(option, written, fmt.Sprintf("%v to %v", forwarder.MinSyncEvery, forwarder.MaxSyncEvery))
	case "max_age":
		return notAccepted(option, written, fmt.Sprintf("%v or more, such as 72h or 3d", forwarder.MinMaxAge))
	default:
		return notAccepted(option, written, humanize.IBytes(uint64(limits.min))+" or more")
	}
}

// provisionQueue checks the options of the log and the dead letters, of which 0 is
// the default.
func (a *App) provisionQueue(repl *caddy.Replacer) error {
	o := &a.options
	if a.Sync != "" {
		var known bool
		if o.Sync, known = syncPolicies[a.Sync]; !known {
			return notAccepted("sync", a.Sync, syncAccepted)
		}
	}
	if a.SyncInterval != 0 && a.Sync != "interval" {
		return fmt.Errorf("sync_interval: %v has no effect with sync %q; use it with interval", time.Duration(a.SyncInterval), a.Sync)
	}
	for _, given := range []struct {
		option  string
		n       int64
		written any
	}{
		{"sync interval", int64(a.SyncInterval), time.Duration(a.SyncInterval)},
		{"max_age", int64(a.MaxAge), time.Duration(a.MaxAge)},
		{"max_size", a.MaxSize, a.MaxSize},
		{"dead_letters_size", a.DeadLettersSize, a.DeadLettersSize},
	} {
		if given.n == 0 {
			continue
		}
		if err := checkQueue(given.option, given.n, given.written); err != nil {
			return err
		}
	}
	o.SyncEvery, o.MaxAge = time.Duration(a.SyncInterval), time.Duration(a.MaxAge)
	o.MaxBytes, o.DeadLetterBytes = a.MaxSize, a.DeadLettersSize
	keys, err := decodeKeys(a.EncryptionKeys, repl)
	if err != nil {
		return fmt.Errorf("encryption_key: %w", err)
	}
	o.EncryptionKeys = keys
	return nil
}

// unmarshalQueue reads one option of the data directory.
func (a *App) unmarshalQueue(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "sync":
		return a.unmarshalSync(d)
	case "max_size":
		return size(d, &a.MaxSize)
	case "dead_letters_size":
		return size(d, &a.DeadLettersSize)
	case "max_age":
		var text string
		if err := argument(d, &text); err != nil {
			return err
		}
		age, err := caddy.ParseDuration(text)
		if err != nil {
			age = 0
		}
		if err := checkQueue("max_age", int64(age), text); err != nil {
			return d.WrapErr(err)
		}
		return shared(d, "max_age", &a.MaxAge, caddy.Duration(age))
	default: // encryption_key
		return unmarshalKeys(d, &a.EncryptionKeys)
	}
}

func (a *App) unmarshalSync(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	var interval time.Duration
	switch {
	case len(args) == 1 && (args[0] == "group" || args[0] == "os"):
	case len(args) == 2 && args[0] == "interval":
		var err error
		if interval, err = caddy.ParseDuration(args[1]); err != nil {
			interval = 0
		}
		if err := checkQueue("sync interval", int64(interval), args[1]); err != nil {
			return d.WrapErr(err)
		}
	default:
		return d.WrapErr(notAccepted("sync", strings.Join(args, " "), syncAccepted))
	}
	if err := shared(d, "sync", &a.Sync, args[0]); err != nil {
		return err
	}
	return shared(d, "sync interval", &a.SyncInterval, caddy.Duration(interval))
}

// size reads an option that is a number of bytes.
func size(d *caddyfile.Dispenser, value *int64) error {
	option := d.Val()
	var text string
	if err := argument(d, &text); err != nil {
		return err
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		n = 0
	}
	if err := checkQueue(option, int64(n), text); err != nil {
		return d.WrapErr(err)
	}
	return shared(d, option, value, int64(n))
}

// unmarshalKeys reads keys of 32 bytes.
func unmarshalKeys(d *caddyfile.Dispenser, keys *[]string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.Errf("%s: no value; use one or more keys of 32 bytes as base64, newest first", option)
	}
	for i, arg := range args {
		if hasPlaceholder(arg) {
			continue
		}
		if _, err := decodeKey(i+1, arg); err != nil {
			return d.Errf("%s: %w", option, err)
		}
	}
	if len(*keys) > 0 {
		return d.Errf("%s: given in an earlier block; all destinations share them", option)
	}
	*keys = args
	return nil
}

// shared sets an option that all destinations share: it may stand in one block
// only, or be the same in each.
func shared[T comparable](d *caddyfile.Dispenser, option string, value *T, to T) error {
	var unset T
	if *value != unset && *value != to {
		return d.Errf("%s: differs from an earlier block; all destinations share one", option)
	}
	*value = to
	return nil
}
