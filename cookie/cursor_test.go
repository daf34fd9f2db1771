package cookie

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func pairs(lines []string) []string {
	var got []string
	for c := newCursor(lines); c.next(); {
		got = append(got, c.name+"="+c.value)
	}
	return got
}

func TestCursor(t *testing.T) {
	big := strings.Repeat("x", maxHeaderBytes)
	tests := []struct {
		name  string
		lines []string
		want  []string
	}{
		{"no header", nil, nil},
		{"one", []string{"a=1"}, []string{"a=1"}},
		{"several, in order", []string{"a=1; b=2;c=3"}, []string{"a=1", "b=2", "c=3"}},
		{"several headers", []string{"a=1; b=2", "", "c=3"}, []string{"a=1", "b=2", "c=3"}},
		{"white space", []string{" \ta = 1 \t;  b=2  "}, []string{"a=1", "b=2"}},
		{"empty value", []string{"a=; b=2"}, []string{"a=", "b=2"}},
		{"equals sign in the value", []string{"a=1=2"}, []string{"a=1=2"}},
		{"no name, no equals sign, nothing", []string{"=1; b; ;; c=3;"}, []string{"c=3"}},
		{"a long pair before ours", []string{"a=" + big[:maxHeaderBytes-6] + ";b=2"}, []string{"a=" + big[:maxHeaderBytes-6], "b=2"}},
		{"one byte longer", []string{"a=" + big[:maxHeaderBytes-5] + ";b=2"}, []string{"a=" + big[:maxHeaderBytes-5]}},
		{"a pair that is cut goes as a whole", []string{"a=1;b=" + big}, []string{"a=1"}},
		{"nothing after a pair that is cut", []string{"a=" + big, "b=2"}, nil},
		{"nothing after the bound", []string{"a=" + big[2:], "b=2"}, []string{"a=" + big[2:]}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := pairs(test.lines); !slices.Equal(got, test.want) {
				t.Errorf("got %.100q, want %.100q", got, test.want)
			}
		})
	}
}

func TestManyCookies(t *testing.T) {
	rv := newResolver(t, Config{})
	var b brought
	for i := range 50 {
		b.readable = append(b.readable, quoted(fmt.Sprintf("%08d%s", i, idA[8:])))
	}
	b.readable[20] = quoted(idA)
	b.keeper = []*keeper{kept(user("u1"))}
	id := rv.Resolve(Request{Cookies: b.cookies(t, rv), Host: host, Now: epoch})
	if id.AnonymousID != idA || id.UserID != "u1" {
		t.Errorf("got %s of %q, want the one of 50 that the keeper knows", id.AnonymousID, id.UserID)
	}

	// A subdomain that plants keepers hides none.
	b.keeper = nil
	for range maxKeepers - 1 {
		b.keeper = append(b.keeper, kept(user("planted"), seenAgo(time.Hour)))
	}
	b.keeper = append(b.keeper, kept(user("u1"), seenAgo(0)))
	if id := rv.Resolve(Request{Cookies: b.cookies(t, rv), Host: host, Now: epoch}); id.UserID != "u1" {
		t.Errorf("the user is %q, want that of the newest of %d keepers", id.UserID, len(b.keeper))
	}

	// Those behind the bound are not opened.
	b.keeper = nil
	for range maxKeepers {
		b.keeper = append(b.keeper, kept())
	}
	b.keeper = append(b.keeper, kept(user("late"), seenAgo(0)))
	if id := rv.Resolve(Request{Cookies: b.cookies(t, rv), Host: host, Now: epoch}); id.UserID != "" {
		t.Errorf("keeper %d of %d was opened", len(b.keeper), maxKeepers)
	}
}

// FuzzResolve: no bytes in Cookie headers make it panic, or come back in a
// Set-Cookie. Only IDs that pass validation are ever used.
func FuzzResolve(f *testing.F) {
	keys, err := NewKeyring(testKey('k'))
	if err != nil {
		f.Fatal(err)
	}
	rv, err := NewResolver(Config{Pattern: `[^-]{3,}`}, keys)
	if err != nil {
		f.Fatal(err)
	}
	sealed := keys.seal(kept(user("u1")).encode(), defaultKeeperName, domain)
	forged := keys.seal([]byte("\x02\x00\x00\x00\x00\x00\x00\x00\x00\x06a;b\r\n "), defaultKeeperName, domain)
	f.Add("ajs_anonymous_id="+quoted(idA), "intilery_keeper="+sealed, "www.example.com", uint8(0xff))
	f.Add("ajs_anonymous_id="+idB+"; ajs_anonymous_id="+idA, "intilery_keeper="+forged, "localhost", uint8(7))
	f.Add(`ajs_anonymous_id="`+idA+`"`, "", "[::1]:80", uint8(1))
	f.Add("ajs_anonymous_id=a; Domain=evil", "ajs_anonymous_id=%22a%0d%0aSet-Cookie: x%22", "a;b.com", uint8(3))
	f.Fuzz(func(t *testing.T, line1, line2, host string, bits uint8) {
		bit := func(n int) bool { return bits&(1<<n) != 0 }
		r := Request{
			Cookies: []string{line1, line2}, Host: host, Secure: bit(0), Document: bit(1),
			ConsentRequired: bit(2), Now: epoch,
		}
		id := rv.Resolve(r)
		o := rv.Decide(id, r, Response{
			Settable: true, Navigation: bit(3), Tracked: bit(4), Reset: bit(5), Consent: Consent(bits >> 6 % 3),
		})
		for _, id := range []string{id.AnonymousID, o.AnonymousID} {
			if id != "" && !validID(id, rv.pattern) {
				t.Errorf("used ID %q", id)
			}
		}
		for _, c := range o.Cookies {
			checkAlphabet(t, c, r)
		}
	})
}

// checkAlphabet takes a Set-Cookie apart and finds nothing that we did not put
// there.
func checkAlphabet(t *testing.T, line string, r Request) {
	t.Helper()
	parts := strings.Split(line, "; ")
	name, value, _ := strings.Cut(parts[0], "=")
	if name != defaultName && name != defaultKeeperName {
		t.Errorf("name %q", name)
	}
	if value != "" && !only(strings.ReplaceAll(value, quote, ""), isIDByte) {
		t.Errorf("value %q", value)
	}
	for _, part := range parts[1:] {
		attribute, value, _ := strings.Cut(part, "=")
		ok := false
		switch attribute {
		case "Path":
			ok = value == "/"
		case "Domain":
			ok = isDomainName(value)
		case "Expires":
			_, err := http.ParseTime(value)
			ok = err == nil
		case "Max-Age":
			ok = value == "0" || value == "31536000"
		case "HttpOnly":
			ok = name == defaultKeeperName && part == attribute
		case "Secure":
			ok = r.Secure && part == attribute
		case "SameSite":
			ok = value == "Lax"
		}
		if !ok {
			t.Errorf("attribute %q in %q", part, line)
		}
	}
}
