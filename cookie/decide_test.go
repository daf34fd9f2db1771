package cookie

import (
	"strings"
	"testing"
	"time"
)

// decideTest is a request, the app's answer and what comes of them. Cookies are
// described as names.describe does.
type decideTest struct {
	name string
	cfg  Config
	brought
	request  func(*Request)
	response Response
	want     wanted
}

type wanted struct {
	id, user string
	reason   Reason
	identify bool
	refused  bool
	cookies  string
}

func document(r *Request)    { r.Document = true }
func fetch(*Request)         {}
func speculative(r *Request) { r.Document, r.Speculative = true, true }

func (test decideTest) run(t *testing.T, rv *Resolver) Outcome {
	t.Helper()
	r := Request{Cookies: test.cookies(t, rv), Host: host, Secure: true, Now: epoch}
	test.request(&r)
	id := rv.Resolve(r)
	o := rv.Decide(id, r, test.response)
	n := names{t: t}
	if got := n.of(o.AnonymousID); got != test.want.id {
		t.Errorf("ID %q, want %q", got, test.want.id)
	}
	if want := test.want.id != ""; o.Durable != want {
		t.Errorf("durable %v, want %v", o.Durable, want)
	}
	if o.UserID != test.want.user {
		t.Errorf("user %q, want %q", o.UserID, test.want.user)
	}
	if o.Reason != test.want.reason {
		t.Errorf("reason %v, want %v", o.Reason, test.want.reason)
	}
	if o.SendIdentify != test.want.identify {
		t.Errorf("send identify %v, want %v", o.SendIdentify, test.want.identify)
	}
	if o.Consented == test.want.refused {
		t.Errorf("consented %v, want %v", o.Consented, !test.want.refused)
	}
	want := strings.ReplaceAll(test.want.cookies, "; ", "\n")
	if got := n.describe(rv, r, o.Cookies); got != want {
		t.Errorf("cookies:\n%s\nwant:\n%s", got, want)
	}
	if test.want.cookies == "" && o.Cookies != nil {
		t.Errorf("cookies %v, want nil", o.Cookies)
	}
	return o
}

// Answers that the rows share.
var (
	page    = Response{Settable: true, Navigation: true}
	plain   = Response{Settable: true}
	cached  = Response{Navigation: true}
	names1  = Response{Settable: true, UserID: "u1", Identify: true, IdentifyDigest: digest1}
	names2  = Response{Settable: true, UserID: "u2", Identify: true, IdentifyDigest: digest2}
	traits2 = Response{Settable: true, Identify: true, IdentifyDigest: digest2}
	tracks  = Response{Settable: true, Tracked: true}
	logout  = Response{Settable: true, Reset: true}
)

// with is a copy of the answer s, changed.
func with(s Response, change func(*Response)) Response {
	change(&s)
	return s
}

func navigates(s *Response)  { s.Navigation = true }
func unsettable(s *Response) { s.Settable = false }
func paged(s *Response)      { s.Navigation, s.Page = true, true }

const (
	setBothNew = "readable new @example.com; keeper new @example.com"
	setBothA   = "readable A @example.com; keeper A @example.com"
	expireAll  = "expire readable @host; expire readable @www.example.com; expire readable @example.com; expire keeper @host; expire keeper @www.example.com; expire keeper @example.com"
)

