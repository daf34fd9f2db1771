package cookie

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// itpCap is the life that WebKit leaves to a cookie that a script wrote.
const itpCap = 7 * day

// browser models WebKit with ITP, the classic tag and one visitor: cookies by
// name in the scope that the jar writes, a clock, and what must hold.
type browser struct {
	rv      *Resolver
	now     time.Time
	cookies map[string]stored

	id     string            // the ID that must go on, "" if the next may be new
	denied bool              // what the app said last
	userOf map[string]string // every ID that was ever identified
}

type stored struct {
	value   string
	expires time.Time
}

func (b *browser) live(name string) (stored, bool) {
	c, ok := b.cookies[name]
	return c, ok && c.expires.After(b.now)
}

func (b *browser) script(value string) {
	b.cookies[defaultName] = stored{value, b.now.Add(itpCap)}
}

// answer runs one request, stores its cookies and checks the promises.
func (b *browser) answer(t *rapid.T, document bool, s Response) Outcome {
	var cookies []string
	for name := range b.cookies {
		if c, ok := b.live(name); ok {
			cookies = append(cookies, name+"="+c.value)
		}
	}
	r := Request{Cookies: cookies, Host: host, Secure: true, Document: document, Now: b.now}
	told := b.rv.Resolve(r)
	o := b.rv.Decide(told, r, s)
	for _, line := range o.Cookies {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatal(err)
		}
		if c.Domain == domain {
			b.cookies[c.Name] = stored{c.Value, b.now.Add(time.Duration(c.MaxAge) * time.Second)}
		}
	}

	if b.denied && s.Consent != ConsentGranted && (told.AnonymousID != "" || o.AnonymousID != "" || o.UserID != "") {
		t.Fatalf("identified after a denial: told %+v, outcome %+v", told, o)
	}
	if b.id != "" && !s.Reset && s.Consent != ConsentDenied && o.Reason != Switched && o.AnonymousID != b.id {
		t.Fatalf("lost the ID %s: %v %s", b.id, o.Reason, o.AnonymousID)
	}
	if (o.AnonymousID != "") != o.Durable {
		t.Fatalf("durable %v with ID %q", o.Durable, o.AnonymousID)
	}
	// Once a document's response is stored, the tag reads the ID that the server
	// used. One that sets nothing leaves the tag with what it had.
	if left, ok := b.live(defaultName); document && ok && o.Durable && left.value != quoted(o.AnonymousID) {
		t.Fatalf("the tag has %s, the server used %s (%v)", left.value, o.AnonymousID, o.Reason)
	}
	// What cannot be set cannot be remembered, and another user is not noticed.
	if s.Settable && o.SendIdentify && o.UserID != "" && o.AnonymousID != "" {
		if was := b.userOf[o.AnonymousID]; was != "" && was != o.UserID {
			t.Fatalf("ID %s identified as %s and as %s", o.AnonymousID, was, o.UserID)
		}
		b.userOf[o.AnonymousID] = o.UserID
	}
	if s.Settable {
		b.check(t, o, s)
	}
	return o
}

// check looks at what is left in the browser after a response that could set.
func (b *browser) check(t *rapid.T, o Outcome, s Response) {
	readable, hasReadable := b.live(defaultName)
	value, hasKeeper := b.live(defaultKeeperName)
	var k keeper
	if hasKeeper {
		var ok bool
		if k, ok = b.rv.openKeeper(value.value, domain, b.now.Unix()); !ok {
			t.Fatal("left a keeper that does not open")
		}
	}
	if !o.Consented || s.Reset && s.UserID == "" {
		if hasReadable || k.anonymousID != "" || k.userID != "" {
			t.Fatalf("left readable %q and keeper %+v", readable.value, k)
		}
		return
	}
	if len(o.Cookies) == 2 && (!hasReadable || readable.value != quoted(o.AnonymousID) || k.anonymousID != o.AnonymousID) {
		t.Fatalf("left readable %q and keeper %+v for %s", readable.value, k, o.AnonymousID)
	}
}

