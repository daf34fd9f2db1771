package cookie

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// returning is a visitor as they come by the thousand: known, a user, among the
// cookies of other tools.
func returning(t testing.TB, j *Jar, seen time.Duration) Request {
	t.Helper()
	b := brought{
		readable: []string{quoted(idA)},
		keeper:   []*keeper{kept(user("user-4711"), identified(time.Hour), seenAgo(seen))},
		literal:  "_ga=GA1.1.1234567890.1700000000; _gid=GA1.1.987; _fbp=fb.1.17.9; lang=en-GB; cart=" + strings.Repeat("c", 200),
	}
	return Request{Header: b.header(t, j), Host: host, Secure: true, Document: true, Now: epoch}
}

// A returning visitor costs few allocations, and within the day no sealing.
func TestAllocations(t *testing.T) {
	j := newJar(t, Config{})
	r := returning(t, j, time.Hour)
	id := j.Resolve(r)
	if id.Reason != Kept || id.UserID == "" {
		t.Fatalf("got %+v, want a known user", id)
	}
	if got := testing.AllocsPerRun(1000, func() { j.Resolve(r) }); got > 6 {
		t.Errorf("Resolve of a returning visitor: %v allocations, want at most 6", got)
	}
	if got := testing.AllocsPerRun(1000, func() { j.Decide(id, r, page) }); got > 0 {
		t.Errorf("Decide that changes nothing: %v allocations, want none", got)
	}
	forged := Request{Header: http.Header{"Cookie": {"intilery_keeper=" + strings.Repeat("A", 100)}}, Host: host, Now: epoch}
	if got := testing.AllocsPerRun(1000, func() { j.Resolve(forged) }); got > 3 {
		t.Errorf("Resolve of a forged keeper: %v allocations, want at most 3", got)
	}
}

func BenchmarkResolve(b *testing.B) {
	j := newJar(b, Config{})
	many := brought{keeper: []*keeper{kept()}}
	for range 50 {
		many.readable = append(many.readable, quoted(idB))
	}
	for name, r := range map[string]Request{
		"returning": returning(b, j, time.Hour),
		"new":       {Header: http.Header{}, Host: host, Document: true, Now: epoch},
		"fetch":     {Header: http.Header{}, Host: host, Now: epoch},
		"50 twins":  {Header: many.header(b, j), Host: host, Now: epoch},
		"oversized": {Header: http.Header{"Cookie": {strings.Repeat("a=b; ", 1<<18)}}, Host: host, Now: epoch},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				j.Resolve(r)
			}
		})
	}
}

func BenchmarkDecide(b *testing.B) {
	j := newJar(b, Config{})
	for name, test := range map[string]struct {
		r Request
		s Response
	}{
		"nothing":  {returning(b, j, time.Hour), page},
		"renewal":  {returning(b, j, 2*day), page},
		"identify": {returning(b, j, time.Hour), traits2},
		"logout":   {returning(b, j, time.Hour), logout},
	} {
		id := j.Resolve(test.r)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				j.Decide(id, test.r, test.s)
			}
		})
	}
}
