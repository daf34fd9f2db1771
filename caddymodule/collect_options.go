package caddymodule

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/collect"
	"github.com/intilery/caddy-intilery/collect/tag"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// Values of Collect.Clock.
const (
	clockCorrect = "correct"
	clockKeep    = "keep"
)

// Defaults and bounds of the collection endpoint.
const (
	defaultMaxBody  = 512 << 10
	defaultMaxEvent = 32 << 10
	minMaxBody      = 1 << 10
	maxMaxBody      = 8 << 20
	defaultRate     = 20
	defaultBurst    = 200
)

// Collect is an endpoint on the site itself to which browser tags, apps on devices
// and servers send their events, instead of to a host of Intilery's. An event is
// answered once it is in the durable queue. The paths, bodies and answers are those
// of Segment's SDKs, which Intilery's tag speaks too.
type Collect struct {
	// The path below which the endpoint is. Required; it has no default, since
	// blockers list the paths that many sites share.
	Path string `json:"path"`

	// Public keys that browsers and apps may send, beside the destination's own
	// write key. What calls itself writeKey in a tag.
	Keys []string `json:"keys,omitempty"`

	// Secret keys of servers, sent as Basic, as Bearer or in the body. A server's
	// events need no origin, keep their own IP and times, and are not limited in
	// number. Use {file./path}, so that they stay out of the configuration.
	ServerKeys []string `json:"server_keys,omitempty"`

	// Other origins, such as `https://www.example.com`, whose pages may send
	// events. Default: the site's own only.
	Origins []string `json:"origins,omitempty"`

	// The tag to serve below the path, with its settings and its parts: `next`
	// (analytics-next), `classic` (analytics.js), a directory that holds it, or the
	// URL from which it is fetched and kept. Default: none.
	Tag string `json:"tag,omitempty"`

	// The name of the tag's script below the path. Default: `s.js`; a directory
	// needs one.
	TagFile string `json:"tag_file,omitempty"`

	// The size of a body in bytes, inflated, from 1 KiB to 8 MiB. Default: 512 KiB.
	MaxBody int64 `json:"max_body,omitempty"`

	// The size of an event in bytes, as it comes, at most 32 KiB. Intilery takes
	// 32,000 bytes with what is added. Default: 32 KiB.
	MaxEvent int64 `json:"max_event,omitempty"`

	// How many events a second a client IP, and an anonymousId, may send. An IPv6
	// client is its /64 network. Default: 20.
	Rate float64 `json:"rate,omitempty"`

	// How many of them may come at once. Default: 200.
	Burst int `json:"burst,omitempty"`

	// What happens to the timestamps of a browser or an app whose clock is more
	// than five minutes off, by its own sentAt: `correct` them and keep what was
	// said as originalTimestamp, or `keep` them. Default: `correct`.
	Clock string `json:"clock,omitempty"`

	public  map[string]bool
	servers [][]byte
	limits  *senderLimits
	tag     *tag.Server
	parse   collect.Options // of every body
}

// provision replaces placeholders, sets defaults and checks the options.
func (c *Collect) provision(repl *caddy.Replacer, logger *zap.Logger) error {
	if c == nil {
		return nil
	}
	if err := replace(repl, "collect", &c.Path); err != nil {
		return err
	}
	if err := checkCollectPath(c.Path); err != nil {
		return err
	}
	c.public = make(map[string]bool)
	for _, key := range c.Keys {
		if err := replace(repl, "collect key", &key); err != nil {
			return err
		}
		if err := checkCollectKey("key", key); err != nil {
			return err
		}
		c.public[key] = true
	}
	for _, written := range c.ServerKeys {
		key := written
		if err := replace(repl, "collect server_key", &key); err != nil {
			return err
		}
		if err := checkCollectKey("server_key", strings.TrimSpace(key)); err != nil {
			return err
		}
		if key = strings.TrimSpace(key); c.public[key] {
			return errServerKeyPublic
		}
		if !hasPlaceholder(written) {
			logger.Warn("server_key is written in the configuration, where the admin endpoint's /config/ shows it; use {file./path/to/key}")
		}
		c.servers = append(c.servers, []byte(key))
	}
	for i := range c.Origins {
		if err := replace(repl, "collect origins", &c.Origins[i]); err != nil {
			return err
		}
		origin, err := parseOrigin("collect origins", c.Origins[i])
		if err != nil {
			return err
		}
		c.Origins[i] = origin
	}
	c.defaults()
	if err := c.check(); err != nil {
		return err
	}
	c.limits = newSenderLimits(c.Rate, c.Burst)
	return nil
}

