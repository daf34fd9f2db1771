package cookie

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

func TestKeeperRoundTrip(t *testing.T) {
	rv := newResolver(t, Config{Pattern: `GA1\..*`})
	for name, k := range map[string]keeper{
		"ID":         {anonymousID: idA, issued: 1, seen: 2},
		"upper case": {anonymousID: strings.ToUpper(idA), issued: 1, seen: 2},
		"mixed case": {anonymousID: "A" + idA[1:], issued: 1, seen: 2},
		"pattern":    {anonymousID: "GA1.2.3", issued: 1, seen: 2},
		"user":       {anonymousID: idA, userID: "u", issued: 1, seen: 2},
		"longest":    {anonymousID: "GA1." + strings.Repeat("9", maxIDLen-4), userID: strings.Repeat("u", MaxUserIDLen), issued: 1, seen: 2, identified: 3, digest: digest1, consent: ConsentGranted, tagUser: math.MaxUint64, deferred: strings.Repeat("h", MaxDeferredLen)},
		"identify":   {anonymousID: idA, issued: 1, seen: 2, identified: 3, digest: digest2},
		"granted":    {issued: 1, seen: 2, consent: ConsentGranted},
		"tag user":   {anonymousID: idA, issued: 1, seen: 2, tagUser: 1<<63 | 5},
		"deferred":   {anonymousID: idA, issued: 1, seen: 2, deferred: "\x00page"},
		"denied":     {issued: 1, seen: 2, consent: ConsentDenied},
		"refused":    {issued: 1, seen: 2, consent: ConsentRefused},
		"twins":      {anonymousID: idA, issued: 1, seen: 2, twins: true},
		"2106":       {anonymousID: idA, issued: math.MaxUint32, seen: math.MaxUint32},
	} {
		t.Run(name, func(t *testing.T) {
			plain := k.encode()
			if got, ok := decodeKeeper(plain, rv.pattern); !ok || got != k {
				t.Errorf("got %+v, %v, want %+v", got, ok, k)
			}
			for n := range plain {
				if got, ok := decodeKeeper(plain[:n], rv.pattern); ok && got == k {
					t.Errorf("the first %d of %d bytes decode to the whole", n, len(plain))
				}
			}
			if _, ok := decodeKeeper(append(plain, 0), rv.pattern); ok {
				t.Error("decoded with a byte too many")
			}
		})
	}
}

func TestKeeperOfAnyClock(t *testing.T) {
	for _, at := range []int64{math.MinInt64, -1, math.MaxUint32 + 1, math.MaxInt64} {
		k := keeper{anonymousID: idA, issued: at, seen: at}
		got, ok := decodeKeeper(k.encode(), nil)
		if !ok || got.seen != min(max(at, 0), math.MaxUint32) {
			t.Errorf("%d: got %+v, %v", at, got, ok)
		}
	}
	rv := newResolver(t, Config{})
	b := brought{readable: []string{quoted(idA)}, keeper: []*keeper{kept(user("u1"))}}
	for _, now := range []time.Time{{}, epoch.AddDate(-40, 0, 0), epoch.AddDate(2, 0, 0), epoch.AddDate(500, 0, 0), epoch.AddDate(5000, 0, 0)} {
		r := Request{Cookies: b.cookies(t, rv), Host: host, Document: true, Now: now}
		o := rv.Decide(rv.Resolve(r), r, page)
		if o.AnonymousID != idA || len(o.Cookies) != 2 {
			t.Errorf("at %v: %v %q, want the browser's ID, renewed", now, o.Reason, o.AnonymousID)
		}
		if want := now.After(epoch); o.BadKeeper != want {
			t.Errorf("at %v: expired %v, want %v", now, o.BadKeeper, want)
		}
	}
}

// What is sealed may still be nonsense to this configuration.
func TestDecodeKeeperRefuses(t *testing.T) {
	times := "\x00\x00\x00\x01\x00\x00\x00\x02"
	for name, plain := range map[string]string{
		"nothing":                  "",
		"no times":                 "\x00\x00\x00",
		"no tag user":              "\x00\x40" + times + strings.Repeat("\x00", 8),
		"short tag user":           "\x00\x40" + times + strings.Repeat("\x01", 7),
		"short length of deferred": "\x00\x81" + times + strings.Repeat("\x11\x22", 8) + "\x00",
		"short deferred":           "\x00\x81" + times + strings.Repeat("\x11\x22", 8) + "\x00\x05abc",
		"nothing deferred":         "\x00\x81" + times + strings.Repeat("\x11\x22", 8) + "\x00\x00",
		"deferred for nobody":      "\x00\x80" + times + "\x00\x01a",
		"too much deferred":        "\x00\x81" + times + strings.Repeat("\x11\x22", 8) + "\x08\x01" + strings.Repeat("h", MaxDeferredLen+1),
		"unknown flag":             "\x02\x00" + times,
		"two IDs":                  "\x00\x03" + times + strings.Repeat("\x11\x22", 8) + "\x01a",
		"short UUID":               "\x00\x01" + times + "\x11\x22",
		"a placeholder":            "\x00\x01" + times + strings.Repeat("\x00", 16),
		"no text":                  "\x00\x02" + times,
		"short text":               "\x00\x02" + times + "\x05abc",
		"empty ID":                 "\x00\x02" + times + "\x00",
		"ID beyond the alphabet":   "\x00\x02" + times + "\x03a;b",
		"ID beyond the pattern":    "\x00\x02" + times + "\x03abc",
		"no user":                  "\x00\x04" + times,
		"short user":               "\x00\x04" + times + "\x05abc",
		"user with a line break":   "\x00\x04" + times + "\x02a\nb",
		"user that is not UTF-8":   "\x00\x04" + times + "\x00\xff",
		"short identify":           "\x00\x08" + times + strings.Repeat("\x01", 19),
		"identify at no time":      "\x00\x08" + times + strings.Repeat("\x01", 16) + "\x00\x00\x00\x00",
		"a byte more than needed":  "\x00\x00" + times + "\x00",
	} {
		if k, ok := decodeKeeper([]byte(plain), nil); ok {
			t.Errorf("%s: decoded to %+v", name, k)
		}
	}
}

