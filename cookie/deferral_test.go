package cookie

import (
	"strings"
	"testing"
	"time"
)

// What is deferred is released once, when the ID has come back.
func TestDecideDeferred(t *testing.T) {
	defers := with(page, func(s *Response) { s.Defer = "page" })
	deferred := brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(deferring)}}
	tests := []struct {
		decideTest
		deferring bool
		released  string
	}{
		{decideTest{"new visitor: deferred", Config{}, brought{}, document, defers,
			wanted{id: "new", reason: Minted, cookies: "readable new @example.com; keeper new deferred:page @example.com"}}, true, ""},
		{decideTest{"known visitor: not deferred", Config{}, brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept()}}, document, defers,
			wanted{id: "A", reason: Kept}}, false, ""},
		{decideTest{"adopted visitor: not deferred", Config{}, brought{readable: []string{quoted(idA)}}, document, defers,
			wanted{id: "A", reason: Adopted, cookies: setBothA}}, false, ""},
		{decideTest{"after a reset, whose cookies came: not deferred", Config{}, brought{keeper: []*keeper{kept()}}, document, defers,
			wanted{id: "new", reason: Reset, cookies: setBothNew}}, false, ""},
		{decideTest{"too much: not deferred", Config{}, brought{}, document,
			with(defers, func(s *Response) { s.Defer = strings.Repeat("h", MaxDeferredLen+1) }),
			wanted{id: "new", reason: Minted, cookies: setBothNew}}, false, ""},
		{decideTest{"new visitor, shared cache: nobody, nothing deferred", Config{}, brought{}, document, with(defers, unsettable),
			wanted{reason: None}}, false, ""},
		{decideTest{"the ID came back", Config{}, deferred, document, page,
			wanted{id: "A", reason: Kept, cookies: setBothA}}, false, "page"},
		{decideTest{"the ID came back, fetch", Config{}, deferred, fetch, plain,
			wanted{id: "A", reason: Kept, cookies: setBothA}}, false, "page"},
		{decideTest{"the ID came back after a cap", Config{}, brought{keeper: []*keeper{kept(deferring, seenAgo(8*day))}}, document, page,
			wanted{id: "A", reason: Restored, cookies: setBothA}}, false, "page"},
		{decideTest{"the ID came back, shared cache: later, or it would come again and again", Config{}, deferred, document, cached,
			wanted{id: "A", reason: Kept}}, false, ""},
		{decideTest{"the ID came back, prerender: later", Config{}, deferred, speculative, page,
			wanted{id: "A", reason: Kept}}, false, ""},
		{decideTest{"the ID came back to a logout", Config{}, deferred, fetch, logout,
			wanted{id: "A", reason: Reset, cookies: expireAll}}, false, "page"},
		{decideTest{"another ID came back: never", Config{}, brought{readable: []string{quoted(idB)}, keeper: deferred.keeper}, document, page,
			wanted{id: "B", reason: Diverged, cookies: "readable B @example.com; keeper B @example.com"}}, false, ""},
		{decideTest{"denied: never", Config{}, deferred, func(r *Request) { r.Consent = ConsentDenied }, page,
			wanted{reason: Denied, refused: true, cookies: expireAll}}, false, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := test.run(t, newResolver(t, test.cfg))
			if o.Deferring != test.deferring || released(o) != test.released {
				t.Errorf("deferring %v, released %q, want %v and %q", o.Deferring, released(o), test.deferring, test.released)
			}
		})
	}
}

