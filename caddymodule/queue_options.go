package caddymodule

import (
	"fmt"
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

// provisionQueue checks the options of the log and the dead letters.
func (a *App) provisionQueue(repl *caddy.Replacer) error {
	o := &a.options
	switch a.Sync {
	case "", "group":
	case "interval":
		o.Sync = forwarder.SyncInterval
	case "os":
		o.Sync = forwarder.SyncOS
	default:
		return fmt.Errorf("sync: %q is not accepted; use group, interval <duration> or os", a.Sync)
	}
	if a.SyncInterval != 0 && a.Sync != "interval" {
		return fmt.Errorf("sync_interval: %v is of no use with sync %q; use it with interval", time.Duration(a.SyncInterval), a.Sync)
	}
	o.SyncEvery = time.Duration(a.SyncInterval)
	if o.SyncEvery != 0 && (o.SyncEvery < forwarder.MinSyncEvery || o.SyncEvery > forwarder.MaxSyncEvery) {
		return fmt.Errorf("sync: interval %v is not accepted; use %v to %v", o.SyncEvery, forwarder.MinSyncEvery, forwarder.MaxSyncEvery)
	}
	if o.MaxBytes = a.MaxSize; o.MaxBytes != 0 && o.MaxBytes < forwarder.MinMaxBytes {
		return fmt.Errorf("max_size: %d bytes are not accepted; use 256MiB or more", o.MaxBytes)
	}
	if o.MaxAge = time.Duration(a.MaxAge); o.MaxAge != 0 && o.MaxAge < forwarder.MinMaxAge {
		return fmt.Errorf("max_age: %v is not accepted; use 1m or more", o.MaxAge)
	}
	if o.DeadLetterBytes = a.DeadLettersSize; o.DeadLetterBytes != 0 && o.DeadLetterBytes < forwarder.MinDeadLetterBytes {
		return fmt.Errorf("dead_letters_size: %d bytes are not accepted; use 1MiB or more", o.DeadLetterBytes)
	}
	keys, err := decodeKeys(a.EncryptionKeys, repl)
	if err != nil {
		return fmt.Errorf("encryption_key: %w", err)
	}
	o.EncryptionKeys = keys
	return nil
}

// unmarshalQueue reads one option of the data directory. It may stand in one
// block only, or be the same in each.
func (a *App) unmarshalQueue(d *caddyfile.Dispenser) error {
	switch option := d.Val(); option {
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
		if err != nil || age <= 0 {
			return d.Errf("max_age: %q is not accepted; use a duration such as 72h or 3d", text)
		}
		return once(d, option, &a.MaxAge, caddy.Duration(age))
	default: // encryption_key
		keys := d.RemainingArgs()
		if len(keys) == 0 {
			return d.Errf("encryption_key: no value; use one or more keys of 32 bytes as base64, newest first")
		}
		if len(a.EncryptionKeys) > 0 {
			return d.Errf("encryption_key: given in an earlier block; all destinations share them")
		}
		a.EncryptionKeys = keys
		return nil
	}
}

func (a *App) unmarshalSync(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	var interval time.Duration
	switch {
	case len(args) == 1 && (args[0] == "group" || args[0] == "os"):
	case len(args) == 2 && args[0] == "interval":
		var err error
		if interval, err = caddy.ParseDuration(args[1]); err != nil || interval <= 0 {
			return d.Errf("sync: interval %q is not accepted; use a duration from 5ms to 1m", args[1])
		}
	default:
		return d.Errf("sync: %q is not accepted; use group, interval <duration> or os", strings.Join(args, " "))
	}
	if err := once(d, "sync", &a.Sync, args[0]); err != nil {
		return err
	}
	return once(d, "sync interval", &a.SyncInterval, caddy.Duration(interval))
}

// size reads an option that is a number of bytes.
func size(d *caddyfile.Dispenser, value *int64) error {
	option := d.Val()
	var text string
	if err := argument(d, &text); err != nil {
		return err
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > 1<<62 {
		return d.Errf("%s: %q is not accepted; use a number of bytes such as 512MiB or 2GiB", option, text)
	}
	return once(d, option, value, int64(n))
}

// once sets a value that no earlier block has set otherwise.
func once[T comparable](d *caddyfile.Dispenser, option string, value *T, to T) error {
	var unset T
	if *value != unset && *value != to {
		return d.Errf("%s: differs from an earlier block; all destinations share one", option)
	}
	*value = to
	return nil
}
