package collect

import (
	"strings"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// Route says what a path is for.
type Route uint8

// The routes.
const (
	NotFound Route = iota
	Single         // one event
	Batch          // several
	Metrics        // a tag's own, which nobody reads
	Settings       // what a tag or an app asks for before it sends
)

// Target is what a path below the endpoint's asks for.
type Target struct {
	Route       Route
	Type        event.Type // of Single; 0 where it is unsupported
	Unsupported bool       // group and alias, which Intilery does not have
	Key         string     // of Settings
}

var targets = map[string]Target{
	"t": {Route: Single, Type: event.Track}, "track": {Route: Single, Type: event.Track},
	"p": {Route: Single, Type: event.Page}, "page": {Route: Single, Type: event.Page},
	"i": {Route: Single, Type: event.Identify}, "identify": {Route: Single, Type: event.Identify},
	"s": {Route: Single, Type: event.Screen}, "screen": {Route: Single, Type: event.Screen},
	"g": {Route: Single, Unsupported: true}, "group": {Route: Single, Unsupported: true},
	"a": {Route: Single, Unsupported: true}, "alias": {Route: Single, Unsupported: true},
	"b": {Route: Batch}, "batch": {Route: Batch}, "import": {Route: Batch}, "mobile/batch": {Route: Batch},
	"m": {Route: Metrics},
}

// TargetOf reads what follows the endpoint's path: Segment's paths, with and without
// v1, and Intilery's own below cdp/events/segment. Doubled and trailing slashes do
// not matter.
func TargetOf(rest string) Target {
	if t, ok := targets[strings.TrimPrefix(strings.TrimPrefix(rest, "/"), "v1/")]; ok {
		return t // as SDKs write it
	}
	parts := strings.FieldsFunc(rest, func(c rune) bool { return c == '/' })
	if len(parts) > 0 && parts[0] == "v1" {
		parts = parts[1:]
	}
	if n := len(parts); n >= 3 && parts[0] == "projects" && parts[n-1] == "settings" {
		return Target{Route: Settings, Key: strings.Join(parts[1:n-1], "/")} // base64 may have slashes
	}
	if len(parts) > 3 && parts[0] == "cdp" && parts[1] == "events" && parts[2] == "segment" {
		parts = parts[3:]
	}
	if len(parts) > 2 {
		return Target{}
	}
	return targets[strings.Join(parts, "/")]
}

// RelayTargetOf reads a path of the Tracking API:
// /track/{clientId}/{accountId}/{BRANDID}/v1/{action}.
func RelayTargetOf(path string) (clientID, accountID, brandID string, t Target, ok bool) {
	p := strings.Split(path, "/")
	if len(p) != 7 || p[0] != "" || p[1] != "track" || p[5] != "v1" {
		return "", "", "", Target{}, false
	}
	switch p[6] {
	case "identify", "track", "page", "screen", "batch":
		return p[2], p[3], p[4], targets[p[6]], true
	}
	return "", "", "", Target{}, false
}
