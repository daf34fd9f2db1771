package cookie

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

const (
	idA = "6f1c2b9e-3d54-4a77-9a51-0c8f1e2d3b4a"
	idB = "b7e0d2c4-8f16-4c39-8d02-5a9c7e6f1b20"

	host   = "www.example.com"
	domain = "example.com"
)

var (
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	digest1 = [16]byte{1}
	digest2 = [16]byte{2}
)

func testKey(b byte) []byte {
	return []byte(strings.Repeat(string(rune(b)), KeySize))
}

func newResolver(t testing.TB, cfg Config) *Resolver {
	t.Helper()
	keys, err := NewKeyring(testKey('k'))
	if err != nil {
		t.Fatal(err)
	}
	rv, err := NewResolver(cfg, keys)
	if err != nil {
		t.Fatal(err)
	}
	return rv
}

// ago is the time in Unix seconds that lies d before epoch.
func ago(d time.Duration) int64 { return epoch.Add(-d).Unix() }

// kept is a keeper of ID a that was written an hour ago.
func kept(change ...func(*keeper)) *keeper {
	k := &keeper{anonymousID: idA, issued: ago(30 * day), seen: ago(time.Hour)}
	for _, f := range change {
		f(k)
	}
	return k
}

func user(id string) func(*keeper)          { return func(k *keeper) { k.userID = id } }
func seenAgo(d time.Duration) func(*keeper) { return func(k *keeper) { k.seen = ago(d) } }
func appConsent(c Consent) func(*keeper)    { return func(k *keeper) { k.consent = c } }
func noID(k *keeper)                        { k.anonymousID = "" }
func tagged(user string) func(*keeper)      { return func(k *keeper) { k.tagUser = tagUserDigest(user) } }
func twins(k *keeper)                       { k.twins = true }
func deferring(k *keeper)                   { k.deferred = "page" }
func identified(d time.Duration) func(*keeper) {
	return func(k *keeper) { k.digest, k.identified = digest1, ago(d) }
}

// brought is what a browser brings: either cookies of the default names or a
// literal header.
type brought struct {
	readable []string // values
	keeper   []*keeper
	users    []string // values of the tag's userId
	deferral *deferral
	literal  string // a whole Cookie header
}

func quoted(id string) string { return DialectQuoted.format(id) }

func (b brought) cookies(t testing.TB, rv *Resolver) []string {
	t.Helper()
	site := rv.scope(host).site
	pairs := []string{"theme=dark", "session=8d1f"}
	for _, v := range b.readable {
		pairs = append(pairs, defaultName+"="+v)
	}
	for _, k := range b.keeper {
		pairs = append(pairs, defaultKeeperName+"="+sealingKeys(t, rv).seal(k.encode(), defaultKeeperName, site))
	}
	for _, v := range b.users {
		pairs = append(pairs, defaultUserName+"="+v)
	}
	if b.deferral != nil {
		name := defaultKeeperName + deferralSuffix
		pairs = append(pairs, name+"="+sealingKeys(t, rv).seal(b.deferral.encode(), name, site))
	}
	if b.literal != "" {
		pairs = append(pairs, b.literal)
	}
	return []string{strings.Join(pairs, "; ")}
}

// sealingKeys seals for jars without keys too: their browsers have keepers.
func sealingKeys(t testing.TB, rv *Resolver) *Keyring {
	t.Helper()
	if rv.keys != nil {
		return rv.keys
	}
	return newResolver(t, Config{}).keys
}

// names turns IDs into the letters of the tables: "A", "B", and "new" for an ID
// that was minted.
type names struct {
	t      testing.TB
	minted string
}

func (n *names) of(id string) string {
	n.t.Helper()
	switch id {
	case "":
		return ""
	case idA:
		return "A"
	case idB:
		return "B"
	}
	if n.minted == "" {
		if u, err := uuid.Parse(id); err != nil || u.Version() != 4 || u.Variant() != uuid.RFC4122 {
			n.t.Errorf("minted %q, want a UUIDv4", id)
		}
		n.minted = id
	}
	if id != n.minted {
		n.t.Errorf("two new IDs in one outcome: %s and %s", id, n.minted)
	}
	return "new"
}

