package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/collect/tag"
	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what the sites share: the destinations that events go to, the
// durable queue between, and the key that seals the keeper cookie.
//
// It emits these Caddy events, for the handlers of the app `events`. Their data is
// in the placeholders `{event.data.*}`:
//
// Event | Data | When
// ------|------|-----
// `intilery_destination_paused` | `destination`, `reason`, `since` | nothing is sent to a destination any more, or for another reason than before
// `intilery_destination_recovered` | `destination`, and the `reason` and `since` of the pause | a destination is sent to again
// `intilery_events_lost` | `destination`, empty where it is not known; `cause`; `count` since the last such event | events were lost, or given up for want of room; at most once a minute for each destination and cause
// `intilery_fleet_node_lost` | `node`, `backlog`, `since` | another node of the fleet is gone and has events that only it can hand over
// `intilery_fleet_apart` | `node`, `reason`, `since` | this node has been cut off from its fleet for some seconds
// `intilery_fleet_rejoined` | `node`, and the `reason` and `since` of when it was apart | this node takes part again
//
// The state is looked at every 5 s: a shorter pause is not emitted.
type App struct {
	// The directory of the queue's write-ahead log and dead letters, shared by
	// all destinations. It must be on a local disk and belongs to one Caddy
	// process at a time. Placeholders are replaced. Default: `intilery` in
	// Caddy's data directory.
	DataDir string `json:"data_dir,omitempty"`

	// The keys that seal the keeper cookie: 32 bytes each, as base64. The
	// first seals, all open, so a new key is put in front and the old one
	// kept for as long as cookies live (400 days). Placeholders are replaced;
	// use {file.*} to keep them out of the configuration. Default: one key
	// that is made once and kept in Caddy's storage, where a fleet shares it.
	KeeperKeys []string `json:"keeper_keys,omitempty"`

	// When the log's commits are forced onto the disk. `group`: with each group
	// of events, so that a loss of power costs what the last milliseconds
	// brought. `interval`: every `sync_interval`, which a loss of power costs
	// then. `os`: when the operating system does, about 30 s on Linux. A crash
	// of Caddy costs the same with all three. A change takes effect when Caddy
	// is restarted. Default: `group`.
	Sync string `json:"sync,omitempty"`

	// The interval of `sync` `interval`, 5ms to 1m. Default: 1s.
	SyncInterval caddy.Duration `json:"sync_interval,omitempty"`

	// How many bytes of disk the log may take, at least 256 MiB. Near it, page
	// events are refused first, then all that browsers have sent to a collection
	// endpoint, then tracks, identifies of the app never; then the oldest
	// part of the log is given up. All that goes is counted. A change takes
	// effect when Caddy is restarted. Default: 1 GiB.
	MaxSize int64 `json:"max_size,omitempty"`

	// How long an event may wait for Intilery before it is given up and
	// counted, at least 1m. A change takes effect when Caddy is restarted.
	// Default: 72h.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// The keys that encrypt the log and the dead letters on disk: 32 bytes each,
	// as base64. The first encrypts, any of them decrypts, so a new key is put in
	// front and the old one kept for as long as events wait (`max_age`) and dead letters
	// are kept. Placeholders are replaced; use {file.*} to keep them out of
	// the configuration. With a wrong key nothing is sent or touched, events
	// are buffered in memory, and the log says so. A change takes effect when
	// Caddy is restarted. Default: nothing is encrypted.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	// How many bytes of disk the dead letters may take, at least 1 MiB. The
	// oldest go first and are counted. Default: 64 MiB.
	DeadLettersSize int64 `json:"dead_letters_size,omitempty"`

	// Makes this server a node of a fleet that delivers by way of NATS JetStream.
	// A change takes effect when Caddy is restarted. Default: none; the server sends
	// what it has captured itself.
	Fleet *Fleet `json:"fleet,omitempty"`

	// The destinations by name. Sites without a name use `default`.
	Destinations map[string]*Destination `json:"destinations,omitempty"`

	// The names of destinations by the value of a site's `destination`
	// placeholder, such as a host, without regard to case. Placeholders are
	// replaced. The key `default` stands for all other values. Default: a value
	// is itself the name of a destination.
	Map map[string]string `json:"map,omitempty"`

	ctx     caddy.Context
	logger  *zap.Logger
	storage certmagic.Storage
	queue   pooled
	options forwarder.Settings // of queue
	dir     string             // of queue, once taken
	keys    atomic.Pointer[cookie.Keyring]
	events  *caddyevents.App
	started startSignal
	tags    []*tag.Server // of the sites, to be started
	cancel  context.CancelFunc
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "intilery",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision checks the options and takes a reference to the queue, without
// opening it: `caddy validate` gets no further than this.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger, a.storage = ctx, ctx.Logger(), ctx.Storage()
	if err := a.provisionEvents(); err != nil {
		return err
	}
	repl := caddy.NewReplacer()
	for name, d := range a.Destinations {
		if err := d.provision(name, repl, a.logger); err != nil {
			return err
		}
	}
	if err := a.provisionMap(repl); err != nil {
		return err
	}
	dir, err := a.dataDir(repl)
	if err != nil {
		return err
	}
	if err := a.provisionKeys(repl); err != nil {
		return err
	}
	if err := a.provisionQueue(repl); err != nil {
		return err
	}
	if err := a.provisionFleet(repl); err != nil {
		return err
	}
	if a.queue, err = takeQueue(dir); err != nil {
		return err
	}
	a.dir = dir
	return registerMetrics(ctx.GetMetricsRegistry(), queueCollector{})
}

