package cookie

import (
	"strings"
	"testing"
	"time"
)

func TestTagUserDigest(t *testing.T) {
	for _, forms := range [][]string{
		{"u1", "%22u1%22", `"u1"`, "%75%31", "%22%75%31%22"},
		{"42", "%2242%22"}, // identify(42) and identify("42")
		{"a b", "a%20b"},
		{"\xff%zz%2", "%ff%zz%2", "%FF%zz%2"},
	} {
		for _, form := range forms {
			if tagUserDigest(form) == 0 || tagUserDigest(form) != tagUserDigest(forms[0]) {
				t.Errorf("%q and %q differ", form, forms[0])
			}
		}
	}
	for _, nobody := range []string{"", "null", "undefined", "%22%22", `""`, "%22", `"`, "%22null%22"} {
		if tagUserDigest(nobody) != 0 {
			t.Errorf("%q is somebody", nobody)
		}
	}
	if tagUserDigest("u1") == tagUserDigest("u2") {
		t.Error("two users, one digest")
	}
	long := strings.Repeat("u", 100_000)
	if allocs := testing.AllocsPerRun(10, func() { tagUserDigest(long) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// The rows follow the table in the package's documentation.
func TestDecideTagUser(t *testing.T) {
	agree := func(users []string, f ...func(*keeper)) brought {
		return brought{readable: []string{quoted(idA)}, users: users, keeper: []*keeper{kept(f...)}}
	}
	t1, t2 := []string{"%22t1%22"}, []string{"%22t2%22"}
	prerender := func(r *Request) { r.Speculative = true }
	tests := []decideTest{
		{"the same: no Set-Cookie", Config{}, agree(t1, user("u1"), tagged("t1")), document, page,
			wanted{id: "A", user: "u1", reason: Kept}},
		{"the same in another form: no Set-Cookie", Config{}, agree([]string{"t1"}, tagged("t1")), document, page,
			wanted{id: "A", reason: Kept}},
		{"gone: still remembered", Config{}, agree(nil, tagged("t1"), seenAgo(day)), document, page,
			wanted{id: "A", reason: Kept, cookies: "readable A @example.com; keeper A tag:t1 @example.com"}},
		{"gone as null: still remembered", Config{}, agree([]string{"null"}, tagged("t1")), document, page,
			wanted{id: "A", reason: Kept}},
		{"first ever: kept and remembered", Config{}, agree(t1, user("u1")), document, page,
			wanted{id: "A", user: "u1", reason: Kept, cookies: "readable A @example.com; keeper A u1 tag:t1 @example.com"}},
		{"first ever, fetch: later", Config{}, agree(t1), fetch, plain, wanted{id: "A", reason: Kept}},
		{"first ever, of a visitor the server does not know", Config{},
			brought{readable: []string{quoted(idA)}, users: t1}, document, page,
			wanted{id: "A", reason: Adopted, cookies: "readable A @example.com; keeper A tag:t1 @example.com"}},
		{"new visitor whom the tag knows", Config{}, brought{users: t1}, document, page,
			wanted{id: "new", reason: Minted, cookies: "readable new @example.com; keeper new tag:t1 @example.com"}},

		{"another, and the tag has made an ID: follow", Config{},
			brought{readable: []string{quoted(idB)}, users: t2, keeper: []*keeper{kept(user("u1"), tagged("t1"))}}, document, page,
			wanted{id: "B", reason: Switched, cookies: "readable B @example.com; keeper B tag:t2 @example.com"}},
		{"another, and the tag has made an ID, fetch: follow, remembered later", Config{},
			brought{readable: []string{quoted(idB)}, users: t2, keeper: []*keeper{kept(user("u1"), tagged("t1"))}}, fetch, plain,
			wanted{id: "B", reason: Switched}},
		{"another, and the tag is about to make an ID: as after a reset", Config{},
			brought{users: t2, keeper: []*keeper{kept(user("u1"), tagged("t1"))}}, document, page,
			wanted{id: "new", reason: Reset, cookies: "readable new @example.com; keeper new tag:t2 @example.com"}},
		{"another ID, the same user: diverged", Config{},
			brought{readable: []string{quoted(idB)}, users: t1, keeper: []*keeper{kept(user("u1"), tagged("t1"))}}, document, page,
			wanted{id: "B", reason: Diverged, cookies: "readable B @example.com; keeper B tag:t1 @example.com"}},

		{"another under the same ID: a new one", Config{}, agree(t2, user("u1"), tagged("t1"), identified(time.Hour)), document, page,
			wanted{id: "new", reason: Switched, cookies: "readable new @example.com; keeper new tag:t2 @example.com"}},
		{"another, and the ID is to be restored: a new one", Config{},
			brought{users: t2, keeper: []*keeper{kept(tagged("t1"), seenAgo(8*day))}}, document, page,
			wanted{id: "new", reason: Switched, cookies: "readable new @example.com; keeper new tag:t2 @example.com"}},
		{"another under the same ID, fetch: later", Config{}, agree(t2, user("u1"), tagged("t1")), fetch, plain,
			wanted{id: "A", user: "u1", reason: Kept}},
		{"another under the same ID, prerender: later", Config{}, agree(t2, tagged("t1")), prerender, page,
			wanted{id: "A", reason: Kept}},
		{"another under the same ID, traits by a fetch: the change is not forgotten", Config{}, agree(t2, tagged("t1")), fetch, traits2,
			wanted{id: "A", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A identified:2 tag:t1 @example.com"}},
		{"another under the same ID, shared cache: the tag's, and nobody is named", Config{}, agree(t2, user("u1"), tagged("t1")),
			document, cached, wanted{id: "A", reason: Kept}},
		{"another, to be restored, shared cache", Config{},
			brought{users: t2, keeper: []*keeper{kept(user("u1"), tagged("t1"), seenAgo(8*day))}}, document, cached,
			wanted{id: "A", reason: Restored}},
		{"another under the same ID, shared cache, names the keeper's user", Config{}, agree(t2, user("u1"), tagged("t1")),
			document, with(names1, unsettable), wanted{id: "A", user: "u1", reason: Kept, identify: true}},
		{"another under the same ID, shared cache, names another user: not under the first one's ID", Config{},
			agree(t2, user("u1"), tagged("t1")), document, with(names2, unsettable),
			wanted{user: "u2", reason: Switched, identify: true}},
		{"another under the same ID, the document failed and grants: the change is not forgotten", Config{},
			agree(t2, tagged("t1")), document, with(plain, func(s *Response) { s.Consent = ConsentGranted }),
			wanted{id: "A", reason: Kept, cookies: "readable A @example.com; keeper A tag:t1 granted @example.com"}},

		{"the app names the user of a new ID", Config{}, agree(t2, user("u1"), tagged("t1")), document, with(names2, navigates),
			wanted{id: "new", user: "u2", reason: Switched, identify: true,
				cookies: "readable new @example.com; keeper new u2 identified:2 tag:t2 @example.com"}},
		{"the app says by a fetch that it is the same user: its word", Config{}, agree(t2, user("u1"), tagged("t1")), fetch, names1,
			wanted{id: "A", user: "u1", reason: Kept, identify: true,
				cookies: "readable A @example.com; keeper A u1 identified:1 tag:t2 @example.com"}},
		{"logout forgets it", Config{}, agree(t1, tagged("t1")), fetch, logout,
			wanted{id: "A", reason: Reset, cookies: expireAll}},

		{"a twin in another scope is no change", Config{}, agree([]string{"t1", "t2"}, tagged("t1")), document, page,
			wanted{id: "A", reason: Kept}},
		{"nor in the other order", Config{}, agree([]string{"t2", "t1"}, tagged("t1")), document, page,
			wanted{id: "A", reason: Kept}},
		{"keeper only mode: not read", Config{KeeperOnly: true}, agree(t2, tagged("t1")), document, page,
			wanted{id: "A", reason: Kept}},
		{"another name: not read", Config{UserName: "uid"}, agree(t2, tagged("t1")), document, page,
			wanted{id: "A", reason: Kept}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, newResolver(t, test.cfg)) })
	}
}

// Only what the keeper proves is withdrawn, by any way of refusing.
func TestDecideWithdrawn(t *testing.T) {
	known := brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"))}}
	denied := func(r *Request) { r.Consent = ConsentDenied }
	for _, test := range []struct {
		name string
		brought
		request  func(*Request)
		response Response
		want     Withdrawn
	}{
		{"by the request", known, denied, page, Withdrawn{idA, "u1"}},
		{"by the app", known, fetch, with(plain, func(s *Response) { s.Consent = ConsentDenied }), Withdrawn{idA, "u1"}},
		{"consent required and not known: nobody", known, func(r *Request) { r.ConsentRequired = true }, page, Withdrawn{}},
		{"by a consent manager's cookie", known, func(r *Request) { r.Consent = ConsentRefused }, page, Withdrawn{idA, "u1"}},
		{"on a shared cache's response", known, denied, cached, Withdrawn{idA, "u1"}},
		{"a stranger's ID in a readable cookie", brought{readable: []string{quoted(idB)}}, denied, page, Withdrawn{}},
		{"a stranger's ID beside one's own keeper", brought{readable: []string{quoted(idB)}, keeper: known.keeper}, denied, page,
			Withdrawn{idA, "u1"}},
		{"denied long ago", brought{keeper: []*keeper{kept(noID, appConsent(ConsentDenied))}}, document, page, Withdrawn{}},
		{"consenting", known, document, page, Withdrawn{}},
		{"prerender", known, func(r *Request) { denied(r); r.Speculative = true }, page, Withdrawn{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			rv := newResolver(t, Config{})
			r := Request{Cookies: test.cookies(t, rv), Host: host, Secure: true, Now: epoch}
			test.request(&r)
			if got := rv.Decide(rv.Resolve(r), r, test.response).Withdrawn; got != test.want {
				t.Errorf("withdrawn %+v, want %+v", got, test.want)
			}
		})
	}
}

// FuzzTagUser: any bytes in the tag's cookie give a digest or none, and neither
// change the ID of a visitor whose tag said nothing before.
func FuzzTagUser(f *testing.F) {
	for _, seed := range []string{"%22u1%22", "42", "null", "%", "%2", `"\r\n`, "\x00\xff;"} {
		f.Add(seed, true)
	}
	rv := newResolver(f, Config{})
	f.Fuzz(func(t *testing.T, value string, document bool) {
		b := brought{readable: []string{quoted(idA)}, users: []string{value}, keeper: []*keeper{kept(user("u1"))}}
		r := Request{Cookies: b.cookies(t, rv), Host: host, Secure: true, Document: document, Now: epoch}
		o := rv.Decide(rv.Resolve(r), r, page)
		if !strings.Contains(value, defaultName) && !strings.Contains(value, defaultKeeperName) && o.AnonymousID != idA {
			t.Errorf("%q changed the ID", value)
		}
		for _, line := range o.Cookies {
			if strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("Set-Cookie %q", line)
			}
		}
	})
}