// describe puts Set-Cookie values into words, one per line, and checks what
// holds for all of them.
func (n *names) describe(rv *Resolver, r Request, cookies []string) string {
	n.t.Helper()
	var lines []string
	for _, line := range cookies {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			n.t.Fatalf("Set-Cookie %q: %v", line, err)
		}
		isKeeper := c.Name == rv.cfg.KeeperName
		isDeferral := c.Name == rv.deferralName
		if !isKeeper && !isDeferral && c.Name != rv.cfg.Name {
			n.t.Errorf("cookie of a strange name: %q", line)
		}
		if c.Path != "/" || c.SameSite != http.SameSiteLaxMode || c.Secure != r.Secure || c.HttpOnly != (isKeeper || isDeferral) {
			n.t.Errorf("wrong attributes: %q", line)
		}
		at := c.Domain
		if at == "" {
			at = "host"
		}
		what := "readable"
		life := rv.cfg.MaxAge
		switch {
		case isKeeper:
			what = "keeper"
		case isDeferral:
			what, life = "deferral", deferralLife
		}
		if c.MaxAge < 0 { // ParseSetCookie's word for Max-Age=0
			if c.Value != "" || c.Expires.After(epoch.AddDate(-1, 0, 0)) {
				n.t.Errorf("does not expire: %q", line)
			}
			lines = append(lines, fmt.Sprintf("expire %s @%s", what, at))
			continue
		}
		if got := time.Duration(c.MaxAge) * time.Second; got != life || !c.Expires.Equal(r.Now.Add(got)) {
			n.t.Errorf("life of %v until %v, want %v from now: %q", got, c.Expires, life, line)
		}
		if isDeferral {
			lines = append(lines, n.deferral(rv, r, c.Value)+" @"+at)
			continue
		}
		lines = append(lines, fmt.Sprintf("%s %s @%s", what, n.value(rv, r, c.Value, isKeeper), at))
	}
	return strings.Join(lines, "\n")
}

func (n *names) deferral(rv *Resolver, r Request, value string) string {
	n.t.Helper()
	d := rv.openDeferral(value, rv.scope(r.Host).site, r.Now.Unix())
	if d == nil || d.made != r.Now.Unix() {
		n.t.Fatalf("deferral %q opens as %+v", value, d)
	}
	words := []string{"deferral"}
	for _, word := range []string{d.userID, d.events} {
		if word != "" {
			words = append(words, word)
		}
	}
	if d.reset {
		words = append(words, "reset")
	}
	if d.granted {
		words = append(words, "granted")
	}
	return strings.Join(words, " ")
}

func (n *names) value(rv *Resolver, r Request, value string, isKeeper bool) string {
	n.t.Helper()
	if !isKeeper {
		id, d := parseValue(value)
		if d != rv.cfg.Dialect {
			n.t.Errorf("readable cookie %q not in the dialect %q", value, rv.cfg.Dialect)
		}
		return n.of(id)
	}
	k, ok := rv.openKeeper(value, rv.scope(r.Host).site, r.Now.Unix())
	if !ok {
		n.t.Fatalf("keeper %q does not open", value)
	}
	if k.seen != r.Now.Unix() || k.issued == 0 || k.issued > k.seen {
		n.t.Errorf("keeper issued %d and last seen %d, want now", k.issued, k.seen)
	}
	words := []string{n.of(k.anonymousID)}
	if k.userID != "" {
		words = append(words, k.userID)
	}
	if k.identified != 0 {
		words = append(words, fmt.Sprintf("identified:%d", k.digest[0]))
	}
	switch k.tagUser {
	case 0:
	case tagUserDigest("t1"):
		words = append(words, "tag:t1")
	case tagUserDigest("t2"):
		words = append(words, "tag:t2")
	default:
		n.t.Errorf("keeper remembers a strange user of the tag")
	}
	if k.deferred != "" {
		words = append(words, "deferred:"+k.deferred)
	}
	if k.twins {
		words = append(words, "twins")
	}
	switch k.consent {
	case ConsentGranted:
		words = append(words, "granted")
	case ConsentDenied:
		words = append(words, "denied")
	case ConsentRefused:
		words = append(words, "refused")
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

// released tells what an outcome releases, and of whom where that is not who is
// here.
func released(o Outcome) string {
	var texts []string
	for _, r := range o.Released {
		text := r.Events
		if r.AnonymousID != o.AnonymousID {
			text += " of " + cmp.Or(map[string]string{idA: "A", idB: "B"}[r.AnonymousID], r.AnonymousID)
		}
		if r.UserID != "" {
			text += " as " + r.UserID
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}
