package forwarder

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/forwarder/tracking"
	"github.com/intilery/caddy-intilery/internal/seal"
)

// Settings is the configuration of a forwarder. It may be replaced while the
// forwarder runs, except for the options that say otherwise.
type Settings struct {
	// Logger is told what an operator must know. Default: nothing is logged.
	Logger *slog.Logger
	// Version of the library, told to Intilery with each event and request.
	Version string
	// Destinations are where events can go. Names must differ.
	Destinations []Destination
	// DeadLetterBytes bounds the size of the dead letters on disk, for all
	// destinations. Default 64 MiB.
	DeadLetterBytes int64
	// BufferBytes bounds the memory that holds events until they are durable.
	// Default 32 MiB. The first settings count.
	BufferBytes int64
	// FreeSpaceFloor is the free space in bytes below which the log begins no
	// segment. Default 64 MiB. The first settings count.
	FreeSpaceFloor int64
	// Sync says when the log's commits are forced onto the disk. Default
	// SyncGroup. The first settings count.
	Sync SyncPolicy
	// SyncEvery is how often that happens under SyncInterval. Default 1 s.
	// The first settings count.
	SyncEvery time.Duration
	// MaxBytes bounds the log on disk. Default 1 GiB. The first settings count.
	MaxBytes int64
	// MaxAge is how long an event may wait before it is given up. Default 72 h.
	// The first settings count.
	MaxAge time.Duration
	// EncryptionKeys encrypt the queue and the dead letters: 32 bytes each; the
	// first encrypts, any opens. Default: nothing is encrypted. The first settings count.
	EncryptionKeys [][]byte
	// Fleet makes this process a node of a fleet. Default: it delivers what it
	// has captured itself. The first settings count.
	Fleet *fleet.Options

	keyring *seal.Keyring // made of EncryptionKeys; nil without
}

// Bounds of the log's options.
const (
	DefaultMaxBytes = 1 << 30
	MinMaxBytes     = 256 << 20
	DefaultMaxAge   = 72 * time.Hour
	MinMaxAge       = time.Minute
	MinSyncEvery    = 5 * time.Millisecond
	MaxSyncEvery    = time.Minute

	DefaultDeadLetterBytes = 64 << 20
	MinDeadLetterBytes     = 1 << 20
)

// Destination is one brand of one account at Intilery.
type Destination struct {
	// Name identifies the destination, also in the log on disk: under another
	// name its backlog is not found. At most 200 bytes, without a slash.
	Name string
	// Endpoint is the Tracking API's address. Default tracking.DefaultEndpoint.
	Endpoint string
	// ClientID, AccountID (default: ClientID) and BrandID (default: AccountID in
	// upper case) are Intilery's names for who sends.
	ClientID, AccountID, BrandID string
	// Token returns the auth token. It is called before the first request, and
	// again while the destination is paused for a wrong configuration. It may
	// read a file; it must not take longer than a file takes.
	Token func() (string, error)
	// Transport makes the requests. Nil means one that the forwarder makes and
	// closes itself.
	Transport http.RoundTripper
	// Rate is the allowed requests per second. Default 80.
	Rate float64
	// Burst is how many requests may follow each other at once. Default 50.
	Burst int
	// Nodes is the number of servers that share the rate; each takes its part of
	// Rate and Burst. Default 1.
	Nodes int
}

// withDefaults returns the settings with every option set, or an error that
// names the option, its value and what is accepted.
func (s Settings) withDefaults() (Settings, error) {
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.DeadLetterBytes == 0 {
		s.DeadLetterBytes = DefaultDeadLetterBytes
	}
	if s.DeadLetterBytes < MinDeadLetterBytes {
		return s, fmt.Errorf("dead letter size %d bytes: want at least 1 MiB", s.DeadLetterBytes)
	}
	if s.BufferBytes < 0 || (s.BufferBytes > 0 && s.BufferBytes < 1<<20) {
		return s, fmt.Errorf("memory for events %d bytes: want at least 1 MiB", s.BufferBytes)
	}
	if s.FreeSpaceFloor < 0 {
		return s, fmt.Errorf("free space floor %d bytes: want 0 or more", s.FreeSpaceFloor)
	}
	if err := s.completeLog(); err != nil {
		return s, err
	}
	seen := make(map[string]bool, len(s.Destinations))
	list := make([]Destination, len(s.Destinations))
	for i, d := range s.Destinations {
		if err := d.complete(); err != nil {
			return s, fmt.Errorf("destination %q: %w", d.Name, err)
		}
		if seen[d.Name] {
			return s, fmt.Errorf("destination %q: the name is used twice", d.Name)
		}
		seen[d.Name] = true
		list[i] = d
	}
	s.Destinations = list
	return s, nil
}

