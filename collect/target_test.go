package collect

import (
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

func TestTargetOf(t *testing.T) {
	track := Target{Route: Single, Type: event.Track}
	unsupported := Target{Route: Single, Unsupported: true}
	for rest, want := range map[string]Target{
		"/t": track, "/v1/t": track, "/track": track, "/v1/track/": track, "//v1//track//": track, "/cdp/events/segment/t": track,
		"/p": {Route: Single, Type: event.Page}, "/v1/page": {Route: Single, Type: event.Page},
		"/i": {Route: Single, Type: event.Identify}, "/v1/identify": {Route: Single, Type: event.Identify},
		"/s": {Route: Single, Type: event.Screen}, "/v1/screen": {Route: Single, Type: event.Screen},
		"/g": unsupported, "/group": unsupported, "/a": unsupported, "/v1/alias": unsupported,
		"/b": {Route: Batch}, "/v1/b": {Route: Batch}, "/v1/batch": {Route: Batch}, "/v1/import": {Route: Batch},
		"/cdp/events/segment/mobile/batch": {Route: Batch},
		"/m":                               {Route: Metrics}, "/cdp/events/segment/m": {Route: Metrics},
		"/v1/projects/abc=/settings": {Route: Settings, Key: "abc="}, "/projects/abc/settings": {Route: Settings, Key: "abc"},
		"": {}, "/": {}, "/v1": {}, "/v2/t": {}, "/t/t": {}, "/T": {}, "/cdp/events/segment": {}, "/v1/v1/t": {}, "/projects//settings": {},
	} {
		if got := TargetOf(rest); got != want {
			t.Errorf("%q: %+v, want %+v", rest, got, want)
		}
	}
}

func TestRelayTargetOf(t *testing.T) {
	client, account, brand, target, ok := RelayTargetOf("/track/acme/acme-uk/ACME/v1/batch")
	if !ok || client != "acme" || account != "acme-uk" || brand != "ACME" || target.Route != Batch {
		t.Errorf("%s %s %s %+v %v", client, account, brand, target, ok)
	}
	for _, path := range []string{"", "/", "/track", "/track/a/b/C/v1", "/track/a/b/C/v1/t", "/track/a/b/C/v2/track", "/x/a/b/C/v1/track",
		"/track/a/b/C/v1/track/", "track/a/b/C/v1/track/x"} {
		if _, _, _, _, ok := RelayTargetOf(path); ok {
			t.Errorf("%q is taken", path)
		}
	}
}