var errServerKeyPublic = errors.New("collect server_key: it is also a public key; use a secret of its own")

// provisionParse says how bodies are read.
func (h *Handler) provisionParse() {
	if c := h.Collect; c != nil {
		c.parse = collect.Options{
			MaxEvent: int(c.MaxEvent), ValidAnonymousID: h.keyless.ValidID, Correct: c.Clock == clockCorrect,
			Redact: h.redact.URL, RedactPath: h.redact.Path, RedactQuery: h.redact.Query,
		}
	}
}

// provisionTag makes the tag's server, which keeps what it fetches in a directory.
func (c *Collect) provisionTag(repl *caddy.Replacer, dir string, logger *slog.Logger) (err error) {
	if c == nil || c.Tag == "" {
		return nil
	}
	for _, text := range []*string{&c.Tag, &c.TagFile} {
		if err := replace(repl, "collect tag", text); err != nil {
			return err
		}
	}
	if c.tag, err = tag.New(tag.Config{Source: c.Tag, FileName: c.TagFile, CacheDir: filepath.Join(dir, "tag"), Logger: logger}); err != nil {
		return fmt.Errorf("collect tag: %w", err)
	}
	return nil
}

func (c *Collect) defaults() {
	if c.MaxBody == 0 {
		c.MaxBody = defaultMaxBody
	}
	if c.MaxEvent == 0 {
		c.MaxEvent = defaultMaxEvent
	}
	if c.Rate == 0 {
		c.Rate = defaultRate
	}
	if c.Burst == 0 {
		c.Burst = max(defaultBurst, int(min(c.Rate, math.MaxInt32)))
	}
	if c.Clock == "" {
		c.Clock = clockCorrect
	}
}

// check checks numbers and words.
func (c *Collect) check() error {
	switch {
	case c.MaxBody < minMaxBody || c.MaxBody > maxMaxBody:
		return notAccepted("collect max_body", c.MaxBody, humanize.IBytes(minMaxBody)+" to "+humanize.IBytes(maxMaxBody))
	case c.MaxEvent < minMaxBody || c.MaxEvent > defaultMaxEvent:
		return notAccepted("collect max_event", c.MaxEvent, humanize.IBytes(minMaxBody)+" to "+humanize.IBytes(defaultMaxEvent))
	case !(c.Rate > 0) || math.IsInf(c.Rate, 0):
		return notAccepted("collect rate", c.Rate, "events per second above zero")
	case c.Burst < 1:
		return notAccepted("collect rate", c.Burst, "a burst of 1 or more")
	case c.Clock != clockCorrect && c.Clock != clockKeep:
		return notAccepted("collect clock", c.Clock, either([]string{clockCorrect, clockKeep}))
	}
	return nil
}

// checkCollectPath accepts a path that a browser sends as it is written.
func checkCollectPath(path string) error {
	ok := len(path) > 1 && path[0] == '/' && path[len(path)-1] != '/' && !strings.Contains(path, "//")
	for part := range strings.SplitSeq(path, "/") {
		ok = ok && part != "." && part != ".."
	}
	for i := range len(path) {
		c := path[i]
		ok = ok && (c == '/' || c == '-' || c == '.' || c == '_' || c == '~' ||
			'0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z')
	}
	if !ok {
		return notAccepted("collect", path, "a path such as /<your path>, of letters, digits, -, ., _ and ~, without a slash at its end")
	}
	return nil
}

