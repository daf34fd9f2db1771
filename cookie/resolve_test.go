package cookie

import (
	"testing"
	"time"
	"unsafe"
)

// The rows follow the resolution rules in order: nobody, agreement, divergence,
// a missing cookie, invalid ones, duplicates, gates, consent.
func TestResolve(t *testing.T) {
	document := func(r *Request) { r.Document = true }
	fetch := func(*Request) {}
	prerender := func(r *Request) { r.Speculative = true }
	both := func(f ...func(*Request)) func(*Request) {
		return func(r *Request) {
			for _, g := range f {
				g(r)
			}
		}
	}
	required := func(r *Request) { r.ConsentRequired = true }
	says := func(c Consent) func(*Request) { return func(r *Request) { r.Consent = c } }

	type want struct {
		id, user string
		reason   Reason
		refused  bool
		bad      bool
	}
	tests := []struct {
		name string
		cfg  Config
		brought
		request func(*Request)
		want    want
	}{
		{"no cookie, document: mint", Config{}, brought{}, document, want{id: "new", reason: Minted}},
		{"no cookie, fetch: nobody", Config{}, brought{}, fetch, want{reason: None}},
		{"no cookie, prerender: nobody", Config{}, brought{}, prerender, want{reason: None}},
		{"no cookie, prerender marked as document: nobody", Config{}, brought{}, both(document, prerender), want{reason: None}},

		{"both agree: keep, with the user", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"))}}, document,
			want{id: "A", user: "u1", reason: Kept}},
		{"both agree, fetch: keep", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"))}}, fetch,
			want{id: "A", user: "u1", reason: Kept}},
		{"both agree, prerender: the app may be told", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"))}}, prerender,
			want{id: "A", user: "u1", reason: Kept}},
		{"both agree, raw dialect: keep", Config{},
			brought{readable: []string{idA}, keeper: []*keeper{kept()}}, document, want{id: "A", reason: Kept}},
		{"keeper of a clock ahead of ours: keep", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(seenAgo(-90 * day))}}, document,
			want{id: "A", reason: Kept}},

		{"readable only: adopt", Config{}, brought{readable: []string{quoted(idA)}}, document, want{id: "A", reason: Adopted}},
		{"readable only, raw: adopt", Config{}, brought{readable: []string{idA}}, document, want{id: "A", reason: Adopted}},
		{"readable only, in the double quotes of RFC 6265: adopt", Config{},
			brought{readable: []string{`"` + idA + `"`}}, document, want{id: "A", reason: Adopted}},

		{"both differ: the readable one wins, without the user", Config{},
			brought{readable: []string{quoted(idB)}, keeper: []*keeper{kept(user("u1"))}}, document,
			want{id: "B", reason: Diverged}},
		{"both differ, fetch: the same", Config{},
			brought{readable: []string{quoted(idB)}, keeper: []*keeper{kept(user("u1"))}}, fetch,
			want{id: "B", reason: Diverged}},

		{"readable gone, seen 168 h ago: a cap removed it, restore", Config{},
			brought{keeper: []*keeper{kept(seenAgo(168*time.Hour), user("u1"))}}, document,
			want{id: "A", user: "u1", reason: Restored}},
		{"readable gone, seen a second less ago: removed on purpose, mint", Config{},
			brought{keeper: []*keeper{kept(seenAgo(168*time.Hour-time.Second), user("u1"))}}, document,
			want{id: "new", reason: Reset}},
		{"readable gone, seen recently, fetch: the old ID is not used", Config{},
			brought{keeper: []*keeper{kept(user("u1"))}}, fetch, want{reason: Reset}},
		{"readable gone, seen recently, prerender: the old ID is not used", Config{},
			brought{keeper: []*keeper{kept(user("u1"))}}, prerender, want{reason: Reset}},
		{"readable gone, restore_after 24 h, seen 24 h ago: restore", Config{RestoreAfter: 24 * time.Hour},
			brought{keeper: []*keeper{kept(seenAgo(24 * time.Hour))}}, document, want{id: "A", reason: Restored}},
		{"readable gone, keeper of a clock ahead of ours: as if seen now", Config{},
			brought{keeper: []*keeper{kept(seenAgo(-90 * day))}}, document, want{id: "new", reason: Reset}},
		{"keeper only mode: the keeper is all there is", Config{KeeperOnly: true},
			brought{keeper: []*keeper{kept(user("u1"))}}, document, want{id: "A", user: "u1", reason: Kept}},
		{"keeper only mode: a readable cookie is not ours", Config{KeeperOnly: true},
			brought{readable: []string{quoted(idB)}, keeper: []*keeper{kept()}}, document, want{id: "A", reason: Kept}},
		{"keeper only mode, no cookie: mint", Config{KeeperOnly: true},
			brought{readable: []string{quoted(idB)}}, document, want{id: "new", reason: Minted}},

		{"readable invalid, no keeper: mint", Config{}, brought{readable: []string{"%22not-a-uuid%22"}}, document,
			want{id: "new", reason: Minted}},
		{"readable a placeholder: mint", Config{},
			brought{readable: []string{"00000000-0000-0000-0000-000000000000"}}, document, want{id: "new", reason: Minted}},
		{"readable invalid, keeper seen recently: as if gone", Config{},
			brought{readable: []string{"x"}, keeper: []*keeper{kept()}}, document, want{id: "new", reason: Reset}},
		{"readable invalid, keeper seen long ago: as if gone", Config{},
			brought{readable: []string{"x"}, keeper: []*keeper{kept(seenAgo(8 * day))}}, document,
			want{id: "A", reason: Restored}},
		{"readable of the configured pattern: adopt", Config{Pattern: `GA1\.[0-9.]+`},
			brought{readable: []string{"GA1.2.345.678"}}, document, want{id: "GA1.2.345.678", reason: Adopted}},
		{"readable beyond the configured pattern: mint", Config{Pattern: `GA1\.[0-9.]+`},
			brought{readable: []string{"GA1.2.345x"}}, document, want{id: "new", reason: Minted}},

		{"keeper forged, readable valid: adopt and count", Config{},
			brought{readable: []string{quoted(idA)}, literal: "intilery_keeper=AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkq"},
			document, want{id: "A", reason: Adopted, bad: true}},
		{"keeper forged, nothing else: mint and count", Config{}, brought{literal: "intilery_keeper=x"}, document,
			want{id: "new", reason: Minted, bad: true}},
		{"keeper older than its cookie can be: replayed, as if gone", Config{},
			brought{keeper: []*keeper{kept(seenAgo(366*day), user("u1"))}}, document,
			want{id: "new", reason: Minted, bad: true}},

		{"two readable, one equals the keeper: that one", Config{},
			brought{readable: []string{quoted(idA), quoted(idB)}, keeper: []*keeper{kept(user("u1"))}}, document,
			want{id: "A", user: "u1", reason: Kept}},
		{"two readable, neither the keeper's: the last", Config{},
			brought{readable: []string{quoted("c" + idA[1:]), quoted(idB)}, keeper: []*keeper{kept(user("u1"))}}, document,
			want{id: "B", reason: Diverged}},
		{"two readable, no keeper: the last", Config{}, brought{readable: []string{quoted(idB), quoted(idA)}}, document,
			want{id: "A", reason: Adopted}},
		{"two readable, the last invalid: the last valid", Config{},
			brought{readable: []string{quoted(idB), quoted(idA), "x"}}, document, want{id: "A", reason: Adopted}},
		{"two keepers: the one written last", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{
				kept(user("new"), seenAgo(time.Hour)), kept(user("old"), seenAgo(2*time.Hour))}}, document,
			want{id: "A", user: "new", reason: Kept}},
		{"two keepers, one forged: the other, and count", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"))}, literal: "intilery_keeper=x"}, document,
			want{id: "A", user: "u1", reason: Kept, bad: true}},
		{"two keepers of one second, one a denial: the denial", Config{},
			brought{keeper: []*keeper{kept(noID, appConsent(ConsentDenied)), kept()}}, document,
			want{reason: Denied, refused: true}},

		{"the same in the other order: the denial", Config{},
			brought{keeper: []*keeper{kept(), kept(noID, appConsent(ConsentDenied))}}, document,
			want{reason: Denied, refused: true}},

		{"consent required and unknown: nobody", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"))}}, both(document, required),
			want{reason: NoConsent, refused: true}},
		{"consent required and granted by the request: mint", Config{}, brought{},
			both(document, required, says(ConsentGranted)), want{id: "new", reason: Minted}},
		{"consent required and granted by the app before: keep", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(appConsent(ConsentGranted))}}, both(document, required),
			want{id: "A", reason: Kept}},
		{"consent required, granted before the first document: mint", Config{},
			brought{keeper: []*keeper{kept(noID, appConsent(ConsentGranted))}}, both(document, required),
			want{id: "new", reason: Minted}},
		{"consent granted, the readable is the tag's: adopt", Config{},
			brought{readable: []string{quoted(idB)}, keeper: []*keeper{kept(noID, appConsent(ConsentGranted))}}, both(document, required),
			want{id: "B", reason: Adopted}},
		{"denied by the request: nobody", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept()}}, both(document, says(ConsentDenied)),
			want{reason: Denied, refused: true}},
		{"denied by the request, granted by the app: the denial holds", Config{},
			brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(appConsent(ConsentGranted))}},
			both(document, says(ConsentDenied)), want{reason: Denied, refused: true}},
		{"denied by the app before: nobody", Config{},
			brought{keeper: []*keeper{kept(noID, appConsent(ConsentDenied))}}, document, want{reason: Denied, refused: true}},
		{"denied by the app before, granted by the request: the app's word", Config{},
			brought{keeper: []*keeper{kept(noID, appConsent(ConsentDenied))}}, both(document, required, says(ConsentGranted)),
			want{reason: Denied, refused: true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rv := newResolver(t, test.cfg)
			r := Request{Cookies: test.cookies(t, rv), Host: host, Secure: true, Now: epoch}
			test.request(&r)
			id := rv.Resolve(r)

			wantID := test.want.id
			n := names{t: t}
			if got := id.AnonymousID; got != wantID && n.of(got) != wantID {
				t.Errorf("ID %q, want %q", got, wantID)
			}
			if id.UserID != test.want.user {
				t.Errorf("user %q, want %q", id.UserID, test.want.user)
			}
			if id.Reason != test.want.reason {
				t.Errorf("reason %v, want %v", id.Reason, test.want.reason)
			}
			if id.Consented == test.want.refused {
				t.Errorf("consented %v, want %v", id.Consented, !test.want.refused)
			}
			if id.BadKeeper != test.want.bad {
				t.Errorf("bad keeper %v, want %v", id.BadKeeper, test.want.bad)
			}
		})
	}
}

