package cookie

import (
	"strings"
	"testing"
	"time"
)

const (
	shop   = "shop.example.org"
	outlet = host
)

func TestHandoff(t *testing.T) {
	rv := newResolver(t, Config{})
	id := Identity{AnonymousID: idB, Consented: true, Issued: epoch.Add(-30 * day)}
	value := rv.Handoff(id, shop, outlet, epoch)
	if value == "" || strings.Contains(value, idB[:8]) {
		t.Fatalf("hand-off %q", value)
	}
	strange := newResolver(t, Config{})
	ring, err := NewKeyring(testKey('s'))
	if err != nil {
		t.Fatal(err)
	}
	strange.keys = ring
	at := func(d time.Duration) func(*Request) {
		return func(r *Request) { r.Document, r.Now = true, epoch.Add(d) }
	}
	const set = "readable B @example.com; keeper B @example.com"
	for _, test := range []struct {
		name    string
		value   string
		from    string
		brought brought
		request func(*Request)
		ok      bool
		cookies string
	}{
		{"a new visitor", value, shop, brought{}, document, true, set},
		{"with a port, in another case", value, "SHOP.example.org:8443", brought{}, document, true, set},
		{"an anonymous visitor", value, shop, brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept()}}, document, true, set},
		{"what the app said of consent stays", value, shop,
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(appConsent(ConsentGranted))}}, document, true,
			"readable B @example.com; keeper B granted @example.com"},
		{"a twin goes", value, shop, brought{readable: []string{quoted(idA), quoted(idA)}}, document, true,
			"expire readable @host; expire readable @www.example.com; " + set},
		{"a visitor who has it: nothing", value, shop, brought{readable: []string{quoted(idB)}}, document, true, ""},
		{"a user of this site: keeps the ID", value, shop,
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"))}}, document, true, ""},
		{"a user of this site's tag: keeps the ID", value, shop,
			brought{readable: []string{quoted(idA)}, users: []string{"t1"}, keeper: []*keeper{kept()}}, document, true, ""},
		{"a visitor without consent: nothing", value, shop, brought{},
			func(r *Request) { r.Document, r.Consent = true, ConsentDenied }, true, ""},
		{"not a document: nothing", value, shop, brought{}, fetch, true, ""},
		{"prerender: nothing", value, shop, brought{}, speculative, true, ""},

		{"in time", value, shop, brought{}, at(HandoffLife), true, set},
		{"late", value, shop, brought{}, at(HandoffLife + time.Second), false, ""},
		{"by a clock that is a bit behind", value, shop, brought{}, at(-clockSkew), true, set},
		{"from the future", value, shop, brought{}, at(-clockSkew - time.Second), false, ""},
		{"from another site's page", value, "evil.example", brought{}, document, false, ""},
		{"from no page", value, "", brought{}, document, false, ""},
		{"to another site", value, shop, brought{}, func(r *Request) { r.Document, r.Host = true, "other.example.com" }, false, ""},
		{"of another key", strange.Handoff(id, shop, outlet, epoch), shop, brought{}, document, false, ""},
		{"a keeper", rv.keys.seal(kept().encode(), defaultKeeperName, domain), shop, brought{}, document, false, ""},
		{"sealed, but with a user", rv.keys.seal(kept(user("u1"), seenAgo(0)).encode(), handoffName, handoffSite(shop, outlet)),
			shop, brought{}, document, false, ""},
		{"sealed, but without an ID", rv.keys.seal(kept(noID, seenAgo(0)).encode(), handoffName, handoffSite(shop, outlet)),
			shop, brought{}, document, false, ""},
		{"a bare ID", idB, shop, brought{}, document, false, ""},
		{"nothing", "", shop, brought{}, document, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := Request{Cookies: test.brought.cookies(t, rv), Host: outlet, Secure: true, Now: epoch}
			test.request(&r)
			before := rv.Resolve(r)
			o, ok := rv.Accept(test.value, test.from, before, r)
			if ok != test.ok {
				t.Fatalf("accepted %v, want %v", ok, test.ok)
			}
			n := names{t: t}
			if got := n.describe(rv, r, o.Cookies); got != strings.ReplaceAll(test.cookies, "; ", "\n") {
				t.Errorf("cookies:\n%s\nwant:\n%s", got, test.cookies)
			}
			if took := o.Cookies != nil; took != (o.Reason == HandedOver) || took && (o.AnonymousID != idB || !o.Issued.Equal(id.Issued)) {
				t.Errorf("outcome %+v", o)
			}
			if o.Cookies == nil && o.AnonymousID != before.AnonymousID {
				t.Errorf("ID %q, before %q", o.AnonymousID, before.AnonymousID)
			}
		})
	}
	// A hand-off is no keeper either.
	if _, ok := rv.openKeeper(value, domain, epoch.Unix()); ok {
		t.Error("a hand-off opens as a keeper")
	}
}

func TestHandoffOfNothing(t *testing.T) {
	rv := newResolver(t, Config{})
	locked, err := NewResolver(Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ok := Identity{AnonymousID: idA, Consented: true}
	for name, value := range map[string]string{
		"nobody":     rv.Handoff(Identity{Consented: true}, shop, outlet, epoch),
		"no consent": rv.Handoff(Identity{AnonymousID: idA}, shop, outlet, epoch),
		"no host":    rv.Handoff(ok, shop, "", epoch),
		"no key":     locked.Handoff(ok, shop, outlet, epoch),
	} {
		if value != "" {
			t.Errorf("%s: %q", name, value)
		}
	}
	if _, ok := locked.Accept("x", shop, ok, Request{Host: outlet, Now: epoch}); ok {
		t.Error("accepted without a key")
	}
}

// FuzzAccept: no value that was not made here hands over anything.
func FuzzAccept(f *testing.F) {
	rv := newResolver(f, Config{})
	value := rv.Handoff(Identity{AnonymousID: idB, Consented: true}, shop, outlet, epoch)
	for _, seed := range []string{value, value[:len(value)-1], value + "A", idB, "", "\x00", strings.Repeat("A", maxSealedLen)} {
		f.Add(seed, shop, outlet)
	}
	f.Fuzz(func(t *testing.T, value, from, to string) {
		r := Request{Host: to, Document: true, Now: epoch}
		if o, ok := rv.Accept(value, from, rv.Resolve(r), r); ok && o.AnonymousID != idB {
			t.Errorf("%q handed over %q", value, o.AnonymousID)
		}
	})
}
