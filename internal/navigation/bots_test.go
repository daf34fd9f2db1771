package navigation

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func mustBots(t testing.TB, off bool, add, remove []string, ignoreHeaders bool) *Bots {
	t.Helper()
	b, err := NewBots(off, add, remove, ignoreHeaders)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBotsRule(t *testing.T) {
	const (
		https   = true
		http    = false
		chromeI = "Mozilla/5.0 (iPhone; CPU iPhone OS 16_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0 Mobile/15E148 Safari/604.1"
		probe   = "AcmeProbe/1.0"
	)
	own := mustBots(t, false, []string{"AcmeProbe", "Café"}, []string{"Lighthouse", "preview"}, false)
	agentOnly := mustBots(t, false, nil, nil, true)
	off := mustBots(t, true, nil, nil, false)
	fetch := func(pairs ...string) headers {
		h := headers{}
		for i := 0; i < len(pairs); i += 2 {
			h["Sec-Fetch-"+pairs[i]] = pairs[i+1]
		}
		return h
	}
	for _, tt := range []struct {
		name   string
		bots   *Bots
		secure bool
		agent  string
		h      headers
		want   Rule
	}{
		{"Chrome", nil, https, chrome, fetch("Dest", "document", "Mode", "navigate", "Site", "none", "User", "?1"), ""},
		{"Chrome's name and nothing else", nil, https, chrome, nil, RuleHeaders},
		{"with client hints copied along", nil, https, chrome, headers{"Sec-CH-UA": `"Chromium";v="143"`}, RuleHeaders},
		{"Chrome on plain HTTP sends none", nil, http, chrome, nil, ""},
		{"Chrome before Fetch Metadata", nil, https, strings.Replace(chrome, "143", "75", 1), nil, ""},
		{"some of them are enough", nil, https, chrome, fetch("Site", "none"), ""},
		{"headless, as tests use it", nil, https, strings.Replace(chrome, "Chrome/", "HeadlessChrome/", 1), fetch("Mode", "navigate"), ""},
		{"Firefox", nil, https, firefox, nil, ""},
		{"Safari before 16.4", nil, https, safari, nil, ""},
		{"Chrome on iOS is Safari", nil, https, chromeI, nil, ""},
		{"a WebView whose app makes the requests", nil, https, webview, nil, ""},
		{"a WebView that names its app", nil, https, chrome, headers{"X-Requested-With": "com.example.app"}, ""},
		{"no User-Agent", nil, https, "", nil, ""},
		{"a document that is not navigated to", nil, https, firefox, fetch("Dest", "document", "Mode", "cors"), RuleHeaders},
		{"on plain HTTP too", nil, http, firefox, fetch("Dest", "document", "Mode", "no-cors"), RuleHeaders},
		{"through a worker, Chromium", nil, https, chrome, fetch("Dest", "empty", "Mode", "navigate"), ""},
		{"through a worker, Firefox", nil, https, firefox, fetch("Dest", "empty", "Mode", "same-origin"), ""},
		{"a crawler that says so", nil, https, "Googlebot/2.1", fetch("Dest", "document", "Mode", "navigate"), RuleWord},

		{"added", own, https, probe, nil, RuleAdded},
		{"added, another case", own, https, "x-ACMEPROBE-y", nil, RuleAdded},
		{"added, beyond ASCII", own, https, "CAFé", nil, RuleAdded},
		{"not added", nil, https, probe, nil, ""},
		{"removed name", own, https, firefox + " Chrome-Lighthouse", nil, ""},
		{"not removed name", nil, https, firefox + " Chrome-Lighthouse", nil, RuleName},
		{"removed word", own, https, "AcmePreview/1.0", nil, ""},
		{"not removed word", nil, https, "AcmePreview/1.0", nil, RuleWord},
		{"the rest of the list", own, https, "Googlebot/2.1", nil, RuleWord},
		{"headers ignored", agentOnly, https, chrome, nil, ""},
		{"headers ignored, a name", agentOnly, https, "Googlebot/2.1", nil, RuleWord},
		{"off", off, https, "Googlebot/2.1", fetch("Dest", "document", "Mode", "cors"), ""},
		{"off, headers", off, https, chrome, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request("GET", "/", tt.h)
			r.Header.Set("User-Agent", tt.agent)
			if got := tt.bots.Rule(r, tt.secure); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNewBotsRefuses(t *testing.T) {
	for _, tt := range []struct {
		name        string
		off         bool
		add, remove []string
		want        string
	}{
		{"too short", false, []string{"ab"}, nil, `bots add: "ab" is not accepted; use a part of a User-Agent, 3 to 64 characters long`},
		{"too long", false, []string{strings.Repeat("a", 65)}, nil, "3 to 64 characters"},
		{"not in the list", false, nil, []string{"acme"}, `bots remove: "acme" is not in the list; use a name of the list such as "lighthouse", or one of ["bot" "bots"`},
		{"half a name", false, nil, []string{"dotcom"}, `bots remove: "dotcom"`},
		{"the end of a word", false, nil, []string{"ot"}, `bots remove: "ot"`},
		{"nothing", false, nil, []string{""}, `bots remove: ""`},
		{"twice", false, nil, []string{"bot", "bot"}, `bots remove: "bot"`},
		{"headers are another option", false, nil, []string{"headers"}, `bots remove: "headers"`},
		{"off and add", true, []string{"acme"}, nil, "bots off: add and remove have no effect; use one or the other"},
		{"off and remove", true, nil, []string{"bot"}, "bots off: add and remove have no effect"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewBots(tt.off, tt.add, tt.remove, false); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// Every mark can be taken off, and that changes only the list it is taken off.
func TestRemove(t *testing.T) {
	rule := func(b *Bots, agent string) Rule {
		return b.Rule(&http.Request{Header: http.Header{"User-Agent": {agent}}}, false)
	}
	for _, name := range botNames {
		agent := "Acme " + strings.ReplaceAll(name, " ", "-") + "/1.0"
		if got := rule(nil, agent); got != RuleName {
			t.Errorf("%q: rule %q, want %q", agent, got, RuleName)
		}
		b := mustBots(t, false, nil, []string{strings.ToUpper(name)}, false)
		if got := rule(b, agent); got == RuleName {
			t.Errorf("%q without %q: rule %q", agent, name, got)
		}
		if got := rule(nil, agent); got != RuleName {
			t.Errorf("%q: rule %q after it was removed elsewhere", agent, got)
		}
	}
	for mark, agent := range map[string]string{
		"url": "Acme/1.0 (+https://acme.example/)", "email": "Acme/1.0 (ops@acme.example)", "compatible": "Mozilla/5.0 (compatible; Acme/1.0)",
	} {
		if got := rule(nil, agent); got != Rule(mark) {
			t.Errorf("%q: rule %q, want %q", agent, got, mark)
		}
		if got := rule(mustBots(t, false, nil, []string{mark}, false), agent); got != "" {
			t.Errorf("%q without %q: rule %q", agent, mark, got)
		}
	}
	for _, end := range wordEndings {
		agent := end.text + "/1.0"
		if got := rule(nil, agent); got != RuleWord {
			t.Errorf("%q: rule %q, want %q", agent, got, RuleWord)
		}
		if got := rule(mustBots(t, false, nil, []string{end.text}, false), agent); got != "" {
			t.Errorf("%q without %q: rule %q", agent, end.text, got)
		}
	}
}

func TestRules(t *testing.T) {
	for _, r := range removableRules {
		if !slices.Contains(Rules(), r.rule) {
			t.Errorf("%q is no rule", r.rule)
		}
	}
}

func TestBotsDoNotAllocate(t *testing.T) {
	own := mustBots(t, false, []string{"acmeprobe", "acmemonitor"}, []string{"lighthouse"}, false)
	for _, agent := range []string{chrome, firefox, webview, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", strings.Repeat("a@b+c.", 500)} {
		r := request("GET", "/", headers{"User-Agent": agent})
		for _, b := range []*Bots{nil, own} {
			if allocs := testing.AllocsPerRun(100, func() { b.Rule(r, true) }); allocs != 0 {
				t.Errorf("%.40q: %v allocations", agent, allocs)
			}
		}
	}
}

// Added parts always match, what is beyond the bound never does, and no
// User-Agent is too odd.
func FuzzBots(f *testing.F) {
	for _, agent := range append(slices.Clone(humans), bots...) {
		f.Add(agent, "Acme")
	}
	f.Add("((((((((((]]]]]]]]))))))", "(((")
	f.Add("+++++http:@a.b@a.b.com..com.", "@a.")
	f.Add(strings.Repeat("a ", 600), "a a")
	f.Add("\xff\xfebot\x00/\x80", "\xff\xfeb")
	f.Fuzz(func(t *testing.T, agent, part string) {
		rule := func(b *Bots, agent string) Rule {
			return b.Rule(&http.Request{Header: http.Header{"User-Agent": {agent}}}, false)
		}
		got := rule(nil, agent)
		if got != "" && !slices.Contains(Rules(), got) {
			t.Errorf("unknown rule %q", got)
		}
		if long := agent + strings.Repeat(" ", max(0, maxAgentScan-len(agent))); rule(nil, long+"Googlebot/2.1") != rule(nil, long) {
			t.Errorf("what follows the first %d bytes counts", maxAgentScan)
		}
		if got := rule(&Bots{off: true}, agent); got != "" {
			t.Errorf("off: rule %q", got)
		}
		own, err := NewBots(false, []string{part}, nil, false)
		if err != nil {
			return
		}
		if got := rule(own, part+agent); got != RuleAdded {
			t.Errorf("%q is added, rule %q", part, got)
		}
		if got := rule(own, strings.ToUpper(chrome)); got == RuleAdded && !strings.Contains(strings.ToLower(chrome), strings.ToLower(part)) {
			t.Errorf("%q is added and matches Chrome", part)
		}
	})
}