// The rows follow identity.md: who is new, who is known, renewal, divergence,
// restore or reset, duplicates, shared caches.
func TestDecide(t *testing.T) {
	none := brought{}
	agree := brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept()}}
	agreeAfter := func(d time.Duration) brought {
		return brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(seenAgo(d))}}
	}
	tests := []decideTest{
		{"new visitor: set both", Config{}, none, document, page,
			wanted{id: "new", reason: Minted, cookies: setBothNew}},
		{"new visitor, the document failed: nothing", Config{}, none, document, plain,
			wanted{reason: None}},
		{"new visitor, the document failed and the app tracked: set both", Config{}, none, document, tracks,
			wanted{id: "new", reason: Minted, cookies: setBothNew}},
		{"new visitor, shared cache: the minted ID is dropped", Config{}, none, document, cached,
			wanted{reason: None}},
		{"new visitor, prerender: nothing", Config{}, none, speculative, page,
			wanted{reason: None}},
		{"nobody, fetch: nothing", Config{}, none, fetch, plain,
			wanted{reason: None}},
		{"nobody, a document of a bot: nothing", Config{}, none, fetch, page,
			wanted{reason: None}},
		{"nobody, fetch that tracks: mint", Config{}, none, fetch, tracks,
			wanted{id: "new", reason: Minted, cookies: setBothNew}},
		{"nobody, fetch that tracks, shared cache: nothing", Config{}, none, fetch, with(tracks, unsettable),
			wanted{reason: None}},
		{"nobody, prerender that tracks: nothing", Config{}, none, speculative, tracks,
			wanted{reason: None}},
		{"keeper only mode, new visitor: the keeper alone", Config{KeeperOnly: true}, none, document, page,
			wanted{id: "new", reason: Minted, cookies: "keeper new @example.com"}},

		{"known within a day: no Set-Cookie", Config{}, agree, document, page,
			wanted{id: "A", reason: Kept}},
		{"known for a day: renew both", Config{}, agreeAfter(day), document, page,
			wanted{id: "A", reason: Kept, cookies: setBothA}},
		{"known for a second less: no Set-Cookie", Config{}, agreeAfter(day - time.Second), document, page,
			wanted{id: "A", reason: Kept}},
		{"known for a day, fetch: no Set-Cookie", Config{}, agreeAfter(day), fetch, plain,
			wanted{id: "A", reason: Kept}},
		{"known for a day, prerender: no Set-Cookie", Config{}, agreeAfter(day), speculative, page,
			wanted{id: "A", reason: Kept}},
		{"known for a day, shared cache: no Set-Cookie, the ID is the browser's", Config{}, agreeAfter(day), document, cached,
			wanted{id: "A", reason: Kept}},
		{"renewal keeps user and identify", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(seenAgo(2*day), user("u1"), identified(2*day))}},
			document, page,
			wanted{id: "A", user: "u1", reason: Kept,
				cookies: "readable A @example.com; keeper A u1 identified:1 @example.com"}},
		{"keeper of a clock a day ahead: renew both", Config{}, agreeAfter(-day), document, page,
			wanted{id: "A", reason: Kept, cookies: setBothA}},
		{"renew_after 1 s: practically always", Config{RenewAfter: time.Second}, agreeAfter(time.Second), document, page,
			wanted{id: "A", reason: Kept, cookies: setBothA}},
		{"keeper only mode, known for a day: renew it", Config{KeeperOnly: true},
			brought{keeper: []*keeper{kept(seenAgo(day))}}, document, page,
			wanted{id: "A", reason: Kept, cookies: "keeper A @example.com"}},

		{"adopted: set both", Config{}, brought{readable: []string{quoted(idA)}}, document, page,
			wanted{id: "A", reason: Adopted, cookies: setBothA}},
		{"adopted, fetch: nothing yet", Config{}, brought{readable: []string{quoted(idA)}}, fetch, tracks,
			wanted{id: "A", reason: Adopted}},
		{"keeper forged: replace it", Config{},
			brought{readable: []string{quoted(idA)}, literal: "intilery_keeper=x"}, document, page,
			wanted{id: "A", reason: Adopted, cookies: setBothA}},
		{"raw dialect: rewrite the readable one at once, without sealing", Config{},
			brought{readable: []string{idA}, keeper: []*keeper{kept()}}, document, page,
			wanted{id: "A", reason: Kept, cookies: "readable A @example.com"}},
		{"raw dialect, fetch: later", Config{},
			brought{readable: []string{idA}, keeper: []*keeper{kept()}}, fetch, plain,
			wanted{id: "A", reason: Kept}},
		{"dialect raw and a quoted cookie: rewrite", Config{Dialect: DialectRaw}, agree, document, page,
			wanted{id: "A", reason: Kept, cookies: "readable A @example.com"}},

		{"diverged: rewrite, without the keeper's user", Config{},
			brought{readable: []string{quoted(idB)}, keeper: []*keeper{kept(user("u1"), identified(time.Hour))}}, document, page,
			wanted{id: "B", reason: Diverged, cookies: "readable B @example.com; keeper B @example.com"}},
		{"diverged, fetch: the next document rewrites", Config{},
			brought{readable: []string{quoted(idB)}, keeper: []*keeper{kept(user("u1"))}}, fetch, plain,
			wanted{id: "B", reason: Diverged}},

		{"restored: set both", Config{}, brought{keeper: []*keeper{kept(seenAgo(8*day), user("u1"))}}, document, page,
			wanted{id: "A", user: "u1", reason: Restored,
				cookies: "readable A @example.com; keeper A u1 @example.com"}},
		{"restored, fetch that identifies: both, or the next request would look like a reset", Config{},
			brought{keeper: []*keeper{kept(seenAgo(8*day), user("u1"))}}, fetch, names1,
			wanted{id: "A", user: "u1", reason: Restored, identify: true,
				cookies: "readable A @example.com; keeper A u1 identified:1 @example.com"}},
		{"readable removed: a new ID, the user forgotten", Config{},
			brought{keeper: []*keeper{kept(user("u1"))}}, document, page,
			wanted{id: "new", reason: Reset, cookies: setBothNew}},
		{"readable removed, shared cache: the old ID is not used", Config{},
			brought{keeper: []*keeper{kept(user("u1"))}}, document, cached,
			wanted{reason: Reset}},
		{"readable removed, fetch: nothing yet", Config{},
			brought{keeper: []*keeper{kept(user("u1"))}}, fetch, plain,
			wanted{reason: Reset}},
		{"readable removed, fetch that names a user: a new ID", Config{},
			brought{keeper: []*keeper{kept(user("u1"))}}, fetch, names1,
			wanted{id: "new", user: "u1", reason: Reset, identify: true,
				cookies: "readable new @example.com; keeper new u1 identified:1 @example.com"}},

		{"two readable: expire the twins", Config{},
			brought{readable: []string{quoted(idA), quoted(idB)}, keeper: []*keeper{kept()}}, document, page,
			wanted{id: "A", reason: Kept, cookies: "expire readable @host; expire readable @www.example.com; readable A @example.com; keeper A twins @example.com"}},
		{"two readable, expired in vain before: not again until the renewal", Config{},
			brought{readable: []string{quoted(idA), quoted(idB)}, keeper: []*keeper{kept(twins)}}, document, page,
			wanted{id: "A", reason: Kept}},
		{"two readable, expired in vain before, renewal due", Config{},
			brought{readable: []string{quoted(idA), quoted(idB)}, keeper: []*keeper{kept(twins, seenAgo(day))}}, document, page,
			wanted{id: "A", reason: Kept, cookies: "expire readable @host; expire readable @www.example.com; readable A @example.com; keeper A twins @example.com"}},
		{"one readable again, renewal due: forgotten", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(twins, seenAgo(day))}}, document, page,
			wanted{id: "A", reason: Kept, cookies: setBothA}},
		{"two readable, fetch: later", Config{},
			brought{readable: []string{quoted(idA), quoted(idB)}, keeper: []*keeper{kept()}}, fetch, plain,
			wanted{id: "A", reason: Kept}},
		{"two keepers: expire the twins", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(), kept(seenAgo(2 * time.Hour))}}, document, page,
			wanted{id: "A", reason: Kept,
				cookies: "readable A @example.com; expire keeper @host; expire keeper @www.example.com; keeper A twins @example.com"}},
		{"two readable, domain narrower than the tag's: expire the tag's too", Config{Domain: host},
			brought{readable: []string{quoted(idA), quoted(idB)}, keeper: []*keeper{kept()}}, document, page,
			wanted{id: "A", reason: Kept,
				cookies: "expire readable @host; expire readable @example.com; readable A @www.example.com; keeper A twins @www.example.com"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, newResolver(t, test.cfg)) })
	}
}

