package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBot(t *testing.T) {
	const (
		firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
		safari  = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.3 Safari/605.1.15"
		chromeI = "Mozilla/5.0 (iPhone; CPU iPhone OS 16_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0 Mobile/15E148 Safari/604.1"
		monitor = "AcmeProbe/1.0"
	)
	fetch := func(pairs ...string) map[string]string {
		h := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			h["Sec-Fetch-"+pairs[i]] = pairs[i+1]
		}
		return h
	}
	probe := &Bots{Add: []string{"AcmeProbe"}, Remove: []string{"Lighthouse"}}
	for _, tt := range []struct {
		name   string
		bots   *Bots
		origin string
		agent  string
		h      map[string]string
		want   string
	}{
		{"Chrome", nil, "https://a.example", chrome, fetch("Dest", "document", "Mode", "navigate", "Site", "none", "User", "?1"), ""},
		{"Chrome's name and nothing else", nil, "https://a.example", chrome, nil, botByHeaders},
		{"with client hints copied along", nil, "https://a.example", chrome, map[string]string{"Sec-Ch-Ua": `"Chromium";v="143"`}, botByHeaders},
		{"Chrome on plain HTTP sends none", nil, "http://a.example", chrome, nil, ""},
		{"Chrome before Fetch Metadata", nil, "https://a.example", strings.Replace(chrome, "143", "75", 1), nil, ""},
		{"some of them are enough", nil, "https://a.example", chrome, fetch("Site", "none"), ""},
		{"headless, as tests use it", nil, "https://a.example", strings.Replace(chrome, "Chrome/", "HeadlessChrome/", 1), fetch("Mode", "navigate"), ""},
		{"Firefox", nil, "https://a.example", firefox, nil, ""},
		{"Safari before 16.4", nil, "https://a.example", safari, nil, ""},
		{"Chrome on iOS is Safari", nil, "https://a.example", chromeI, nil, ""},
		{"no User-Agent", nil, "https://a.example", "", nil, ""},
		{"a document that is not navigated to", nil, "https://a.example", firefox, fetch("Dest", "document", "Mode", "cors"), botByHeaders},
		{"on plain HTTP too", nil, "http://a.example", firefox, fetch("Dest", "document", "Mode", "no-cors"), botByHeaders},
		{"a crawler that says so", nil, "https://a.example", "Googlebot/2.1", fetch("Dest", "document", "Mode", "navigate"), botByName},

		{"added", probe, "https://a.example", monitor, nil, botByName},
		{"not added", nil, "https://a.example", monitor, nil, ""},
		{"removed", probe, "https://a.example", firefox + " Lighthouse", nil, ""},
		{"not removed", nil, "https://a.example", firefox + " Lighthouse", nil, botByName},
		{"the rest of the list", probe, "https://a.example", "Googlebot/2.1", nil, botByName},
		{"headers ignored", &Bots{Headers: botHeadersIgnore}, "https://a.example", chrome, nil, ""},
		{"headers ignored, a name", &Bots{Headers: botHeadersIgnore}, "https://a.example", "Googlebot/2.1", nil, botByName},
		{"off", &Bots{Off: true}, "https://a.example", "Googlebot/2.1", fetch("Dest", "document", "Mode", "cors"), ""},
		{"off, headers", &Bots{Off: true}, "https://a.example", chrome, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.bots != nil {
				if err := tt.bots.provision(); err != nil {
					t.Fatal(err)
				}
			}
			r := httptest.NewRequest(http.MethodGet, tt.origin+"/", nil)
			r.Header.Set("User-Agent", tt.agent)
			for name, value := range tt.h {
				r.Header.Set(name, value)
			}
			if got := tt.bots.bot(r); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestBotsRefuses(t *testing.T) {
	for _, tt := range []struct {
		bots Bots
		want string
	}{
		{Bots{Add: []string{"ab"}}, `bots add: "ab" is not accepted`},
		{Bots{Add: []string{strings.Repeat("a", 65)}}, "3 to 64 characters"},
		{Bots{Remove: []string{"acme"}}, `bots remove: "acme" is not in the list; use one of ["bot" "crawl"`},
		{Bots{Headers: "maybe"}, `bots headers: "maybe" is not accepted; use check or ignore`},
		{Bots{Off: true, Add: []string{"acme"}}, "bots off: add and remove have no effect"},
	} {
		if err := tt.bots.provision(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want %q", tt.bots, err, tt.want)
		}
	}
}

func TestChromeVersion(t *testing.T) {
	for agent, want := range map[string]int{
		chrome: 143, "": 0, "Chrome/": 0, "Chrome/x": 0, "Chrome/99999999999999999999": 9999, "HeadlessChrome/90": 90,
		strings.Repeat("x", 600) + "Chrome/90": 0,
	} {
		if got := chromeVersion(agent); got != want {
			t.Errorf("%.40q: got %d, want %d", agent, got, want)
		}
	}
}