// A browser that withholds the cookies shows nothing of its visitor: nothing is
// minted or written, and what the app says waits for the next document.
func TestDecideWithheld(t *testing.T) {
	post := func(r *Request) { r.TopLevel, r.CrossSite = true, true }
	frame := func(r *Request) { r.NoStorage = true }
	tracks := Response{Settable: true, Tracked: true, Defer: "tracks"}
	form := brought{literal: "consent=yes"}
	required := func(c Consent) func(*Request) {
		return func(r *Request) {
			post(r)
			r.ConsentRequired, r.Consent = true, c
		}
	}
	tests := []struct {
		decideTest
		deferring bool
	}{
		{decideTest{"answered with a page: nothing", Config{}, form, post, page,
			wanted{reason: Withheld}}, false},
		{decideTest{"names a user: identified alone, and waits", Config{}, form, post, names1,
			wanted{user: "u1", reason: Withheld, identify: true, cookies: "deferral u1 @example.com"}}, false},
		{decideTest{"tracks of nobody: wait", Config{}, form, post, tracks,
			wanted{reason: Withheld, cookies: "deferral tracks @example.com"}}, true},
		{decideTest{"more tracks than a cookie holds", Config{}, form, post,
			with(tracks, func(s *Response) { s.Defer = strings.Repeat("t", MaxDeferredLen+1) }),
			wanted{reason: Withheld}}, false},
		{decideTest{"logout: waits", Config{}, form, post, logout,
			wanted{reason: Withheld, cookies: "deferral reset @example.com"}}, false},
		{decideTest{"consent is not known: all of it waits", Config{}, form, required(ConsentUnknown),
			with(names1, func(s *Response) { s.Defer = "identify" }),
			wanted{reason: Withheld, refused: true, cookies: "deferral u1 identify @example.com"}}, true},
		{decideTest{"consent is granted", Config{}, form, required(ConsentGranted), names1,
			wanted{user: "u1", reason: Withheld, identify: true, cookies: "deferral u1 @example.com"}}, false},
		{decideTest{"the app grants: waits", Config{}, form, required(ConsentUnknown), with(page, func(s *Response) { s.Consent = ConsentGranted }),
			wanted{reason: Withheld, cookies: "deferral granted @example.com"}}, false},
		{decideTest{"the app denies: what may be there goes", Config{}, form, required(ConsentUnknown), with(page, func(s *Response) { s.Consent = ConsentDenied }),
			wanted{reason: Denied, refused: true, cookies: "expire readable @host; expire readable @www.example.com; expire readable @example.com; " +
				"expire deferral @example.com; expire keeper @host; expire keeper @www.example.com; expire keeper @example.com"}}, false},
		{decideTest{"refused: nothing", Config{}, form, required(ConsentDenied), names1,
			wanted{reason: Denied, refused: true}}, false},
		{decideTest{"a response that a shared cache stores: nothing", Config{}, form, post, with(names1, unsettable),
			wanted{user: "u1", reason: Withheld, identify: true}}, false},
		{decideTest{"a fetch of another site: no cookie, which the browser would refuse", Config{}, form,
			func(r *Request) { r.CrossSite = true }, names1,
			wanted{user: "u1", reason: Withheld, identify: true}}, false},
		{decideTest{"a frame without storage: no cookie", Config{}, form, frame, tracks,
			wanted{reason: Withheld}}, false},
		{decideTest{"a frame without storage, even a document", Config{}, form,
			func(r *Request) { frame(r); r.Document = true }, page,
			wanted{reason: Withheld}}, false},
		{decideTest{"same_site none: not withheld", Config{SameSite: SameSiteNone}, form, post, with(page, func(s *Response) { s.Navigation = false }),
			wanted{reason: None}}, false},
		{decideTest{"same_site none, a frame without storage", Config{SameSite: SameSiteNone}, form, frame, tracks,
			wanted{reason: Withheld}}, false},
		{decideTest{"a readable that a script has rewritten comes alone: nothing is written", Config{}, brought{readable: []string{quoted(idA)}}, post, names1,
			wanted{user: "u1", reason: Withheld, identify: true, cookies: "deferral u1 @example.com"}}, false},
		{decideTest{"the cookies came all the same", Config{}, brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept()}}, post, names1,
			wanted{id: "A", user: "u1", reason: Kept, identify: true, cookies: "readable A @example.com; keeper A u1 identified:1 @example.com"}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if o := test.run(t, newResolver(t, test.cfg)); o.Deferring != test.deferring {
				t.Errorf("deferring %v, want %v", o.Deferring, test.deferring)
			}
		})
	}
}

