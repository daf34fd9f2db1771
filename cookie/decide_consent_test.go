package cookie

import (
	"testing"
	"time"
)

// Consent missing, withdrawn, granted, remembered.
func TestDecideConsent(t *testing.T) {
	required := func(c Consent, more ...func(*Request)) func(*Request) {
		return func(r *Request) {
			r.ConsentRequired, r.Consent = true, c
			for _, f := range more {
				f(r)
			}
		}
	}
	denied := func(r *Request) { r.Document, r.Consent = true, ConsentDenied }
	says := func(c Consent, s Response) Response {
		s.Consent = c
		return s
	}
	agree := brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"))}}
	agreeGranted := brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(appConsent(ConsentGranted))}}
	refused := brought{keeper: []*keeper{kept(noID, appConsent(ConsentDenied))}}
	remembered := brought{keeper: []*keeper{kept(noID, appConsent(ConsentRefused))}}
	byCookie := func(r *Request) { r.Document, r.Consent = true, ConsentRefused }
	const expireReadable = "expire readable @host; expire readable @www.example.com; expire readable @example.com"

	tests := []decideTest{
		{"required, unknown, nothing there: nothing", Config{}, brought{}, required(ConsentUnknown, document), page,
			wanted{reason: NoConsent, refused: true}},
		{"required, unknown: what is there stays", Config{}, agree, required(ConsentUnknown, document), page,
			wanted{reason: NoConsent, refused: true}},
		{"required, unknown, due for renewal: what is there stays", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(seenAgo(3 * day))}}, required(ConsentUnknown, document), page,
			wanted{reason: NoConsent, refused: true}},
		{"required, unknown, a user named: what is there stays", Config{}, agree, required(ConsentUnknown, document), names2,
			wanted{reason: NoConsent, refused: true}},
		{"required, unknown, logout: what is there goes", Config{}, agree, required(ConsentUnknown, document), logout,
			wanted{reason: NoConsent, refused: true, cookies: expireAll}},
		{"required, refused by a cookie: what is there goes", Config{}, agree, required(ConsentRefused, document), page,
			wanted{reason: Denied, refused: true, cookies: expireAll}},
		{"implied, refused by a cookie: remembered, nothing else is left", Config{}, agree, byCookie, page,
			wanted{reason: Denied, refused: true, cookies: expireReadable + "; keeper refused @example.com"}},
		{"implied, refused by a cookie, nothing there: nothing set", Config{}, brought{}, byCookie, page,
			wanted{reason: Denied, refused: true}},
		{"implied, refused by a cookie before, which is withheld now: still refused", Config{}, remembered, document, page,
			wanted{reason: Denied, refused: true}},
		{"implied, refused before and by the browser now: the memory stays", Config{}, remembered, denied, page,
			wanted{reason: Denied, refused: true}},
		{"implied, refused by a cookie half a life ago: renewed", Config{},
			brought{keeper: []*keeper{kept(noID, appConsent(ConsentRefused), seenAgo(183*day))}}, document, page,
			wanted{reason: Denied, refused: true, cookies: "keeper refused @example.com"}},
		{"implied, refused by a cookie that agrees now: starts cleanly", Config{}, remembered,
			func(r *Request) { r.Document, r.Consent = true, ConsentGranted }, page,
			wanted{id: "new", reason: Minted, cookies: "readable new @example.com; keeper new @example.com"}},
		{"required, unknown, prerender: nothing goes yet", Config{}, agree, required(ConsentUnknown, speculative), page,
			wanted{reason: NoConsent, refused: true}},
		{"required, unknown, shared cache: cannot expire", Config{}, agree, required(ConsentUnknown, document), cached,
			wanted{reason: NoConsent, refused: true}},
		{"required, unknown, names a user: nothing", Config{}, brought{}, required(ConsentUnknown), names1,
			wanted{reason: NoConsent, refused: true}},
		{"required, granted by the request: set both", Config{}, brought{}, required(ConsentGranted, document), page,
			wanted{id: "new", reason: Minted, cookies: setBothNew}},

		{"denied by the request: what is there goes, fetches included", Config{}, agree,
			func(r *Request) { r.Consent = ConsentDenied }, plain,
			wanted{reason: Denied, refused: true, cookies: expireAll}},
		{"denied by the request, only the tag's cookie there", Config{}, brought{readable: []string{"x"}}, denied, page,
			wanted{reason: Denied, refused: true, cookies: expireReadable}},
		{"denied by the request beats a grant of the app", Config{}, agreeGranted, denied, says(ConsentGranted, page),
			wanted{reason: Denied, refused: true, cookies: expireAll}},
		{"denied by the request and remembered: the memory stays", Config{}, refused, denied, says(ConsentGranted, page),
			wanted{reason: Denied, refused: true}},

		{"denied by the app: remembered, nothing else is left", Config{}, agree, document, says(ConsentDenied, page),
			wanted{reason: Denied, refused: true, cookies: expireReadable + "; keeper denied @example.com"}},
		{"denied by the app, new visitor: remembered, the minted ID dropped", Config{}, brought{}, document, says(ConsentDenied, page),
			wanted{reason: Denied, refused: true, cookies: "keeper denied @example.com"}},
		{"denied by the app, shared cache: nothing sent, nothing remembered", Config{}, agree, document, says(ConsentDenied, cached),
			wanted{reason: Denied, refused: true}},
		{"denied by the app, and a user named: nothing of it", Config{}, agree, fetch, says(ConsentDenied, names2),
			wanted{reason: Denied, refused: true, cookies: expireReadable + "; keeper denied @example.com"}},
		{"denied by the app, prerender: nothing", Config{}, agree, speculative, says(ConsentDenied, page),
			wanted{id: "A", user: "u1", reason: Kept}},
		{"denied by the app where consent is required: forgetting is enough", Config{}, agreeGranted,
			required(ConsentUnknown, document), says(ConsentDenied, page),
			wanted{reason: Denied, refused: true, cookies: expireAll}},
		{"denied by the app although the request grants: remembered", Config{}, agreeGranted,
			required(ConsentGranted, document), says(ConsentDenied, page),
			wanted{reason: Denied, refused: true, cookies: expireReadable + "; keeper denied @example.com"}},
		{"denied by the app again: no Set-Cookie", Config{}, refused, document, says(ConsentDenied, page),
			wanted{reason: Denied, refused: true}},
		{"denied before, the tag's cookie is back: it goes", Config{},
			brought{readable: []string{quoted(idB)}, keeper: refused.keeper}, document, page,
			wanted{reason: Denied, refused: true, cookies: expireReadable}},
		{"denied half a life ago: the denial is renewed", Config{},
			brought{keeper: []*keeper{kept(noID, appConsent(ConsentDenied), seenAgo(183*day))}}, document, page,
			wanted{reason: Denied, refused: true, cookies: "keeper denied @example.com"}},
		{"denied half a life ago, fetch: later", Config{},
			brought{keeper: []*keeper{kept(noID, appConsent(ConsentDenied), seenAgo(183*day))}}, fetch, plain,
			wanted{reason: Denied, refused: true}},
		{"denied before, an older twin still holds an ID: it goes", Config{},
			brought{keeper: []*keeper{kept(seenAgo(2 * time.Hour)), kept(noID, appConsent(ConsentDenied))}}, document, page,
			wanted{reason: Denied, refused: true, cookies: "expire keeper @host; expire keeper @www.example.com; keeper twins denied @example.com"}},

		{"granted by the app after a denial: starts cleanly", Config{}, refused, document, says(ConsentGranted, page),
			wanted{id: "new", reason: Minted, cookies: "readable new @example.com; keeper new granted @example.com"}},
		{"granted by the app where required, document: starts at once", Config{}, brought{},
			required(ConsentUnknown, document), says(ConsentGranted, page),
			wanted{id: "new", reason: Minted, cookies: "readable new @example.com; keeper new granted @example.com"}},
		{"granted by the app where required, fetch: remembered, starts at the next document", Config{}, brought{},
			required(ConsentUnknown), says(ConsentGranted, plain),
			wanted{reason: None, cookies: "keeper granted @example.com"}},
		{"granted by the app where required, fetch that names a user: starts at once", Config{}, brought{},
			required(ConsentUnknown), says(ConsentGranted, names1),
			wanted{id: "new", user: "u1", reason: Minted, identify: true,
				cookies: "readable new @example.com; keeper new u1 identified:1 granted @example.com"}},
		{"granted by the app where required, the tag has an ID: adopt it", Config{}, brought{readable: []string{quoted(idB)}},
			required(ConsentUnknown), says(ConsentGranted, plain),
			wanted{id: "B", reason: Adopted, cookies: "readable B @example.com; keeper B granted @example.com"}},
		{"granted by the app, shared cache: nothing remembered", Config{}, brought{},
			required(ConsentUnknown, document), says(ConsentGranted, cached),
			wanted{reason: None}},
		{"granted again: no Set-Cookie", Config{}, agreeGranted, required(ConsentUnknown, document), says(ConsentGranted, page),
			wanted{id: "A", reason: Kept}},
		{"granted, and remembered through a divergence", Config{},
			brought{readable: []string{quoted(idB)}, keeper: agreeGranted.keeper}, required(ConsentUnknown, document), page,
			wanted{id: "B", reason: Diverged, cookies: "readable B @example.com; keeper B granted @example.com"}},
		{"granted, and remembered through a reset", Config{},
			brought{keeper: agreeGranted.keeper}, required(ConsentUnknown, document), page,
			wanted{id: "new", reason: Reset, cookies: "readable new @example.com; keeper new granted @example.com"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, newResolver(t, test.cfg)) })
	}
}