func TestResolveTellsWhenIssued(t *testing.T) {
	rv := newResolver(t, Config{})
	b := brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept()}}
	if got, want := rv.Resolve(Request{Cookies: b.cookies(t, rv), Host: host, Now: epoch}).Issued, epoch.Add(-30*day); !got.Equal(want) {
		t.Errorf("issued %v, want %v", got, want)
	}
	b.keeper = nil
	if got := rv.Resolve(Request{Cookies: b.cookies(t, rv), Host: host, Now: epoch}).Issued; !got.IsZero() {
		t.Errorf("issued %v for an ID that no keeper holds, want zero", got)
	}
}

// Without keys only the browser's readable cookie is known.
func TestResolveWithoutKeys(t *testing.T) {
	rv, err := NewResolver(Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		brought
		want string
	}{
		"nothing":         {brought{}, ""},
		"readable":        {brought{readable: []string{quoted(idA)}}, "A"},
		"keeper":          {brought{keeper: []*keeper{kept()}}, ""},
		"both, differing": {brought{readable: []string{quoted(idB)}, keeper: []*keeper{kept(user("u1"))}}, "B"},
	} {
		t.Run(name, func(t *testing.T) {
			id := rv.Resolve(Request{Cookies: test.cookies(t, rv), Host: host, Document: true, Now: epoch})
			n := names{t: t}
			if got := n.of(id.AnonymousID); got != test.want || id.Reason != NoKey || id.UserID != "" || id.BadKeeper {
				t.Errorf("got %+v, want ID %q, reason %v", id, test.want, NoKey)
			}
		})
	}
}

// An ID may wait in a queue, where it must not keep a large Cookie header alive.
func TestResolveCopiesTheID(t *testing.T) {
	line := defaultName + "=" + idA
	id := newResolver(t, Config{}).Resolve(Request{Cookies: []string{line}, Host: host, Now: epoch}).AnonymousID
	if id != idA || unsafe.StringData(id) == unsafe.StringData(line[len(defaultName)+1:]) {
		t.Errorf("ID %q is part of the header", id)
	}
}