// Whatever a visitor, the tag, the app and time do: an ID goes on until somebody
// ends it, belongs to one user, and ends with a denial or a logout.
func TestBrowser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys, err := NewKeyring(testKey('k'))
		if err != nil {
			t.Fatal(err)
		}
		jar, err := NewResolver(Config{}, keys)
		if err != nil {
			t.Fatal(err)
		}
		b := &browser{rv: jar, now: epoch, cookies: map[string]stored{}, userOf: map[string]string{}}
		settable := rapid.Bool()
		carryOn := func(o Outcome) {
			if o.Durable {
				b.id = o.AnonymousID
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"document": func(t *rapid.T) {
				carryOn(b.answer(t, true, Response{Navigation: true, Settable: settable.Draw(t, "settable")}))
			},
			"fetch": func(t *rapid.T) { carryOn(b.answer(t, false, plain)) },
			"track": func(t *rapid.T) {
				carryOn(b.answer(t, false, Response{Tracked: true, Settable: settable.Draw(t, "settable")}))
			},
			"identify": func(t *rapid.T) {
				s := Response{Identify: true, Settable: settable.Draw(t, "settable")}
				s.UserID = rapid.SampledFrom([]string{"", "u1", "u2"}).Draw(t, "user")
				s.IdentifyDigest = [16]byte{byte(rapid.IntRange(0, 2).Draw(t, "traits"))}
				copy(s.IdentifyDigest[1:], s.UserID)
				document := rapid.Bool().Draw(t, "document")
				s.Navigation = document
				switched := b.answer(t, document, s)
				if switched.Reason == Switched && !s.Settable {
					return // the old ID is still there, and still the first user's
				}
				carryOn(switched)
			},
			"logout": func(t *rapid.T) { b.answer(t, false, logout); b.id = "" },
			"deny": func(t *rapid.T) {
				b.answer(t, false, Response{Consent: ConsentDenied, Settable: true})
				b.denied, b.id = true, ""
			},
			"grant": func(t *rapid.T) {
				carryOn(b.answer(t, false, Response{Consent: ConsentGranted, Settable: true}))
				b.denied = false
			},
			"tag reads": func(*rapid.T) { // and thereby demotes
				if c, ok := b.live(defaultName); ok {
					b.script(c.value)
				}
			},
			"tag mints": func(*rapid.T) {
				if _, ok := b.live(defaultName); !ok && !b.expectsRestore() {
					b.script(quoted(uuid.NewString()))
					b.id = ""
				}
			},
			"tag identifies": func(t *rapid.T) {
				user := rapid.SampledFrom([]string{"t1", "t2"}).Draw(t, "tag's user")
				was, known := b.live(defaultUserName)
				b.cookies[defaultUserName] = stored{quoted(user), b.now.Add(itpCap)}
				_, has := b.live(defaultName)
				if has && known && was.value != quoted(user) || !has && !b.expectsRestore() {
					b.script(quoted(uuid.NewString()))
					b.id = ""
				}
			},
			"tag resets": func(*rapid.T) {
				delete(b.cookies, defaultName)
				delete(b.cookies, defaultUserName)
				b.id = ""
			},
			"visitor clears": func(*rapid.T) {
				clear(b.cookies)
				b.id, b.denied = "", false
			},
			"time passes": func(t *rapid.T) {
				hours := rapid.SampledFrom([]int{1, 12, 23, 24, 25, 100, 167, 168, 169, 200, 1000}).Draw(t, "hours")
				b.now = b.now.Add(time.Duration(hours) * time.Hour)
				if _, ok := b.live(defaultName); !ok && b.id != "" && !b.keeps(b.id) {
					b.id = "" // the tag's, and no document has come that could keep it
				}
				if _, ok := b.live(defaultKeeperName); !ok {
					b.id, b.denied = "", false // a year away
				}
			},
		})
	})
}

// keeps says that the browser has a keeper of the ID.
func (b *browser) keeps(id string) bool {
	c, _ := b.live(defaultKeeperName)
	k, ok := b.rv.openKeeper(c.value, domain, b.now.Unix())
	return ok && k.anonymousID == id
}

// expectsRestore says that a capped cookie is to come back: the document comes
// before the tag runs.
func (b *browser) expectsRestore() bool {
	return b.id != ""
}

// A visitor whose tag demotes the cookie at every visit keeps the ID, however
// long the absence in between.
func TestBrowserITP(t *testing.T) {
	jar := newResolver(t, Config{})
	rapid.Check(t, func(t *rapid.T) {
		b := &browser{rv: jar, now: epoch, cookies: map[string]stored{}, userOf: map[string]string{}}
		first := b.answer(t, true, page)
		visits := rapid.IntRange(1, 5).Draw(t, "visits")
		for range visits {
			c, _ := b.live(defaultName)
			b.script(c.value)
			away := rapid.IntRange(0, 60*24).Draw(t, "hours away")
			b.now = b.now.Add(time.Duration(away) * time.Hour)
			b.id = first.AnonymousID
			b.answer(t, true, page)
		}
	})
}
