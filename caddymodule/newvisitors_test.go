package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/cookie"
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
func TestNewVisitorsReturningWithAWord(t *testing.T) {
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

func TestHeldPageRoundTrip(t *testing.T) {
	at := time.UnixMilli(1_795_000_000_123)
	long := strings.Repeat("x", 3000)
	for _, tt := range []struct{ name, url, referrer, page, properties, wantURL, wantReferrer, wantProperties string }{
		{"nothing", "", "", "", "", "", "", ""},
		{"all of it", "https://a.example/?q=1", "https://b.example/", "Home", `{"a":1}`, "https://a.example/?q=1", "https://b.example/", `{"a":1}`},
		{"a long query ends at a parameter", "https://a.example/?utm_source=mail&x=" + long, "", "", "", "https://a.example/?utm_source=mail", "", ""},
		{"a long path is cut", "https://a.example/" + long, "", "", "", ("https://a.example/" + long)[:maxHeldURL], "", ""},
		{"long properties are left out", "", "", "Home", `{"a":"` + long + `"}`, "", "", ""},
		{"a long referrer", "", "https://b.example/?x=" + long, "", "", "", "https://b.example/", ""},
		{"all long", "https://a.example/" + long, "https://b.example/" + long, strings.Repeat("n", maxHeldName), `{"a":"` + long + `"}`,
			("https://a.example/" + long)[:maxHeldURL], ("https://b.example/" + long)[:maxHeldReferrer], ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := heldPage{at: at, url: tt.url, referrer: tt.referrer, name: tt.page, properties: tt.properties}
			text := p.encode()
			if len(text) > cookie.MaxHeldLen {
				t.Errorf("%d bytes", len(text))
			}
			want := heldPage{at: at, url: tt.wantURL, referrer: tt.wantReferrer, name: tt.page, properties: tt.wantProperties}
			if got, ok := decodeHeld(text); !ok || got != want {
				t.Errorf("got %+v, %v\nwant %+v", got, ok, want)
			}
			for n := range text {
				if _, ok := decodeHeld(text[:n]); ok {
					t.Errorf("the first %d bytes decode", n)
				}
			}
		})
	}
}

// FuzzHeldPage: any bytes are a page within its bounds, or none.
func FuzzHeldPage(f *testing.F) {
	p := heldPage{at: time.UnixMilli(1), url: "https://a.example/?q=1", name: "n", properties: `{"a":1}`}
	f.Add(p.encode())
	f.Add("")
	f.Add("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := decodeHeld(text)
		if !ok {
			return
		}
		if len(p.name) > maxHeldName || p.properties != "" && p.properties[0] != '{' {
			t.Errorf("decoded %+v", p)
		}
	})
}
