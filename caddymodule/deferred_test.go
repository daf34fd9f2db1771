package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// A new visitor's first page is sent when the ID comes back, as it was then; a
// client that keeps no cookies sends nothing, however often it comes.
func TestNewVisitorsReturning(t *testing.T) {
	r := newRig(t)
	upstream := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch req.URL.Path {
		case "/landing":
			w.Header().Set("Intilery-Page", `{"name":"Landing","properties":{"tier":"gold"}}`)
		case "/cached":
			w.Header().Set("Cache-Control", "public, max-age=60")
		}
		fmt.Fprint(w, "shop")
	}))
	r.serve("intilery {\nnew_visitors returning\n}\nreverse_proxy " + upstream)

	keepsNone := *r.client
	keepsNone.Jar = nil
	for range 3 {
		req, err := http.NewRequest(http.MethodGet, r.url+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		asBrowser(req)
		resp, err := keepsNone.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if len(resp.Header["Set-Cookie"]) != 2 {
			t.Fatalf("cookies %v", resp.Header["Set-Cookie"])
		}
	}
	before := time.Now()
	r.get("/landing?utm_source=mail&size=2&token=s3cret", header("Referer", "https://search.example/?q=tea"))
	after := time.Now()
	r.get("/cached") // cannot take the page out of the keeper
	r.get("/second")
	r.get("/third")

	calls := r.calls(4)
	var paths []string
	for _, c := range calls {
		paths = append(paths, c.Properties["path"].(string))
		if c.AnonymousID != calls[0].AnonymousID {
			t.Errorf("another visitor: %+v", c)
		}
	}
	if got := strings.Join(paths, " "); got != "/cached /landing /second /third" {
		t.Fatalf("pages %s", got)
	}
	landing := calls[1]
	if landing.Timestamp.Before(before.Truncate(time.Millisecond)) || landing.Timestamp.After(after) {
		t.Errorf("happened at %v, want %v to %v", landing.Timestamp, before, after)
	}
	page := landing.Context["page"].(map[string]any)
	if landing.Name != "Landing" || landing.Properties["tier"] != "gold" || page["search"] != "?utm_source=mail&size=2" ||
		page["url"] != r.url+"/landing?utm_source=mail&size=2" || page["referrer"] != "https://search.example/?q=tea" ||
		landing.Context["campaign"].(map[string]any)["source"] != "mail" || landing.Context["userAgent"] != chrome {
		t.Errorf("sent %+v", landing)
	}
}

// What the app says of a new visitor is sent at once, and the page with it.
func TestNewVisitorsReturningWithATrack(t *testing.T) {
	r := newRig(t)
	upstream := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Intilery-Track", "Seen")
		fmt.Fprint(w, "shop")
	}))
	r.serve("intilery {\nnew_visitors returning\n}\nreverse_proxy " + upstream)
	r.get("/")
	if got := summary(r.calls(2)); got != "page:page track:Seen" {
		t.Errorf("events %s", got)
	}
}

const messageID = "6f1c2b9e-3d54-4a77-9a51-0c8f1e2d3b4a"

func TestDeferredRoundTrip(t *testing.T) {
	events := []deferredEvent{
		{Type: event.Page, Name: "Home", At: 1_795_000_000_123, URL: "https://a.example/?q=1", Referrer: "https://b.example/", Data: json.RawMessage(`{"a":1}`), MessageID: messageID},
		{Type: event.Identify, At: 1, MessageID: messageID, Data: json.RawMessage(`{"email":"ada@example.com"}`)},
		{Type: event.Track, Name: "Order Completed", At: 1, MessageID: messageID, Extra: json.RawMessage(`{"assetId":7}`)},
	}
	text := encodeDeferred(events)
	got, ok := decodeDeferred(text)
	if diff := cmp.Diff(events, got); !ok || diff != "" {
		t.Errorf("decoded %v, differs (-want +got):\n%s", ok, diff)
	}
	for n := range text {
		if _, ok := decodeDeferred(text[:n]); ok {
			t.Errorf("the first %d bytes decode", n)
		}
	}
	for name, text := range map[string]string{
		"none":                  "[]",
		"no messageId":          `[{"a":1,"u":"","t":1}]`,
		"a type of nobody":      `[{"m":"` + messageID + `","t":9,"a":1,"u":""}]`,
		"a track without name":  `[{"m":"` + messageID + `","t":2,"a":1,"u":""}]`,
		"no time":               `[{"m":"` + messageID + `","t":1,"u":""}]`,
		"a time beyond numbers": `[{"m":"` + messageID + `","t":1,"a":9223372036854775807,"u":""}]`,
		"data of another type":  `[{"m":"` + messageID + `","t":1,"a":1,"u":"","d":[1]}]`,
		"a long URL":            `[{"m":"` + messageID + `","t":1,"a":1,"u":"` + strings.Repeat("u", maxDeferredURL+1) + `"}]`,
		"a long referrer":       `[{"m":"` + messageID + `","t":1,"a":1,"u":"","r":"` + strings.Repeat("u", maxDeferredReferrer+1) + `"}]`,
	} {
		if events, ok := decodeDeferred(text); ok {
			t.Errorf("%s: decoded %+v", name, events)
		}
	}
	if text := encodeDeferred(nil); text != "" {
		t.Errorf("no events are %q", text)
	}
	if text := encodeDeferred([]deferredEvent{{Type: event.Page, At: 1, Name: strings.Repeat("n", cookie.MaxDeferredLen)}}); text != "" {
		t.Errorf("more than a cookie holds is %q", text)
	}
}

// A URL that is too long ends at a parameter if it can.
func TestCutURL(t *testing.T) {
	long := strings.Repeat("x", 600)
	for _, tt := range []struct{ name, url, want string }{
		{"short", "https://a.example/?q=1", "https://a.example/?q=1"},
		{"a long query", "https://a.example/?utm_source=mail&x=" + long, "https://a.example/?utm_source=mail"},
		{"a long path", "https://a.example/" + long, ("https://a.example/" + long)[:maxDeferredURL]},
	} {
		if got := cutURL(tt.url, maxDeferredURL); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// FuzzDeferred: any bytes are events within their bounds, or none.
func FuzzDeferred(f *testing.F) {
	f.Add(encodeDeferred([]deferredEvent{{Type: event.Page, Name: "n", At: 1, URL: "https://a.example/?q=1", Data: json.RawMessage(`{"a":1}`), MessageID: messageID}}))
	f.Add("")
	f.Add(`[{"m":"` + messageID + `","t":2,"n":"A","a":1,"u":"","x":{"assetId":1}}]`)
	f.Fuzz(func(t *testing.T, text string) {
		events, ok := decodeDeferred(text)
		for _, e := range events {
			if ok && (e.Data != nil && e.Data[0] != '{' || e.Extra != nil && e.Extra[0] != '{' || len(e.URL) > maxDeferredURL) {
				t.Errorf("decoded %+v", e)
			}
		}
	})
}