// checkCollectKey checks what can be a user name of Basic authentication. The error
// does not hold the key.
func checkCollectKey(option, key string) error {
	if !validToken(key) || strings.ContainsAny(key, ":\"") || len(key) > 256 {
		return fmt.Errorf("collect %s: the value is empty, too long or holds a space, a colon, a quote or other characters that a key cannot have", option)
	}
	return nil
}

// unmarshalCaddyfile reads what comes after the word collect:
//
//	collect <path> {
//		key        <public key>...
//		server_key <secret key>...
//		origins    <origin>...
//		tag        next|classic|<directory>|<url> [<file name>]
//		max_body   <size>
//		max_event  <size>
//		rate       <events per second> [<burst>]
//		clock      correct|keep
//	}
func (c *Collect) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return d.Errf("collect: %s; use collect <path> { ... }, with a path of your own choice", plural(uint64(len(args)), "value"))
	}
	if c.Path = args[0]; !hasPlaceholder(c.Path) {
		if err := checkCollectPath(c.Path); err != nil {
			return d.WrapErr(err)
		}
	}
	given := make(options)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := given.once(d); err != nil {
			return err
		}
		if err := c.unmarshalOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (c *Collect) unmarshalOption(d *caddyfile.Dispenser) error {
	switch option := d.Val(); option {
	case "key":
		return arguments(d, &c.Keys, "one or more keys", func(key string) error { return checkCollectKey("key", key) })
	case "server_key":
		return arguments(d, &c.ServerKeys, "{file./path/to/key}", func(key string) error { return checkCollectKey("server_key", key) })
	case "origins":
		return arguments(d, &c.Origins, "origins such as https://www.example.com", func(origin string) error {
			_, err := parseOrigin("collect origins", origin)
			return err
		})
	case "tag":
		args := d.RemainingArgs()
		if len(args) != 1 && len(args) != 2 {
			return d.Errf("tag: %s; use tag next, classic, <directory> or <url>, and optionally a file name", plural(uint64(len(args)), "value"))
		}
		c.Tag = args[0]
		if len(args) == 2 {
			c.TagFile = args[1]
		}
		return nil
	case "max_body":
		return byteSize(d, &c.MaxBody, minMaxBody, maxMaxBody)
	case "max_event":
		return byteSize(d, &c.MaxEvent, minMaxBody, defaultMaxEvent)
	case "rate":
		return c.unmarshalRate(d)
	case "clock":
		return oneOf(d, &c.Clock, clockCorrect, clockKeep)
	default:
		return d.Errf("collect: unknown option %q; use key, server_key, origins, tag, max_body, max_event, rate or clock", option)
	}
}

func (c *Collect) unmarshalRate(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 1 && len(args) != 2 {
		return d.Errf("rate: %s; use rate <events per second> [<burst>]", plural(uint64(len(args)), "value"))
	}
	var err error
	if c.Rate, err = strconv.ParseFloat(args[0], 64); err != nil || !(c.Rate > 0) || math.IsInf(c.Rate, 0) {
		return d.Errf("rate: %q is not accepted; use events per second above zero", args[0])
	}
	if len(args) == 2 {
		if c.Burst, err = strconv.Atoi(args[1]); err != nil || c.Burst < 1 {
			return d.Errf("rate: %q is not accepted; use a burst of 1 or more", args[1])
		}
	}
	return nil
}

// byteSize reads an option whose value is a size such as 512KiB.
func byteSize(d *caddyfile.Dispenser, value *int64, least, most uint64) error {
	option := d.Val()
	var text string
	if err := argument(d, &text); err != nil {
		return err
	}
	size, err := humanize.ParseBytes(text)
	if err != nil || size < least || size > most {
		return d.Errf("%s: %q is not accepted; use %s to %s", option, text, humanize.IBytes(least), humanize.IBytes(most))
	}
	*value = int64(size)
	return nil
}

// allows reports whether pages of an origin may send events, beside the site's own.
func (c *Collect) allows(origin string) bool { return slices.Contains(c.Origins, origin) }

// An event as it comes must fit into what is sent.
const _ = uint(defaultMaxEvent - event.MaxBytes)
