package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/intilery/caddy-intilery/cookie"
)

func TestParseStatement(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		name string
		h    http.Header
		want statement
		bad  map[string]error
	}{
		{name: "nothing", h: http.Header{}},
		{
			name: "user and traits",
			h:    http.Header{headerUserID: {" 42 "}, headerTraits: {`{ "email": "a@b.c" }`}},
			want: statement{userID: "42", traits: json.RawMessage(`{"email":"a@b.c"}`), identify: true},
		},
		{
			name: "user only",
			h:    http.Header{headerUserID: {"42"}},
			want: statement{userID: "42", identify: true},
		},
		{
			name: "an empty user is nobody",
			h:    http.Header{headerUserID: {""}},
		},
		{
			name: "traits only",
			h:    http.Header{headerTraits: {`{"plan":"pro"}`}},
			want: statement{traits: json.RawMessage(`{"plan":"pro"}`), identify: true},
		},
		{
			name: "traits as base64",
			h:    http.Header{headerTraits: {b64([]byte(`{"name":"Zoë"}`))}},
			want: statement{traits: json.RawMessage(`{"name":"Zoë"}`), identify: true},
		},
		{
			name: "traits as base64url without padding",
			h:    http.Header{headerTraits: {base64.RawURLEncoding.EncodeToString([]byte(`{"q":"???>>>"}`))}},
			want: statement{traits: json.RawMessage(`{"q":"???>>>"}`), identify: true},
		},
		{
			name: "traits nested as deep as may be",
			h:    http.Header{headerTraits: {`{"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`}},
			want: statement{traits: json.RawMessage(`{"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`), identify: true},
		},
		{
			name: "traits nested too deep",
			h:    http.Header{headerTraits: {`{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`}},
			bad:  map[string]error{headerTraits: errTooDeep},
		},
		{
			name: "properties nested too deep",
			h:    http.Header{headerTrack: {`{"event":"E","properties":{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}}`, "Other"}},
			want: statement{tracks: []trackValue{{name: "Other"}}},
			bad:  map[string]error{headerTrack: errTooDeep},
		},
		{
			name: "bad user takes the traits along",
			h:    http.Header{headerUserID: {"1", "2"}, headerTraits: {`{"a":1}`}},
			bad:  map[string]error{headerUserID: errDuplicate},
		},
		{
			name: "null is no user",
			h:    http.Header{headerUserID: {"undefined"}},
			bad:  map[string]error{headerUserID: errPlaceholder},
		},
		{
			name: "user not UTF-8",
			h:    http.Header{headerUserID: {"Zo\xeb"}},
			bad:  map[string]error{headerUserID: errNotUTF8},
		},
		{
			name: "user too long",
			h:    http.Header{headerUserID: {strings.Repeat("x", 257)}},
			bad:  map[string]error{headerUserID: errTooLarge},
		},
		{
			name: "bad traits leave the user",
			h:    http.Header{headerUserID: {"42"}, headerTraits: {`{"a":`}},
			want: statement{userID: "42"},
			bad:  map[string]error{headerTraits: errMalformed},
		},
		{
			name: "traits of a wrong type",
			h:    http.Header{headerTraits: {`["a"]`}},
			bad:  map[string]error{headerTraits: errWrongType},
		},
		{
			name: "traits over the limit",
			h:    http.Header{headerTraits: {`{"a":"` + strings.Repeat("x", 32_000) + `"}`}},
			bad:  map[string]error{headerTraits: errTooLarge},
		},
		{
			name: "traits twice",
			h:    http.Header{headerTraits: {`{}`, `{}`}},
			bad:  map[string]error{headerTraits: errDuplicate},
		},
		{
			name: "tracks in order, a bad one alone is lost",
			h:    http.Header{headerTrack: {"A", `{"event":""}`, `{"event":"B","properties":{"n": 1}}`}},
			want: statement{tracks: []trackValue{{name: "A"}, {name: "B", properties: json.RawMessage(`{"n":1}`)}}},
			bad:  map[string]error{headerTrack: errEmpty},
		},
		{
			name: "a command's root fields are relayed",
			h:    http.Header{headerTrack: {`{"event":"send_email","assetId":7,"properties":null}`}},
			want: statement{tracks: []trackValue{{name: "send_email", extra: json.RawMessage(`{"assetId":7}`)}}},
		},
		{
			name: "a track may not name its visitor",
			h:    http.Header{headerTrack: {`{"event":"A","userId":"7"}`}},
			bad:  map[string]error{headerTrack: errReserved},
		},
		{
			name: "a name that is base64 by chance is a name",
			h:    http.Header{headerTrack: {"Checkout"}},
			want: statement{tracks: []trackValue{{name: "Checkout"}}},
		},
		{
			name: "a track as base64",
			h:    http.Header{headerTrack: {b64([]byte(`{"event":"Gekauft 🎁"}`))}},
			want: statement{tracks: []trackValue{{name: "Gekauft 🎁"}}},
		},
		{
			name: "properties of a wrong type",
			h:    http.Header{headerTrack: {`{"event":"A","properties":[1]}`}},
			bad:  map[string]error{headerTrack: errWrongType},
		},
		{
			name: "page named",
			h:    http.Header{headerPage: {"Start"}},
			want: statement{page: pageValue{name: "Start"}},
		},
		{
			name: "page with properties",
			h:    http.Header{headerPage: {`{"name":"Product","properties":{"sku":"t"}}`}},
			want: statement{page: pageValue{name: "Product", properties: json.RawMessage(`{"sku":"t"}`)}},
		},
		{
			name: "page off",
			h:    http.Header{headerPage: {"off"}},
			want: statement{pageOff: true},
		},
		{
			name: "page with a field that it does not have",
			h:    http.Header{headerPage: {`{"name":"P","title":"x"}`}},
			bad:  map[string]error{headerPage: errUnknownField},
		},
		{
			name: "reset and consent",
			h:    http.Header{headerReset: {"true"}, headerConsent: {"Denied"}},
			want: statement{reset: true, consent: cookie.ConsentDenied},
		},
		{
			name: "words that are not in the contract",
			h:    http.Header{headerReset: {"yes"}, headerConsent: {"maybe"}, "Intilery-Userid": {"1"}},
			bad:  map[string]error{headerReset: errWrongType, headerConsent: errWrongType, otherHeader: errUnknown},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := map[string]error{}
			got := parseStatement(tt.h, func(header string, why error) { bad[header] = why })
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
			if len(bad)+len(tt.bad) > 0 && !reflect.DeepEqual(bad, tt.bad) {
				t.Errorf("refused %v, want %v", bad, tt.bad)
			}
		})
	}
}