func TestKeyring(t *testing.T) {
	ring := func(keys ...byte) *Keyring {
		var raw [][]byte
		for _, k := range keys {
			raw = append(raw, testKey(k))
		}
		r, err := NewKeyring(raw...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	plain := kept(user("u1")).encode()
	sealed := ring('a').seal(plain, "k", "example.com")
	tests := []struct {
		name, value, cookie, site string
		ring                      *Keyring
		want                      bool
	}{
		{"the same", sealed, "k", "example.com", ring('a'), true},
		{"rotated, the old key kept", sealed, "k", "example.com", ring('b', 'a'), true},
		{"the old key gone", sealed, "k", "example.com", ring('b'), false},
		{"another name", sealed, "kk", "example.com", ring('a'), false},
		{"another site", sealed, "k", "example.org", ring('a'), false},
		{"name and site run together", sealed, "ke", "xample.com", ring('a'), false},
		{"empty", "", "k", "example.com", ring('a'), false},
		{"truncated", sealed[:len(sealed)-1], "k", "example.com", ring('a'), false},
		{"padded", sealed + "=", "k", "example.com", ring('a'), false},
		{"quoted", `"` + sealed + `"`, "k", "example.com", ring('a'), false},
		{"with a line break", sealed[:20] + "\n" + sealed[20:], "k", "example.com", ring('a'), false},
		{"oversized", strings.Repeat("A", 1<<16), "k", "example.com", ring('a'), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := test.ring.open(test.value, test.cookie, test.site)
			if ok != test.want || ok && !bytes.Equal(got, plain) {
				t.Errorf("opened %v: %x", ok, got)
			}
		})
	}
	if again := ring('a').seal(plain, "k", "example.com"); again == sealed {
		t.Error("sealed twice with one nonce")
	}
	// No bit of a keeper can be changed.
	for i := range sealed {
		changed := []byte(sealed)
		changed[i] ^= 1
		if _, ok := ring('a').open(string(changed), "k", "example.com"); ok {
			t.Errorf("opens with byte %d changed", i)
		}
	}
}

func TestNewKeyringRefuses(t *testing.T) {
	if _, err := NewKeyring(); err == nil {
		t.Error("a ring without keys")
	}
	if _, err := NewKeyring(testKey('a'), make([]byte, 16)); err == nil || !strings.Contains(err.Error(), "key 2 has 16 bytes: use 32") {
		t.Errorf("a short key: %v", err)
	}
	key, err := NewKey()
	if err != nil || len(key) != KeySize || bytes.Equal(key, make([]byte, KeySize)) {
		t.Errorf("NewKey: %x, %v", key, err)
	}
	if _, err := NewKeyring(key); err != nil {
		t.Error(err)
	}
}

// FuzzKeeperOpen: no value opens to anything that the ring did not seal. (A
// fuzzing run has several processes, each with seeds of its own nonces.)
func FuzzKeeperOpen(f *testing.F) {
	rv := newResolver(f, Config{})
	want := kept(user("u1"))
	sealed := rv.keys.seal(want.encode(), defaultKeeperName, domain)
	f.Add(sealed)
	f.Add(sealed[:len(sealed)-2])
	f.Add(sealed + "AAAA")
	f.Add("")
	f.Add(strings.Repeat("A", maxSealedLen))
	f.Fuzz(func(t *testing.T, value string) {
		if k, ok := rv.openKeeper(value, domain, epoch.Unix()); ok && k != *want {
			t.Errorf("%q opened to %+v", value, k)
		}
	})
}

// FuzzKeeperDecode: what decodes encodes to the same bytes.
func FuzzKeeperDecode(f *testing.F) {
	f.Add(kept(user("u1"), identified(time.Hour), appConsent(ConsentGranted)).encode())
	f.Add((&keeper{anonymousID: "abc", seen: 1}).encode())
	f.Add((&keeper{consent: ConsentDenied, seen: 1}).encode())
	rv := newResolver(f, Config{Pattern: `[a-z]+`})
	f.Fuzz(func(t *testing.T, plain []byte) {
		k, ok := decodeKeeper(plain, rv.pattern)
		if !ok {
			return
		}
		again, ok := decodeKeeper(k.encode(), rv.pattern)
		if !ok || again != k {
			t.Errorf("%x decodes to %+v, and that to %+v", plain, k, again)
		}
	})
}
