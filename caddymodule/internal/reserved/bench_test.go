package reserved

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// What documents carry: the page's name or an identify on most, an event on some.
var documents = []struct {
	name   string
	h      http.Header
	allocs float64 // the bound
}{
	{"nothing", nil, 0},
	{"user and traits", http.Header{UserID: {"42"}, Traits: {`{"email":"ada@example.com","plan":"pro","seats":5}`}}, 1},
	{"track object", http.Header{Track: {`{"event":"Order Completed","properties":{"total":38,"currency":"GBP","items":[{"sku":"teapot"}]}}`}}, 2},
	{"track name", http.Header{Track: {"Signed Up"}}, 1},
	{"page name", http.Header{Page: {"Checkout"}}, 0},
	{"page off", http.Header{Page: {"off"}}, 0},
	{"consent", http.Header{Consent: {"granted"}}, 0},
	{"command", http.Header{Track: {`{"event":"send_email","assetId":123,"orderNumber":"A-1001"}`}}, 2},
	{"track base64", http.Header{Track: {"eyJldmVudCI6Ikdla2F1ZnQg8J+OgSJ9"}}, 3},
}

func ignore(string, error) {}

func TestParseAllocations(t *testing.T) {
	for _, tt := range documents {
		t.Run(tt.name, func(t *testing.T) {
			if got := testing.AllocsPerRun(200, func() { Parse(tt.h, ignore) }); got > tt.allocs {
				t.Errorf("%v allocations, the bound is %v", got, tt.allocs)
			}
		})
	}
}

// Most responses have no reserved header, and every asset passes through here.
func TestStripAllocations(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"Accept": {"*/*"}, "Cookie": {"a=b"}, "If-None-Match": {`"1"`}}
	h := http.Header{"Content-Type": {"text/css"}, "Etag": {`"1"`}}
	if got := testing.AllocsPerRun(200, func() {
		StripRequest(r)
		if Take(h) != nil {
			t.Error("took something")
		}
		StripResponse(h)
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, tt := range documents {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Parse(tt.h, ignore)
			}
		})
	}
}

func BenchmarkTake(b *testing.B) {
	text := []string{"text/html"}
	b.Run("none", func(b *testing.B) {
		h := http.Header{"Content-Type": text, "Cache-Control": text, "Date": text, "Server": text, "Etag": text, "Vary": text}
		b.ReportAllocs()
		for b.Loop() {
			Take(h)
		}
	})
	b.Run("user and traits", func(b *testing.B) {
		h := http.Header{"Content-Type": text, "Cache-Control": text, "Date": text}
		b.ReportAllocs()
		for b.Loop() {
			h[UserID], h[Traits] = text, text
			Take(h)
		}
	})
}