// Whatever an app sends, parsing holds: what is accepted is valid JSON and
// UTF-8, within the limits, and what is refused gives a reason of the list.
func FuzzParseStatement(f *testing.F) {
	f.Add("42", `{"a":1}`, `{"event":"A"}`, "off", "true", "granted")
	f.Add("null", "eyJhIjoxfQ==", "ewo=", `{"name":1}`, "x", "\xff")
	f.Fuzz(func(t *testing.T, user, traits, track, page, reset, consent string) {
		h := http.Header{
			headerUserID: {user}, headerTraits: {traits}, headerTrack: {track, track},
			headerPage: {page}, headerReset: {reset}, headerConsent: {consent},
		}
		s := parseStatement(h, func(_ string, why error) {
			if why == nil || strings.ContainsAny(why.Error(), " \"\n") {
				t.Errorf("reason %v", why)
			}
		})
		if err := cookie.ValidUserID(s.userID); s.userID != "" && err != nil {
			t.Errorf("user %q: %v", s.userID, err)
		}
		objects := []json.RawMessage{s.traits, s.page.properties}
		names := []string{s.page.name}
		for _, tr := range s.tracks {
			objects = append(objects, tr.properties, tr.extra)
			names = append(names, tr.name)
			if tr.name == "" {
				t.Error("a track without a name")
			}
		}
		for _, o := range objects {
			if o != nil && (!json.Valid(o) || o[0] != '{' || !utf8.Valid(o) || len(o) > maxJSONValue+2) {
				t.Errorf("object %q", o)
			}
		}
		for _, n := range names {
			if !utf8.ValidString(n) || len(n) > maxName {
				t.Errorf("name %q", n)
			}
		}
	})
}
