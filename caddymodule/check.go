package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/doctor"
	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/tracking"
	"github.com/intilery/caddy-intilery/preflight"
)

// maxSites is how many sites of a configuration are visited.
const maxSites = 10

// check looks at what a configuration needs. It provisions the module's options by
// itself, because Caddy's own provisioning makes files: logs, and certificates of its
// authority.
type check struct {
	preflight.Checker
	user    *preflight.User // who Caddy will run as, nil for the user of this process
	sites   []string        // pages to visit instead of the configuration's
	noSites bool

	app    *App
	http   *httpConfig
	repl   *caddy.Replacer
	report preflight.Report
}

// read takes the parts of a configuration that matter here.
func (c *check) read(config []byte) error {
	var parsed struct {
		Apps struct {
			Intilery json.RawMessage `json:"intilery"`
			HTTP     *httpConfig     `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	c.app, c.http, c.repl = new(App), parsed.Apps.HTTP, caddy.NewReplacer()
	c.app.logger = zap.NewNop()
	if parsed.Apps.Intilery == nil {
		return nil
	}
	if err := caddy.StrictUnmarshalJSON(parsed.Apps.Intilery, c.app); err != nil {
		return fmt.Errorf("the app intilery: %w", err)
	}
	for name, d := range c.app.Destinations {
		if d == nil {
			return fmt.Errorf("the app intilery: destination %s is null", name)
		}
	}
	return nil
}

// run makes the report of a configuration that was read.
func (c *check) run(ctx context.Context, config []byte) error {
	if err := c.read(config); err != nil {
		return err
	}
	sites, err := c.http.sites()
	if err != nil {
		return fmt.Errorf("the sites: %w", err)
	}
	names := slices.Sorted(maps.Keys(c.app.Destinations))
	c.options(names, len(sites))
	c.dataDir(config)
	for _, name := range names {
		c.destination(ctx, name, c.app.Destinations[name])
	}
	c.fleet(ctx, names)
	if !c.noSites {
		c.visits(ctx, sites)
	}
	return nil
}

// options checks what all destinations share.
func (c *check) options(names []string, sites int) {
	s := c.report.Section("configuration")
	if len(names) == 0 {
		s.Add(preflight.Problem, "destinations", "add to the global options: intilery { client_id <id>; auth_token {file./path/to/token} }, one option a line",
			"none is configured: nothing can be sent")
	} else {
		s.Add(preflight.OK, "destinations", "", "%s", strings.Join(names, ", "))
	}
	s.Add(preflight.OK, "sites", "", "%s with the directive", plural(uint64(sites), "site"))
	problem := func(topic string, err error) {
		if err != nil {
			s.Add(preflight.Problem, topic, "correct the option", "%v", err)
		}
	}
	problem("map", c.app.provisionMap(c.repl))
	problem("queue", c.app.provisionQueue(c.repl))
	if len(c.app.KeeperKeys) > 0 {
		problem("keys", c.app.provisionKeys(c.repl))
	}
}

func (c *check) dataDir(config []byte) {
	path, err := c.app.dataDir(c.repl)
	if err != nil {
		c.report.Section("data_dir").Add(preflight.Problem, "directory", "correct the option", "%v", err)
		return
	}
	s := c.report.Section("data_dir %s", path)
	if c.app.DataDir == "" && c.user != nil {
		s.Add(preflight.Note, "directory", "run this command as the user that Caddy runs as, or set data_dir",
			"this is the default of the user who runs this command; another user may have another one")
	}
	preflight.DataDir{
		Path:            path,
		MaxBytes:        cmp.Or(c.app.MaxSize, forwarder.DefaultMaxBytes),
		DeadLetterBytes: cmp.Or(c.app.DeadLettersSize, forwarder.DefaultDeadLetterBytes),
		Storage:         storageDir(config),
		User:            c.user,
	}.Check(s)
}

// storageDir returns the directory of Caddy's storage, "" if that is no directory.
func storageDir(config []byte) string {
	var parsed struct {
		Storage *struct {
			Module string `json:"module"`
			Root   string `json:"root"`
		} `json:"storage"`
	}
	if json.Unmarshal(config, &parsed) != nil { // it has been read before
		return ""
	}
	switch st := parsed.Storage; {
	case st == nil:
		return caddy.AppDataDir()
	case st.Module == "file_system":
		return cmp.Or(st.Root, caddy.AppDataDir())
	default:
		return ""
	}
}

func (c *check) destination(ctx context.Context, name string, d *Destination) {
	s := c.report.Section("destination %s", name)
	err := checkDestinationName(name)
	if err == nil {
		err = d.provisionOptions(c.repl)
	}
	if err != nil && d.token == nil { // not the token's error, which is told below
		s.Add(preflight.Problem, "options", "correct the option", "%v", err)
		return
	}
	if !hasPlaceholder(d.AuthToken) && !d.loopback() {
		s.Add(preflight.Warning, "token", "use {file./path/to/token}",
			"auth_token is written in the configuration, where the admin endpoint's /config/ shows it")
	}
	c.tokenFile(s, d)
	account := d.account()
	s.Add(preflight.OK, "account", "", "client %s, account %s, brand %s", account[0], account[1], account[2])
	c.Destination(ctx, s, preflight.Destination{
		Tracking: tracking.Config{
			Endpoint: d.Endpoint, ClientID: d.ClientID, AccountID: d.AccountID, BrandID: d.BrandID,
			UserAgent: "caddy-intilery/" + version(),
		},
		Token: d.token,
	})
}

// tokenFile looks whether the user that Caddy runs as may read the token's file: the
// user who runs this command is often root.
func (c *check) tokenFile(s *preflight.Section, d *Destination) {
	path, ok := strings.CutPrefix(d.AuthToken, "{file.")
	path, closed := strings.CutSuffix(path, "}")
	if c.user == nil || !ok || !closed || strings.ContainsAny(path, "{}") {
		return
	}
	// An error is that of reading it, which is told below.
	if why, err := c.user.MayRead(path); err == nil && why != "" {
		s.Add(preflight.Problem, "token", "let the user read the file, and enter the directories above it", "%s may not read %s: %s", c.user, path, why)
	}
}

func (c *check) fleet(ctx context.Context, names []string) {
	if c.app.Fleet == nil {
		return
	}
	s := c.report.Section("fleet")
	if err := c.app.provisionFleet(c.repl); err != nil {
		s.Add(preflight.Problem, "options", "correct the option", "%v", err)
		return
	}
	c.Fleet(ctx, s, *c.app.options.Fleet, names)
}

// visits looks at the sites that are named, or else at those of the configuration.
func (c *check) visits(ctx context.Context, sites []siteConfig) {
	if len(c.sites) > 0 {
		for _, page := range c.sites {
			c.visit(ctx, page, handlerOf(page, sites))
		}
		return
	}
	visited := 0
	for _, site := range sites {
		switch {
		case site.address == "":
			c.report.Section("site").Add(preflight.Note, "visit", "name a page with --site <url>", "left out: %s", site.whyNot)
			continue
		case visited >= maxSites:
			c.report.Section("sites").Add(preflight.Note, "visit", "name pages with --site <url>", "left out: those after the first %d", maxSites)
			return
		}
		visited++
		c.visit(ctx, site.address, site.handler)
	}
}

// handlerOf returns the options of the site that has a page.
func handlerOf(page string, sites []siteConfig) *Handler {
	at, err := doctor.SiteURL(page)
	if err != nil {
		return new(Handler)
	}
	for _, site := range sites {
		if own, err := doctor.SiteURL(site.address); err == nil && own.Host == at.Host {
			return site.handler
		}
	}
	return new(Handler)
}

func (c *check) visit(ctx context.Context, page string, h *Handler) {
	s := c.report.Section("site %s", page)
	at, err := doctor.SiteURL(page)
	if err != nil {
		s.Add(preflight.Problem, "visit", "correct the address", "%v", err)
		return
	}
	cookies := cookie.Config{}
	if h.Cookie != nil {
		if cookies, err = h.Cookie.provision(c.repl); err != nil {
			s.Add(preflight.Problem, "options", "correct the option", "%v", err)
			return
		}
	}
	d := &doctor.Doctor{Cookies: cookies}
	if h.Collect != nil && strings.HasPrefix(h.Collect.Path, "/") {
		d.Collect = &doctor.Endpoint{Path: h.Collect.Path} // without a key no event is sent
	}
	c.Site(ctx, s, d, at)
}