// dataDir returns the absolute path of the queue's directory.
func (a *App) dataDir(repl *caddy.Replacer) (string, error) {
	dir := a.DataDir
	if dir == "" {
		dir = filepath.Join(caddy.AppDataDir(), "intilery")
	}
	dir, err := repl.ReplaceOrErr(dir, true, true)
	if err != nil {
		return "", fmt.Errorf("data_dir %s: %w; use a path, or a placeholder such as {env.NAME} that has a value", a.DataDir, err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", fmt.Errorf("data_dir %s: %w", a.DataDir, err)
	}
	return dir, nil
}

// provisionMap replaces placeholders and checks that the destinations are there.
func (a *App) provisionMap(repl *caddy.Replacer) error {
	written := a.Map
	a.Map = make(map[string]string, len(written))
	for value, name := range written {
		for _, text := range []*string{&value, &name} {
			if err := replace(repl, "map", text); err != nil {
				return err
			}
		}
		value = strings.ToLower(value)
		if _, ok := a.Destinations[name]; !ok {
			return fmt.Errorf("map: destination %q of %q is not configured; use one of %s", name, value, a.names())
		}
		if _, twice := a.Map[value]; twice {
			return fmt.Errorf("map: %q is given twice", value)
		}
		a.Map[value] = name
	}
	return nil
}

// provisionKeys takes the keys from the configuration, or reads them from the
// storage if they are there already. A storage out of reach is no error: the
// site serves, and Start goes on trying.
func (a *App) provisionKeys(repl *caddy.Replacer) error {
	if len(a.KeeperKeys) == 0 {
		ctx, cancel := context.WithTimeout(a.ctx, keyLoadLimit)
		defer cancel()
		if ring, err := loadKeys(ctx, a.storage); err == nil {
			a.keys.Store(ring)
		}
		return nil
	}
	keys, err := decodeKeys(a.KeeperKeys, repl)
	if err != nil {
		return fmt.Errorf("keeper_keys: %w", err)
	}
	ring, err := cookie.NewKeyring(keys...)
	if err != nil {
		return fmt.Errorf("keeper_keys: %w", err)
	}
	a.keys.Store(ring)
	return nil
}

// Start begins delivery. The queue opens in the background, so that a slow or
// broken disk never delays the site.
func (a *App) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	if a.keys.Load() == nil {
		ready := make(chan struct{})
		go a.awaitKeys(ctx, ready)
		select {
		case <-ready:
		case <-time.After(keyWait):
		}
	}
	settings := a.options
	settings.Logger, settings.Version = a.ctx.Slogger(), version()
	for name, d := range a.Destinations {
		settings.Destinations = append(settings.Destinations, d.settings(name))
	}
	if err := a.queue.Start(a, settings); err != nil {
		cancel() // Stop is not called
		return err
	}
	a.queue.history.Start(a.queue.look)
	for _, t := range a.tags {
		t.Start()
	}
	go a.tellStart(ctx, a.dir)
	go a.watch(ctx)
	return nil
}

// awaitKeys makes or reads the keeper's key, and tries again until it has one.
// Until then visitors are known by their readable cookie only, and no new
// anonymousId is made.
func (a *App) awaitKeys(ctx context.Context, ready chan<- struct{}) {
	logged := false
	for {
		ring, err := makeKeys(ctx, a.storage)
		if err == nil {
			a.keys.Store(ring)
			close(ready)
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !logged {
			logged = true
			a.logger.Error("the keeper cookie's key cannot be read or made in Caddy's storage; sites are served, "+
				"new visitors get no cookie until it can; repair the storage, or set keeper_keys",
				zap.Bool("missing", errors.Is(err, fs.ErrNotExist)), zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(keyRetry):
		}
	}
}

// Stop ends delivery for this configuration. A configuration that has already
// taken over goes on; what is not sent stays in the log.
func (a *App) Stop() error {
	if a.cancel != nil {
		a.cancel()
	}
	a.queue.Stop(a)
	return nil
}

// Cleanup gives the queue back; the last one out closes it.
func (a *App) Cleanup() error {
	if a.dir == "" {
		return nil
	}
	dir := a.dir
	a.dir = ""
	return releaseQueue(dir)
}

// resolve returns the destination that a site means by name.
func (a *App) resolve(name string) (string, error) {
	if len(a.Destinations) == 0 {
		return "", errors.New("no destination is configured; add to the global options: " +
			"intilery { client_id <id>; auth_token {file./path/to/token} }, one option a line")
	}
	if name == "" {
		if _, ok := a.Destinations[defaultDestination]; !ok && len(a.Destinations) == 1 {
			for only := range a.Destinations {
				return only, nil
			}
		}
		name = defaultDestination
	}
	if _, ok := a.Destinations[name]; !ok {
		return "", fmt.Errorf("destination: %q is not configured; use one of %s", name, a.names())
	}
	return name, nil
}

// choose returns the destination that the value of a site's placeholder stands
// for.
func (a *App) choose(value string) (name string, ok bool) {
	value = strings.ToLower(value)
	if name, ok = a.Map[value]; ok {
		return name, true
	}
	if _, ok = a.Destinations[value]; ok {
		return value, true
	}
	name, ok = a.Map[defaultDestination]
	return name, ok
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
