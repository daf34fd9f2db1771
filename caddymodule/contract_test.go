package caddymodule

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestReserved(t *testing.T) {
	for name, want := range map[string]bool{
		"Intilery-User-Id":    true,
		"intilery-user-id":    true,
		"INTILERY-TRAITS":     true,
		"Intilery_User_Id":    true, // FastCGI and WSGI read it as Intilery-User-Id
		"intilery_anonymous":  true,
		"Intilery-":           true,
		"Intilery":            false,
		"X-Intilery-User-Id":  false,
		"Intileryx-User-Id":   false,
		"":                    false,
		"Content-Type":        false,
		"Intilеry-User-Id-Cy": false, // a Cyrillic e
	} {
		if got := reserved(name); got != want {
			t.Errorf("reserved(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestStripRequest(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
	r.Header = http.Header{
		"Intilery-User-Id": {"victim"}, "Intilery_user_id": {"victim"}, "Accept": {"*/*"},
		"Trailer": {"Checksum, Intilery-User-Id"},
	}
	r.Trailer = http.Header{"Checksum": nil, "Intilery-User-Id": nil}
	stripRequest(r)
	if got, want := slices.Sorted(maps.Keys(r.Header)), []string{"Accept", "Trailer"}; !slices.Equal(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
	if got := r.Header.Get("Trailer"); got != "Checksum" {
		t.Errorf("announced %q, want Checksum", got)
	}
	// The server fills the map in at the end of the body, announced or not.
	r.Trailer["Checksum"] = []string{"abc"}
	r.Trailer["Intilery-Track"] = []string{"Forged"}
	if _, err := io.ReadAll(r.Body); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(r.Trailer)), []string{"Checksum"}; !slices.Equal(got, want) {
		t.Errorf("trailers %v, want %v", got, want)
	}
}

func TestTakeReserved(t *testing.T) {
	h := http.Header{
		"Intilery-Track": {"A", "B"}, "intilery-track": {"C"}, "Content-Type": {"text/html"}, "Trailer": {"X-A,Intilery-Track"},
	}
	taken := takeReserved(h)
	tracks := taken[headerTrack]
	slices.Sort(tracks)
	if !slices.Equal(tracks, []string{"A", "B", "C"}) {
		t.Errorf("taken %v", taken)
	}
	if len(h) != 2 || h.Get("Trailer") != "X-A" || h.Get("Content-Type") != "text/html" {
		t.Errorf("left %v", h)
	}
	if again := takeReserved(h); again != nil {
		t.Errorf("a second take found %v", again)
	}
}

func TestStripResponseTrailers(t *testing.T) {
	h := http.Header{
		"Intilery-User-Id": {"1"}, http.TrailerPrefix + "Intilery-Traits": {"{}"}, http.TrailerPrefix + "Checksum": {"x"},
		"Trailer": {"Intilery-User-Id"},
	}
	stripResponse(h)
	if len(h) != 1 || h[http.TrailerPrefix+"Checksum"] == nil {
		t.Errorf("left %v", h)
	}
}

// An announcement that holds nothing of ours keeps the app's own spelling.
func TestStripAnnouncementLeavesOthers(t *testing.T) {
	h := http.Header{"Trailer": {"A,B", "C"}}
	stripAnnouncement(h)
	if !slices.Equal(h["Trailer"], []string{"A,B", "C"}) {
		t.Errorf("changed to %q", h["Trailer"])
	}
}