// Without keys nothing is set, but what must go goes.
func TestDecideWithoutKeys(t *testing.T) {
	agree := brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"), appConsent(ConsentGranted))}}
	required := func(r *Request) { r.Document, r.ConsentRequired = true, true }
	tests := []decideTest{
		{"new visitor: nothing", Config{}, brought{}, document, page, wanted{reason: NoKey}},
		{"nobody, names a user: the user alone", Config{}, brought{}, fetch, names1,
			wanted{user: "u1", reason: NoKey, identify: true}},
		{"readable: used as it is", Config{}, agree, document, page, wanted{id: "A", reason: NoKey}},
		{"readable, names a user: identify", Config{}, agree, fetch, names1,
			wanted{id: "A", user: "u1", reason: NoKey, identify: true}},
		{"logout: both go", Config{}, agree, fetch, logout, wanted{id: "A", reason: Reset, cookies: expireAll}},
		{"logout and another user: both go, the user alone", Config{}, agree, fetch,
			with(names2, func(s *Response) { s.Reset = true }),
			wanted{user: "u2", reason: Reset, identify: true, cookies: expireAll}},
		{"denied by the request: both go", Config{}, agree,
			func(r *Request) { r.Consent = ConsentDenied }, plain,
			wanted{reason: Denied, refused: true, cookies: expireAll}},
		{"consent required, a keeper that may remember it: wait", Config{}, agree, required, page,
			wanted{reason: NoConsent, refused: true}},
		{"consent required, no keeper: untouched", Config{}, brought{readable: []string{quoted(idA)}}, required, page,
			wanted{reason: NoConsent, refused: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rv, err := NewResolver(test.cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			test.run(t, rv)
		})
	}
}
