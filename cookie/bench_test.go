package cookie

import (
	"strings"
	"testing"
	"time"
)

// returning is a visitor as they come by the thousand: known, a user, among the
// cookies of other tools.
func returning(t testing.TB, rv *Resolver, seen time.Duration) Request {
	t.Helper()
	b := brought{
		readable: []string{quoted(idA)},
		keeper:   []*keeper{kept(user("user-4711"), identified(time.Hour), seenAgo(seen))},
		literal:  "_ga=GA1.1.1234567890.1700000000; _gid=GA1.1.987; _fbp=fb.1.17.9; lang=en-GB; cart=" + strings.Repeat("c", 200),
	}
	return Request{Cookies: b.cookies(t, rv), Host: host, Secure: true, Document: true, Now: epoch}
}

// A returning visitor costs few allocations, and within the day no sealing.
func TestAllocations(t *testing.T) {
	rv := newResolver(t, Config{})
	r := returning(t, rv, time.Hour)
	id := rv.Resolve(r)
	if id.Reason != Kept || id.UserID == "" {
		t.Fatalf("got %+v, want a known user", id)
	}
	if got := testing.AllocsPerRun(1000, func() { rv.Resolve(r) }); got > 6 {
		t.Errorf("Resolve of a returning visitor: %v allocations, want at most 6", got)
	}
	if got := testing.AllocsPerRun(1000, func() { rv.Decide(id, r, page) }); got > 0 {
		t.Errorf("Decide that changes nothing: %v allocations, want none", got)
	}
	forged := Request{Cookies: []string{"intilery_keeper=" + strings.Repeat("A", 100)}, Host: host, Now: epoch}
	if got := testing.AllocsPerRun(1000, func() { rv.Resolve(forged) }); got > 3 {
		t.Errorf("Resolve of a forged keeper: %v allocations, want at most 3", got)
	}
}

func BenchmarkResolve(b *testing.B) {
	rv := newResolver(b, Config{})
	many := brought{keeper: []*keeper{kept()}}
	for range 50 {
		many.readable = append(many.readable, quoted(idB))
	}
	for name, r := range map[string]Request{
		"returning": returning(b, rv, time.Hour),
		"new":       {Host: host, Document: true, Now: epoch},
		"fetch":     {Host: host, Now: epoch},
		"50 twins":  {Cookies: many.cookies(b, rv), Host: host, Now: epoch},
		"oversized": {Cookies: []string{strings.Repeat("a=b; ", 1<<18)}, Host: host, Now: epoch},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rv.Resolve(r)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	rv := newResolver(b, Config{})
	for name, test := range map[string]struct {
		r Request
		s Response
	}{
		"nothing":  {returning(b, rv, time.Hour), page},
		"renewal":  {returning(b, rv, 2*day), page},
		"identify": {returning(b, rv, time.Hour), traits2},
		"logout":   {returning(b, rv, time.Hour), logout},
	} {
		id := rv.Resolve(test.r)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rv.Decide(id, test.r, test.s)
			}
		})
	}
}