// Users: identify, switch, logout.
func TestDecideUser(t *testing.T) {
	as := func(f ...func(*keeper)) brought {
		return brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(f...)}}
	}
	tests := []decideTest{
		{"nobody, fetch that names a user: mint and identify", Config{}, brought{}, fetch, names1,
			wanted{id: "new", user: "u1", reason: Minted, identify: true,
				cookies: "readable new @example.com; keeper new u1 identified:1 @example.com"}},
		{"nobody, names a user, shared cache: the user alone", Config{}, brought{}, fetch, with(names1, unsettable),
			wanted{user: "u1", reason: None, identify: true}},
		{"nobody, traits, shared cache: nobody to identify", Config{}, brought{}, fetch, with(traits2, unsettable),
			wanted{reason: None}},
		{"nobody, prerender that names a user: nothing", Config{}, brought{}, speculative, names1,
			wanted{reason: None}},
		{"new visitor, document that names a user", Config{}, brought{}, document, with(names1, navigates),
			wanted{id: "new", user: "u1", reason: Minted, identify: true,
				cookies: "readable new @example.com; keeper new u1 identified:1 @example.com"}},
		{"anonymous visitor becomes a user: the same ID", Config{}, as(), fetch, names1,
			wanted{id: "A", user: "u1", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A u1 identified:1 @example.com"}},
		{"adopted visitor becomes a user: the same ID", Config{}, brought{readable: []string{quoted(idA)}}, fetch, names1,
			wanted{id: "A", user: "u1", reason: Adopted, identify: true,
				cookies: "readable A @example.com; keeper A u1 identified:1 @example.com"}},
		{"traits of an anonymous visitor", Config{}, as(), fetch, traits2,
			wanted{id: "A", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A identified:2 @example.com"}},

		{"the same identify within a day: not news", Config{}, as(user("u1"), identified(24*time.Hour)), document,
			with(names1, navigates), wanted{id: "A", user: "u1", reason: Kept}},
		{"the same identify after a day: again", Config{}, as(user("u1"), identified(24*time.Hour+time.Second)), fetch, names1,
			wanted{id: "A", user: "u1", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A u1 identified:1 @example.com"}},
		{"the same identify of a clock ahead of ours: again", Config{}, as(user("u1"), identified(-25*time.Hour)), fetch, names1,
			wanted{id: "A", user: "u1", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A u1 identified:1 @example.com"}},
		{"the same digest, a user for the first time: news", Config{}, as(identified(time.Hour)), fetch, names1,
			wanted{id: "A", user: "u1", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A u1 identified:1 @example.com"}},
		{"other traits: news", Config{}, as(user("u1"), identified(time.Hour)), fetch, traits2,
			wanted{id: "A", user: "u1", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A u1 identified:2 @example.com"}},
		{"news on a shared cache's response: sent, not remembered", Config{}, as(user("u1"), identified(time.Hour)), fetch,
			with(traits2, unsettable), wanted{id: "A", user: "u1", reason: Kept, identify: true}},
		{"prerender that identifies: nothing", Config{}, as(), speculative, names1, wanted{id: "A", reason: Kept}},
		{"diverged, names the keeper's user: news of the new ID", Config{},
			brought{readable: []string{quoted(idB)}, keeper: []*keeper{kept(user("u1"), identified(time.Hour))}}, fetch, names1,
			wanted{id: "B", user: "u1", reason: Diverged, identify: true,
				cookies: "readable B @example.com; keeper B u1 identified:1 @example.com"}},
		{"a user ID that is too long: disregarded", Config{}, as(user("u1")), fetch,
			with(names1, func(s *Response) { s.UserID = strings.Repeat("u", MaxUserIDLen+1) }),
			wanted{id: "A", user: "u1", reason: Kept}},
		{"a user ID that breaks lines: disregarded", Config{}, as(user("u1")), fetch,
			with(names1, func(s *Response) { s.UserID = "u\r\nSet-Cookie: x=y" }),
			wanted{id: "A", user: "u1", reason: Kept}},

		{"another user: a new ID, then identify", Config{}, as(user("u1"), identified(time.Hour)), fetch, names2,
			wanted{id: "new", user: "u2", reason: Switched, identify: true,
				cookies: "readable new @example.com; keeper new u2 identified:2 @example.com"}},
		{"another user, with the digest of the last identify", Config{}, as(user("u1"), identified(time.Hour)), fetch,
			with(names1, func(s *Response) { s.UserID = "u2" }),
			wanted{id: "new", user: "u2", reason: Switched, identify: true,
				cookies: "readable new @example.com; keeper new u2 identified:1 @example.com"}},
		{"another user, shared cache: not under the first one's ID", Config{}, as(user("u1")), fetch, with(names2, unsettable),
			wanted{user: "u2", reason: Switched, identify: true}},
		{"another user after a cap: a new ID", Config{}, brought{keeper: []*keeper{kept(user("u1"), seenAgo(8*day))}}, document,
			with(names2, navigates), wanted{id: "new", user: "u2", reason: Switched, identify: true,
				cookies: "readable new @example.com; keeper new u2 identified:2 @example.com"}},

		{"logout: the old identity to the last, both cookies gone", Config{}, as(user("u1")), fetch, logout,
			wanted{id: "A", user: "u1", reason: Reset, cookies: expireAll}},
		{"logout answered by a page: its tag finds the next visitor's ID, not its own copy", Config{}, as(user("u1")), document,
			with(logout, paged),
			wanted{id: "A", user: "u1", reason: Reset, cookies: setBothNew}},
		{"the same after the app's statement on consent, which stays", Config{}, as(user("u1"), appConsent(ConsentGranted)), document,
			with(logout, paged),
			wanted{id: "A", user: "u1", reason: Reset, cookies: "readable new @example.com; keeper new granted @example.com"}},
		{"logout answered by a redirect: both cookies gone", Config{}, as(user("u1")), document, with(logout, navigates),
			wanted{id: "A", user: "u1", reason: Reset, cookies: expireAll}},
		{"logout with last traits: of the one who leaves", Config{}, as(user("u1"), identified(time.Hour)), fetch,
			with(traits2, func(s *Response) { s.Reset = true }),
			wanted{id: "A", user: "u1", reason: Reset, identify: true, cookies: expireAll}},
		{"logout, shared cache: cannot expire", Config{}, as(user("u1")), fetch, with(logout, unsettable),
			wanted{id: "A", user: "u1", reason: Reset}},
		{"logout, prerender: nothing", Config{}, as(user("u1")), speculative, logout,
			wanted{id: "A", user: "u1", reason: Kept}},
		{"logout of a new visitor: the minted ID is dropped", Config{}, brought{}, document, with(logout, navigates),
			wanted{reason: Reset, cookies: expireAll}},
		{"logout, domain narrower than the tag's: all three scopes", Config{Domain: host, KeeperOnly: true},
			brought{keeper: []*keeper{kept(user("u1"))}}, fetch, logout,
			wanted{id: "A", user: "u1", reason: Reset,
				cookies: "expire keeper @host; expire keeper @example.com; expire keeper @www.example.com"}},
		{"logout keeps the app's statement on consent, and nothing else", Config{}, as(user("u1"), appConsent(ConsentGranted)), fetch, logout,
			wanted{id: "A", user: "u1", reason: Reset,
				cookies: "expire readable @host; expire readable @www.example.com; expire readable @example.com; keeper granted @example.com"}},
		{"logout and another user at once: a new ID", Config{}, as(user("u1")), fetch,
			with(names2, func(s *Response) { s.Reset = true }),
			wanted{id: "new", user: "u2", reason: Reset, identify: true,
				cookies: "readable new @example.com; keeper new u2 identified:2 @example.com"}},
		{"logout and the same user at once: a new ID", Config{}, as(user("u1"), identified(time.Hour)), fetch,
			with(names1, func(s *Response) { s.Reset = true }),
			wanted{id: "new", user: "u1", reason: Reset, identify: true,
				cookies: "readable new @example.com; keeper new u1 identified:1 @example.com"}},
		{"logout and another user, shared cache: not under the old ID", Config{}, as(user("u1")), fetch,
			with(names2, func(s *Response) { s.Reset, s.Settable = true, false }),
			wanted{user: "u2", reason: Reset, identify: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, newResolver(t, test.cfg)) })
	}
}

// Where cookies are host-only anyway a twin cannot be told apart, and is no
// reason to write again and again.
func TestDecideTwinsOnLocalhost(t *testing.T) {
	rv := newResolver(t, Config{})
	sealed := rv.keys.seal(kept().encode(), defaultKeeperName, "localhost")
	r := Request{Host: "localhost:2015", Document: true, Now: epoch, Cookies: []string{
		"ajs_anonymous_id=" + quoted(idA) + "; ajs_anonymous_id=" + quoted(idB),
		"intilery_keeper=" + sealed + "; intilery_keeper=" + sealed,
	}}
	if o := rv.Decide(rv.Resolve(r), r, page); o.AnonymousID != idA || o.Cookies != nil {
		t.Errorf("got %q and cookies %q, want the keeper's ID and none", o.AnonymousID, o.Cookies)
	}
}
