package caddymodule

import (
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// httpConfig is what the check reads of Caddy's app http.
type httpConfig struct {
	HTTPPort int                     `json:"http_port"`
	Servers  map[string]serverConfig `json:"servers"`
}

type serverConfig struct {
	Listen []string          `json:"listen"`
	Routes []routeConfig     `json:"routes"`
	TLS    []json.RawMessage `json:"tls_connection_policies"`

	NamedRoutes map[string]routeConfig `json:"named_routes"`

	AutoHTTPS struct {
		Disabled bool     `json:"disable"`
		Skip     []string `json:"skip"`
	} `json:"automatic_https"`
}

type routeConfig struct {
	Match  []map[string]json.RawMessage `json:"match"`
	Handle []json.RawMessage            `json:"handle"`
}

// siteConfig is a site that has the directive.
type siteConfig struct {
	address string // of its first page; "" if that cannot be told, which whyNot explains
	whyNot  string
	handler *Handler
}

// sites returns the sites that have the directive, each address once, in the order of
// the servers' names.
func (c *httpConfig) sites() (found []siteConfig, err error) {
	if c == nil {
		return nil, nil
	}
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		server := c.Servers[name]
		w := siteWalk{http: c, server: server}
		if err := w.routes(server.Routes, nil, false); err != nil {
			return nil, err
		}
		for _, site := range w.found {
			if !slices.ContainsFunc(found, func(s siteConfig) bool { return s.address == site.address && s.whyNot == site.whyNot }) {
				found = append(found, site)
			}
		}
	}
	return found, nil
}

// siteWalk goes through the routes of one server.
type siteWalk struct {
	http   *httpConfig
	server serverConfig
	found  []siteConfig
	within []string // the named routes that are being looked at
}

// routes looks at routes that are reached for some hosts; narrowed says that a request
// must match something else too.
func (w *siteWalk) routes(routes []routeConfig, hosts []string, narrowed bool) error {
	for _, r := range routes {
		hosts, narrowed := hosts, narrowed
		var own []string
		for _, set := range r.Match {
			if text, ok := set["host"]; ok {
				var some []string
				if err := json.Unmarshal(text, &some); err != nil {
					return err
				}
				own = append(own, some...)
				narrowed = narrowed || len(set) > 1
			} else {
				narrowed = true
			}
		}
		if own != nil {
			hosts = own
		}
		for _, text := range r.Handle {
			if err := w.handler(text, hosts, narrowed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *siteWalk) handler(text json.RawMessage, hosts []string, narrowed bool) error {
	var h struct {
		Handler string          `json:"handler"`
		Name    json.RawMessage `json:"name"`
		Routes  json.RawMessage `json:"routes"`
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return err
	}
	switch h.Handler {
	case "intilery":
		return w.directive(text, hosts, narrowed)
	case "invoke":
		var name string
		if err := json.Unmarshal(h.Name, &name); err != nil || slices.Contains(w.within, name) {
			return err
		}
		w.within = append(w.within, name)
		defer func() { w.within = w.within[:len(w.within)-1] }()
		return w.routes([]routeConfig{w.server.NamedRoutes[name]}, hosts, narrowed)
	default: // subroute, or another's, whose field of that name may be anything
		var routes []routeConfig
		if json.Unmarshal(h.Routes, &routes) != nil {
			return nil
		}
		return w.routes(routes, hosts, narrowed)
	}
}

// directive notes the sites of one handler of this module.
func (w *siteWalk) directive(text json.RawMessage, hosts []string, narrowed bool) error {
	site := siteConfig{handler: new(Handler)}
	if err := json.Unmarshal(text, site.handler); err != nil {
		return err
	}
	if site.handler.Off {
		return nil
	}
	if len(hosts) == 0 {
		site.whyNot = "a site for any host"
		w.found = append(w.found, site)
	}
	for _, host := range hosts {
		site := site
		switch {
		case strings.ContainsAny(host, "*{"):
			site.whyNot = host + " is not a single host"
		case narrowed:
			site.whyNot = "the directive of " + host + " is for some of its requests only"
		default:
			site.address, site.whyNot = w.address(host)
		}
		w.found = append(w.found, site)
	}
	return nil
}

// address returns the address of a host's first page, as Caddy serves it.
func (w *siteWalk) address(host string) (address, whyNot string) {
	if len(w.server.Listen) == 0 {
		return "", host + " is served at no port"
	}
	at, err := caddy.ParseNetworkAddress(w.server.Listen[0])
	if err != nil || at.IsUnixNetwork() {
		return "", host + " is served at " + w.server.Listen[0]
	}
	httpPort := uint(80)
	if w.http.HTTPPort > 0 {
		httpPort = uint(w.http.HTTPPort)
	}
	scheme, usual := "http", uint(80)
	automatic := !w.server.AutoHTTPS.Disabled && !slices.Contains(w.server.AutoHTTPS.Skip, host) && at.StartPort != httpPort
	if automatic || len(w.server.TLS) > 0 {
		scheme, usual = "https", 443
	}
	if at.StartPort != usual {
		host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(int(at.StartPort)))
	}
	return scheme + "://" + host + "/", ""
}