// The next document brings the visitor's own ID, and learns what waited.
func TestDecideAfterWithheld(t *testing.T) {
	const expired = "; expire deferral @example.com"
	known := func(d deferral, change ...func(*keeper)) brought {
		if d.made == 0 {
			d.made = ago(time.Second)
		}
		return brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(change...)}, deferral: &d}
	}
	tests := []struct {
		decideTest
		released string
	}{
		{decideTest{"a user: both are identified", Config{}, known(deferral{userID: "u1"}), document, page,
			wanted{id: "A", user: "u1", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A u1 identified:0 @example.com" + expired}}, ""},
		{decideTest{"a user of a new visitor", Config{}, brought{deferral: &deferral{made: ago(0), userID: "u1"}}, document, page,
			wanted{id: "new", user: "u1", reason: Minted, identify: true,
				cookies: "readable new @example.com; keeper new u1 identified:0 @example.com" + expired}}, ""},
		{decideTest{"the user who is known already", Config{}, known(deferral{userID: "u1"}, user("u1"), identified(time.Hour)), document, page,
			wanted{id: "A", user: "u1", reason: Kept, cookies: "readable A @example.com; keeper A u1 identified:1 @example.com" + expired}}, ""},
		{decideTest{"another user: a new ID, as at a login", Config{}, known(deferral{userID: "u2"}, user("u1")), document, page,
			wanted{id: "new", user: "u2", reason: Switched, identify: true,
				cookies: "readable new @example.com; keeper new u2 identified:0 @example.com" + expired}}, ""},
		{decideTest{"the app names somebody itself", Config{}, known(deferral{userID: "u1"}), document, with(names2, func(s *Response) { s.Navigation = true }),
			wanted{id: "A", user: "u2", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A u2 identified:2 @example.com" + expired}}, ""},
		{decideTest{"consent: granted from here on", Config{}, known(deferral{granted: true}),
			func(r *Request) { r.Document, r.ConsentRequired = true, true }, page,
			wanted{id: "A", reason: Kept, cookies: "readable A @example.com; keeper A granted @example.com" + expired}}, ""},
		{decideTest{"consent, which the browser refuses", Config{}, known(deferral{granted: true}),
			func(r *Request) { r.Document, r.ConsentRequired, r.Consent = true, true, ConsentDenied }, page,
			wanted{reason: Denied, refused: true, cookies: "expire readable @host; expire readable @www.example.com; expire readable @example.com" +
				expired + "; expire keeper @host; expire keeper @www.example.com; expire keeper @example.com"}}, ""},
		{decideTest{"events: released", Config{}, known(deferral{events: "tracks"}), document, page,
			wanted{id: "A", reason: Kept, cookies: setBothA + expired}}, "tracks"},
		{decideTest{"a logout: a new ID", Config{}, known(deferral{reset: true}, user("u1")), document, page,
			wanted{id: "new", reason: Reset, cookies: "readable new @example.com; keeper new @example.com" + expired}}, ""},
		{decideTest{"events of a logout: of the one who has left", Config{}, known(deferral{reset: true, events: "tracks"}, user("u1")), document, page,
			wanted{id: "new", reason: Reset, cookies: "readable new @example.com; keeper new @example.com" + expired}}, "tracks of A as u1"},
		{decideTest{"events of a user, where the app names another", Config{}, known(deferral{userID: "u1", events: "tracks"}), document,
			with(names2, func(s *Response) { s.Navigation = true }),
			wanted{id: "A", user: "u2", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A u2 identified:2 @example.com" + expired}}, "tracks of  as u1"},
		{decideTest{"a fetch that names another user: nothing switches back", Config{}, known(deferral{userID: "u1"}), fetch, names2,
			wanted{id: "A", user: "u2", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A u2 identified:2 @example.com" + expired}}, ""},
		{decideTest{"a fetch that names a user after a logout: a new ID", Config{}, known(deferral{reset: true}, user("u1")), fetch, names2,
			wanted{id: "new", user: "u2", reason: Reset, identify: true,
				cookies: "readable new @example.com; keeper new u2 identified:2 @example.com" + expired}}, ""},
		{decideTest{"events, and a logout now: of the one who leaves", Config{}, known(deferral{events: "tracks"}, user("u1")), document, with(logout, func(s *Response) { s.Navigation = true }),
			wanted{id: "A", user: "u1", reason: Reset, cookies: expireAll + expired}}, "tracks as u1"},
		{decideTest{"a fetch: later", Config{}, known(deferral{userID: "u1"}), fetch, plain,
			wanted{id: "A", reason: Kept}}, ""},
		{decideTest{"a shared cache: later", Config{}, known(deferral{events: "tracks"}), document, cached,
			wanted{id: "A", reason: Kept}}, ""},
		{decideTest{"too old: nothing", Config{}, known(deferral{made: ago(deferralLife + time.Second), userID: "u1"}), document, page,
			wanted{id: "A", reason: Kept}}, ""},
		{decideTest{"from the future: nothing", Config{}, known(deferral{made: ago(-2 * clockSkew), userID: "u1"}), document, page,
			wanted{id: "A", reason: Kept}}, ""},
		{decideTest{"consent still unknown: it stays", Config{}, known(deferral{userID: "u1"}),
			func(r *Request) { r.Document, r.ConsentRequired = true, true }, page,
			wanted{reason: NoConsent, refused: true}}, ""},
		{decideTest{"refused: it goes", Config{}, known(deferral{userID: "u1"}),
			func(r *Request) { r.Document, r.Consent = true, ConsentDenied }, page,
			wanted{reason: Denied, refused: true, cookies: "expire readable @host; expire readable @www.example.com; expire readable @example.com" +
				expired + "; expire keeper @host; expire keeper @www.example.com; expire keeper @example.com"}}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := test.run(t, newResolver(t, test.cfg))
			if got := released(o); got != test.released {
				t.Errorf("released %q, want %q", got, test.released)
			}
		})
	}
}

func TestDeferralRoundTrip(t *testing.T) {
	for name, d := range map[string]deferral{
		"user":    {made: 1, userID: "u"},
		"reset":   {made: 1, reset: true},
		"granted": {made: 1, granted: true},
		"events":  {made: 1, events: "\x00e"},
		"longest": {made: 1, reset: true, userID: strings.Repeat("u", MaxUserIDLen), events: strings.Repeat("e", MaxDeferredLen)},
	} {
		if got, ok := decodeDeferral(d.encode()); !ok || got != d {
			t.Errorf("%s: got %+v, %v", name, got, ok)
		}
	}
	for name, plain := range map[string]string{
		"nothing":         "",
		"nobody, nothing": "\x00\x00\x00\x00\x01",
		"unknown flag":    "\x08\x00\x00\x00\x01e",
		"no user":         "\x02\x00\x00\x00\x01",
		"short user":      "\x02\x00\x00\x00\x01\x05abc",
		"malformed user":  "\x02\x00\x00\x00\x01\x00\n",
		"too many events": "\x00\x00\x00\x00\x01" + strings.Repeat("e", MaxDeferredLen+1),
	} {
		if d, ok := decodeDeferral([]byte(plain)); ok {
			t.Errorf("%s: decoded to %+v", name, d)
		}
	}
}

// Where consent is required and not known, the keeper alone tells whose page may
// be counted once it is.
func TestAwaitingConsent(t *testing.T) {
	rv := newResolver(t, Config{})
	for name, test := range map[string]struct {
		brought
		want string
	}{
		"nobody":               {brought{}, ""},
		"kept":                 {brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept()}}, idA},
		"to be restored":       {brought{keeper: []*keeper{kept(seenAgo(8 * day))}}, idA},
		"cleared":              {brought{keeper: []*keeper{kept()}}, ""},
		"a readable alone":     {brought{readable: []string{quoted(idB)}}, ""},
		"a readable of others": {brought{readable: []string{quoted(idB)}, keeper: []*keeper{kept()}}, ""},
	} {
		r := Request{Cookies: test.cookies(t, rv), Host: host, Secure: true, Document: true, ConsentRequired: true, Now: epoch}
		if o := rv.Decide(rv.Resolve(r), r, page); o.Awaiting != test.want || o.Cookies != nil {
			t.Errorf("%s: awaiting %q with cookies %q, want %q and none", name, o.Awaiting, o.Cookies, test.want)
		}
	}
}

// FuzzDeferral: any plain text is a deferral that encodes to the same, or none.
func FuzzDeferral(f *testing.F) {
	f.Add([]byte("\x07\x00\x00\x00\x01\x0142[]"))
	f.Add([]byte("\x00\x00\x00\x00\x01e"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, plain []byte) {
		d, ok := decodeDeferral(plain)
		if ok && string(d.encode()) != string(plain) {
			t.Errorf("%q is %+v, which encodes to %q", plain, d, d.encode())
		}
	})
}
