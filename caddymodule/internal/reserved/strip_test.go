package reserved

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestIs(t *testing.T) {
	for name, want := range map[string]bool{
		"Intilery-User-Id":    true,
		"intilery-user-id":    true,
		"INTILERY-TRAITS":     true,
		"Intilery_User_Id":    true, // FastCGI and WSGI read it as Intilery-User-Id
		"intilery_anonymous":  true,
		"Intilery.User.Id":    true, // lighttpd too
		"Intilery-":           true,
		"Intilery":            false,
		"X-Intilery-User-Id":  false,
		"Intileryx-User-Id":   false,
		"Intilery2-User-Id":   false,
		"":                    false,
		"Content-Type":        false,
		"Intilеry-User-Id-Cy": false, // a Cyrillic e
		"\tntilery-User-Id":   false,
	} {
		if got := Is(name); got != want {
			t.Errorf("Is(%q) = %v, want %v", name, got, want)
		}
	}
	for _, name := range append(Names(), AnonymousID) {
		if !Is(name) || name != http.CanonicalHeaderKey(name) {
			t.Errorf("%q is not reserved or not canonical", name)
		}
	}
	if Is(Other) {
		t.Errorf("Is(%q)", Other)
	}
}

func TestStripRequest(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
	r.Header = http.Header{
		"Intilery-User-Id": {"victim"}, "Intilery_user_id": {"victim"}, "Accept": {"*/*"},
		"Trailer": {"Checksum, Intilery-User-Id"},
	}
	r.Trailer = http.Header{"Checksum": nil, "Intilery-User-Id": nil}
	StripRequest(r)
	if got, want := slices.Sorted(maps.Keys(r.Header)), []string{"Accept", "Trailer"}; !slices.Equal(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
	if got := r.Header.Get("Trailer"); got != "Checksum" {
		t.Errorf("announced %q, want Checksum", got)
	}
	if _, ok := r.Trailer["Intilery-User-Id"]; ok {
		t.Error("the announced trailer is still there")
	}
	// The server fills the map in at the end of the body, announced or not.
	r.Trailer["Checksum"] = []string{"abc"}
	r.Trailer["Intilery-Track"] = []string{"Forged"}
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != "body" {
		t.Fatalf("read %q, %v", body, err)
	}
	if got, want := slices.Sorted(maps.Keys(r.Trailer)), []string{"Checksum"}; !slices.Equal(got, want) {
		t.Errorf("trailers %v, want %v", got, want)
	}
}

func TestStripRequestLeavesTheBody(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
	body := r.Body
	StripRequest(r)
	if r.Body != body {
		t.Error("a body without trailers was wrapped")
	}
}

func TestTake(t *testing.T) {
	h := http.Header{
		"Intilery-Track": {"A", "B"}, "intilery-track": {"C"}, "Content-Type": {"text/html"}, "Trailer": {"X-A,Intilery-Track"},
	}
	taken := Take(h)
	tracks := taken[Track]
	slices.Sort(tracks)
	if len(taken) != 1 || !slices.Equal(tracks, []string{"A", "B", "C"}) {
		t.Errorf("took %v", taken)
	}
	if len(h) != 2 || h.Get("Trailer") != "X-A" || h.Get("Content-Type") != "text/html" {
		t.Errorf("left %v", h)
	}
	if again := Take(h); again != nil {
		t.Errorf("a second Take found %v", again)
	}
}

// The app may keep a slice that it set, so the two spellings of a header must not
// be joined inside of it.
func TestTakeDoesNotWriteIntoTheApp(t *testing.T) {
	for range 20 { // the order of a map
		shared := []string{"A", "untouched"}
		Take(http.Header{"Intilery-Track": shared[:1], "intilery-track": {"B"}})
		if shared[1] != "untouched" {
			t.Fatalf("the app's slice is %q", shared)
		}
	}
}

func TestStripResponse(t *testing.T) {
	h := http.Header{
		"Intilery-User-Id": {"1"}, http.TrailerPrefix + "Intilery-Traits": {"{}"}, http.TrailerPrefix + "Checksum": {"x"},
		"Trailer": {"Intilery-User-Id"},
	}
	StripResponse(h)
	if len(h) != 1 || h[http.TrailerPrefix+"Checksum"] == nil {
		t.Errorf("left %v", h)
	}
}

// An announcement that has nothing of ours keeps the app's own spelling.
func TestStripLeavesOtherAnnouncements(t *testing.T) {
	h := http.Header{"Trailer": {"A,B", "C"}}
	StripResponse(h)
	if !slices.Equal(h["Trailer"], []string{"A,B", "C"}) {
		t.Errorf("changed to %q", h["Trailer"])
	}
}

// Whatever the names are, nothing reserved is left and nothing else is removed.
func FuzzStrip(f *testing.F) {
	f.Add("Intilery-User-Id", "Trailer:Intilery-Track", "X-A, intilery_track", "42")
	f.Add("intilery_user_id", "Content-Type", "Intilery-Track", "text/html")
	f.Add("Intilery.Track", "Trailer:Checksum", ",", "")
	f.Fuzz(func(t *testing.T, name, other, announced, value string) {
		headers := func() http.Header {
			return http.Header{name: {value}, other: {value}, "Trailer": {announced}}
		}
		check := func(op string, before, left http.Header, trailers bool) {
			for n := range left {
				if Is(n) || trailers && Is(strings.TrimPrefix(n, http.TrailerPrefix)) {
					t.Errorf("%s left %q", op, n)
				}
			}
			for _, line := range left["Trailer"] {
				for n := range strings.SplitSeq(line, ",") {
					if Is(strings.TrimSpace(n)) {
						t.Errorf("%s left the announcement %q", op, line)
					}
				}
			}
			for n := range before {
				_, ok := left[n]
				if !ok && n != "Trailer" && !Is(strings.TrimPrefix(n, http.TrailerPrefix)) {
					t.Errorf("%s removed %q", op, n)
				}
			}
		}
		h := headers()
		StripResponse(h)
		check("StripResponse", headers(), h, true)

		h = headers()
		taken := Take(h)
		check("Take", headers(), h, false)
		for n := range taken {
			if !Is(n) {
				t.Errorf("Take took %q", n)
			}
		}
		if Is(name) && len(taken) == 0 {
			t.Errorf("Take did not return %q", name)
		}

		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
		r.Header, r.Trailer = headers(), http.Header{"Checksum": nil}
		StripRequest(r)
		check("StripRequest", headers(), r.Header, false)
		r.Trailer[name] = []string{value}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Fatal(err)
		}
		check("the end of the body", http.Header{}, r.Trailer, true)
	})
}