// completeLog sets and checks the options of the log.
func (s *Settings) completeLog() (err error) {
	if s.SyncEvery == 0 {
		s.SyncEvery = time.Second
	}
	if s.SyncEvery < MinSyncEvery || s.SyncEvery > MaxSyncEvery {
		return fmt.Errorf("sync interval %v: want %v to %v", s.SyncEvery, MinSyncEvery, MaxSyncEvery)
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = DefaultMaxBytes
	}
	if s.MaxBytes < MinMaxBytes {
		return fmt.Errorf("log size %d bytes: want at least 256 MiB", s.MaxBytes)
	}
	if s.MaxAge == 0 {
		s.MaxAge = DefaultMaxAge
	}
	if s.MaxAge < MinMaxAge {
		return fmt.Errorf("age %v: want at least %v", s.MaxAge, MinMaxAge)
	}
	if s.keyring, err = seal.New(s.EncryptionKeys); err != nil || s.Fleet == nil {
		return err
	}
	o := *s.Fleet
	o.MaxAge, o.Keys = s.MaxAge, s.keyring
	o, err = o.WithDefaults()
	s.Fleet = &o
	return err
}

// tellChanges says which options of the settings in force differ from those
// with which the log was made, and wait for a restart.
func (s *Settings) tellChanges(now Settings, log *slog.Logger) {
	for _, o := range []struct {
		option  string
		changed bool
	}{
		{"sync", s.Sync != now.Sync || s.Sync == SyncInterval && s.SyncEvery != now.SyncEvery},
		{"max_size", s.MaxBytes != now.MaxBytes},
		{"max_age", s.MaxAge != now.MaxAge},
		{"encryption_key", !slices.EqualFunc(s.EncryptionKeys, now.EncryptionKeys, bytes.Equal)},
		{"fleet", s.Fleet.Changed(now.Fleet)},
		{"memory for events", s.BufferBytes != now.BufferBytes},
		{"free space floor", s.FreeSpaceFloor != now.FreeSpaceFloor},
	} {
		if o.changed {
			log.Warn("an option of the queue has changed and takes effect when the process is restarted; the old value stays in force", "option", o.option)
		}
	}
}

func (d *Destination) complete() error {
	if d.Name == "" || len(d.Name) > 200 || strings.Contains(d.Name, "/") {
		return errors.New("want a name of 1 to 200 bytes without a slash")
	}
	if d.Token == nil {
		return errors.New("no auth token")
	}
	if d.Rate == 0 {
		d.Rate = DefaultRate
	}
	if d.Burst == 0 {
		d.Burst = DefaultBurst
	}
	if d.Nodes == 0 {
		d.Nodes = 1
	}
	if d.Rate < 0 || math.IsNaN(d.Rate) || math.IsInf(d.Rate, 0) {
		return fmt.Errorf("rate %v: want requests per second above 0", d.Rate)
	}
	if d.Burst < 0 {
		return fmt.Errorf("burst %d: want 1 or more", d.Burst)
	}
	if d.Nodes < 0 {
		return fmt.Errorf("nodes %d: want 1 or more", d.Nodes)
	}
	if d.Endpoint == "" {
		d.Endpoint = tracking.DefaultEndpoint
	}
	_, err := d.client("")
	return err
}

func (d *Destination) client(version string) (*tracking.Client, error) {
	agent := event.LibraryName
	if version != "" {
		agent += "/" + version
	}
	return tracking.New(tracking.Config{
		Endpoint: d.Endpoint, ClientID: d.ClientID, AccountID: d.AccountID, BrandID: d.BrandID,
		UserAgent: agent, Transport: d.Transport,
	})
}

// host is the endpoint's.
func (d *Destination) host() string {
	u, err := url.Parse(d.Endpoint)
	if err != nil {
		return ""
	}
	return u.Host
}
