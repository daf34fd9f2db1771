package reserved

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/intilery/caddy-intilery/cookie"
)

// b64 is the form for frameworks whose headers take ASCII only.
func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// parse returns what is accepted and the refusals as "header reason", in order.
func parse(h http.Header) (a AppHeaders, refused []string) {
	a = Parse(h, func(header string, why error) { refused = append(refused, header+" "+why.Error()) })
	return a, refused
}

type parseCase struct {
	name    string
	h       http.Header
	want    AppHeaders
	refused []string
}

func runParse(t *testing.T, cases []parseCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			got, refused := parse(tt.h)
			if len(got.Tracks) == 0 {
				got.Tracks = nil
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("accepted (-want +got):\n%s", diff)
			}
			if !slices.Equal(refused, tt.refused) {
				t.Errorf("refused %q, want %q", refused, tt.refused)
			}
		})
	}
}

func TestParseIdentify(t *testing.T) {
	deepest := `{"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`
	user := func(id string) AppHeaders { return AppHeaders{UserID: id, Identify: true} }
	traits := func(object string) AppHeaders {
		return AppHeaders{Traits: json.RawMessage(object), Identify: true}
	}
	runParse(t, []parseCase{
		{name: "nothing"},
		{name: "user and traits",
			h:    http.Header{UserID: {" 42 "}, Traits: {`{ "email": "a@b.c" }`}},
			want: AppHeaders{UserID: "42", Traits: json.RawMessage(`{"email":"a@b.c"}`), Identify: true}},
		{name: "user only", h: http.Header{UserID: {"42"}}, want: user("42")},
		{name: "an empty user is nobody", h: http.Header{UserID: {""}}},
		{name: "an empty user beside one", h: http.Header{UserID: {"", "42"}}, want: user("42")},
		{name: "an empty user joined with one", h: http.Header{UserID: {", 42"}}, want: user("42")},
		{name: "null is no user", h: http.Header{UserID: {"undefined"}}, refused: []string{"Intilery-User-Id not_a_user"}},
		{name: "null in any case", h: http.Header{UserID: {"[object Object]"}}, refused: []string{"Intilery-User-Id not_a_user"}},
		{name: "null joined with a user", h: http.Header{UserID: {"null, 42"}}, refused: []string{"Intilery-User-Id not_a_user"}},
		{name: "user not UTF-8", h: http.Header{UserID: {"Zo\xeb"}}, refused: []string{"Intilery-User-Id not_utf8"}},
		{name: "user with a control character", h: http.Header{UserID: {"4\x002"}}, refused: []string{"Intilery-User-Id malformed"}},
		{name: "user too long", h: http.Header{UserID: {strings.Repeat("x", 257)}}, refused: []string{"Intilery-User-Id oversized"}},

		{name: "user twice", h: http.Header{UserID: {"1", "2"}}, refused: []string{"Intilery-User-Id duplicate"}},
		{name: "the same user twice", h: http.Header{UserID: {"42", "42"}}, refused: []string{"Intilery-User-Id duplicate"}},
		{name: "a user joined with itself", h: http.Header{UserID: {"42, 42"}}, refused: []string{"Intilery-User-Id duplicate"}},
		{name: "without a space", h: http.Header{UserID: {"42,42"}}, refused: []string{"Intilery-User-Id duplicate"}},
		{name: "three times", h: http.Header{UserID: {"42, 42, 42"}}, refused: []string{"Intilery-User-Id duplicate"}},
		{name: "with an empty member between", h: http.Header{UserID: {"42, , 42"}}, refused: []string{"Intilery-User-Id duplicate"}},
		{name: "a user with a comma joined with itself", h: http.Header{UserID: {"Smith, John, Smith, John"}}, refused: []string{"Intilery-User-Id duplicate"}},
		{name: "a user with a comma", h: http.Header{UserID: {"Smith, John"}}, want: user("Smith, John")},
		{name: "a user with equal parts", h: http.Header{UserID: {"a, b, a, b, a"}}, want: user("a, b, a, b, a")},
		{name: "a distinguished name", h: http.Header{UserID: {"uid=ada,ou=people,dc=example,dc=example"}}, want: user("uid=ada,ou=people,dc=example,dc=example")},

		{name: "traits only", h: http.Header{Traits: {`{"plan":"pro"}`}}, want: traits(`{"plan":"pro"}`)},
		{name: "traits without members", h: http.Header{Traits: {`{}`}}, want: traits(`{}`)},
		{name: "white space is removed outside of strings only",
			h: http.Header{Traits: {"{ \"a b\" : \"\\\\\\\" \" ,\t\"c\":[ 1 , 2 ] }"}}, want: traits(`{"a b":"\\\" ","c":[1,2]}`)},
		{name: "traits as base64", h: http.Header{Traits: {b64(`{"name":"Zoë"}`)}}, want: traits(`{"name":"Zoë"}`)},
		{name: "traits without members as base64", h: http.Header{Traits: {"e30="}}, want: traits(`{}`)},
		{name: "base64 of JSON in white space", h: http.Header{Traits: {b64("\n\t  {\"a\": 1}\n")}}, want: traits(`{"a":1}`)},
		{name: "traits as base64url without padding",
			h: http.Header{Traits: {base64.RawURLEncoding.EncodeToString([]byte(`{"q":"???>>>"}`))}}, want: traits(`{"q":"???>>>"}`)},
		{name: "an empty line beside traits", h: http.Header{Traits: {"", `{"a":1}`}}, want: traits(`{"a":1}`)},
		{name: "nested as deep as accepted", h: http.Header{Traits: {deepest}}, want: traits(deepest)},
		{name: "nested too deep", h: http.Header{Traits: {`{"a":` + deepest + `}`}}, refused: []string{"Intilery-Traits too_deep"}},
		{name: "nested too deep in base64", h: http.Header{Traits: {b64(`{"a":` + deepest + `}`)}}, refused: []string{"Intilery-Traits too_deep"}},
		{name: "nested far too deep", h: http.Header{Traits: {`{"a":` + strings.Repeat("[", 31_000)}}, refused: []string{"Intilery-Traits malformed"}},
		{name: "cut off", h: http.Header{Traits: {`{"a":`}}, refused: []string{"Intilery-Traits malformed"}},
		{name: "balanced and not JSON", h: http.Header{Traits: {`{"a" 1}`}}, refused: []string{"Intilery-Traits malformed"}},
		{name: "two values without a comma", h: http.Header{Traits: {`{"a":1}{"b":2}`}}, refused: []string{"Intilery-Traits malformed"}},
		{name: "text", h: http.Header{Traits: {"plan=pro"}}, refused: []string{"Intilery-Traits malformed"}},
		{name: "an array", h: http.Header{Traits: {`["a"]`}}, refused: []string{"Intilery-Traits wrong_type"}},
		{name: "an array as base64", h: http.Header{Traits: {b64(`["a"]`)}}, refused: []string{"Intilery-Traits wrong_type"}},
		{name: "a literal", h: http.Header{Traits: {"null"}}, refused: []string{"Intilery-Traits wrong_type"}},
		{name: "traits not UTF-8", h: http.Header{Traits: {"{\"name\":\"Zo\xeb\"}"}}, refused: []string{"Intilery-Traits not_utf8"}},
		{name: "base64 not UTF-8", h: http.Header{Traits: {b64("{\"name\":\"Zo\xeb\"}")}}, refused: []string{"Intilery-Traits not_utf8"}},
		{name: "over the limit", h: http.Header{Traits: {`{"a":"` + strings.Repeat("x", 32_000) + `"}`}}, refused: []string{"Intilery-Traits oversized"}},
		{name: "over the limit as base64", h: http.Header{Traits: {b64(`{"a":"` + strings.Repeat("x", 64_000) + `"}`)}}, refused: []string{"Intilery-Traits oversized"}},
		{name: "traits twice", h: http.Header{Traits: {`{}`, `{}`}}, refused: []string{"Intilery-Traits duplicate"}},
		{name: "traits joined", h: http.Header{Traits: {`{"a":1}, {"b":2}`}}, refused: []string{"Intilery-Traits duplicate"}},
		{name: "traits joined as base64", h: http.Header{Traits: {b64(`{"a":1}`) + ", " + b64(`{"b":2}`)}}, refused: []string{"Intilery-Traits duplicate"}},

		{name: "traits of a refused user are not used",
			h: http.Header{UserID: {"42, 42"}, Traits: {`{"a":1}`}}, refused: []string{"Intilery-User-Id duplicate"}},
		{name: "a user whose traits are refused",
			h: http.Header{UserID: {"42"}, Traits: {`{"a":1}, {"b":2}`}}, want: AppHeaders{UserID: "42"}, refused: []string{"Intilery-Traits duplicate"}},
		{name: "both refused",
			h: http.Header{UserID: {"null"}, Traits: {`[`}}, refused: []string{"Intilery-User-Id not_a_user", "Intilery-Traits malformed"}},
	})
}

func TestParseResetAndConsent(t *testing.T) {
	reset := AppHeaders{Reset: true}
	granted, denied := AppHeaders{Consent: cookie.ConsentGranted}, AppHeaders{Consent: cookie.ConsentDenied}
	runParse(t, []parseCase{
		{name: "true", h: http.Header{Reset: {"true"}}, want: reset},
		{name: "true in any case", h: http.Header{Reset: {" TRUE "}}, want: reset},
		{name: "true on two lines", h: http.Header{Reset: {"true", "true"}}, want: reset},
		{name: "true joined", h: http.Header{Reset: {"true, true"}}, want: reset},
		{name: "true joined without a space", h: http.Header{Reset: {"true,true"}}, want: reset},
		{name: "true joined with nothing", h: http.Header{Reset: {", true,"}}, want: reset},
		{name: "true and false", h: http.Header{Reset: {"true, false"}}, want: reset, refused: []string{"Intilery-Reset duplicate"}},
		{name: "false and true", h: http.Header{Reset: {"false", "true"}}, want: reset, refused: []string{"Intilery-Reset duplicate"}},
		{name: "true and another text", h: http.Header{Reset: {"true, 1"}}, want: reset, refused: []string{"Intilery-Reset wrong_type"}},
		{name: "false", h: http.Header{Reset: {"false, False"}}},
		{name: "no reset", h: http.Header{Reset: {""}}},
		{name: "another text", h: http.Header{Reset: {"yes"}}, refused: []string{"Intilery-Reset wrong_type"}},
		{name: "reset not UTF-8", h: http.Header{Reset: {"tru\xe9"}}, refused: []string{"Intilery-Reset not_utf8"}},

		{name: "granted", h: http.Header{Consent: {"Granted"}}, want: granted},
		{name: "granted twice", h: http.Header{Consent: {"granted, granted"}}, want: granted},
		{name: "denied", h: http.Header{Consent: {"Denied"}}, want: denied},
		{name: "denied twice", h: http.Header{Consent: {"denied, denied", "denied"}}, want: denied},
		{name: "granted and denied", h: http.Header{Consent: {"granted, denied"}}, want: denied, refused: []string{"Intilery-Consent duplicate"}},
		{name: "denied and granted", h: http.Header{Consent: {"denied", "granted"}}, want: denied, refused: []string{"Intilery-Consent duplicate"}},
		{name: "denied and another text", h: http.Header{Consent: {"denied, maybe"}}, want: denied, refused: []string{"Intilery-Consent wrong_type"}},
		{name: "granted and another text", h: http.Header{Consent: {"granted, maybe"}}, refused: []string{"Intilery-Consent wrong_type"}},
		{name: "no consent", h: http.Header{Consent: {"", ","}}},

		{name: "a header that does not exist", h: http.Header{"Intilery-Userid": {"1"}}, refused: []string{"other unknown_header"}},
		{name: "a request header", h: http.Header{AnonymousID: {"1"}}, refused: []string{"other unknown_header"}},
		{name: "an underscore", h: http.Header{"Intilery_user_id": {"1"}}, refused: []string{"other unknown_header"}},
	})
}

func TestParsePage(t *testing.T) {
	page := func(name, properties string) AppHeaders {
		p := PageValue{Given: true, Name: name}
		if properties != "" {
			p.Properties = json.RawMessage(properties)
		}
		return AppHeaders{Page: p}
	}
	refused, off := page("", ""), AppHeaders{PageOff: true}
	runParse(t, []parseCase{
		{name: "a name", h: http.Header{Page: {" Start "}}, want: page("Start", "")},
		{name: "a name with a comma", h: http.Header{Page: {"New York, New York"}}, want: page("New York, New York", "")},
		{name: "a name that is base64 by chance", h: http.Header{Page: {"Checkout"}}, want: page("Checkout", "")},
		{name: "an object", h: http.Header{Page: {`{"name":" Product ","properties":{"sku": "t"}}`}}, want: page("Product", `{"sku":"t"}`)},
		{name: "properties only", h: http.Header{Page: {`{"properties":{"sku":"off, off"}}`}}, want: page("", `{"sku":"off, off"}`)},
		{name: "an empty object", h: http.Header{Page: {`{}`}}, want: page("", "")},
		{name: "base64", h: http.Header{Page: {b64(`{"name":"Café"}`)}}, want: page("Café", "")},
		{name: "none", h: http.Header{Page: {"", " , "}}},
		{name: "off", h: http.Header{Page: {"OFF"}}, want: off},
		{name: "off twice", h: http.Header{Page: {"off", "off"}}, want: off},
		{name: "off joined", h: http.Header{Page: {"off, off"}}, want: off},
		{name: "off and a name", h: http.Header{Page: {"off", "Checkout"}}, want: off, refused: []string{"Intilery-Page duplicate"}},
		{name: "off joined with a name", h: http.Header{Page: {"Checkout, off"}}, want: off, refused: []string{"Intilery-Page duplicate"}},
		{name: "off joined with an object", h: http.Header{Page: {`off, {"name":"Checkout"}`}}, want: off, refused: []string{"Intilery-Page duplicate"}},
		{name: "a name with the text off", h: http.Header{Page: {"Turn it off, please"}}, want: page("Turn it off, please", "")},
		{name: "two lines", h: http.Header{Page: {"A", "A"}}, want: refused, refused: []string{"Intilery-Page duplicate"}},
		{name: "two objects", h: http.Header{Page: {`{"name":"A"}, {"name":"A"}`}}, want: refused, refused: []string{"Intilery-Page duplicate"}},
		{name: "a name and an object", h: http.Header{Page: {`A, {"name":"B"}`}}, want: refused, refused: []string{"Intilery-Page duplicate"}},
		{name: "an array", h: http.Header{Page: {`["A"]`}}, want: refused, refused: []string{"Intilery-Page wrong_type"}},
		{name: "a name with a bracket", h: http.Header{Page: {"[Shop] Start"}}, want: refused, refused: []string{"Intilery-Page malformed"}},
		{name: "a name in brackets", h: http.Header{Page: {"[Shop]"}}, want: refused, refused: []string{"Intilery-Page malformed"}},
		{name: "a field that a page does not have", h: http.Header{Page: {`{"name":"P","title":"x"}`}}, want: refused, refused: []string{"Intilery-Page unknown_field"}},
		{name: "a field in another case", h: http.Header{Page: {`{"Name":"P"}`}}, want: refused, refused: []string{"Intilery-Page unknown_field"}},
		{name: "an empty name", h: http.Header{Page: {`{"name":""}`}}, want: refused, refused: []string{"Intilery-Page empty"}},
		{name: "a name that is no text", h: http.Header{Page: {`{"name":1}`}}, want: refused, refused: []string{"Intilery-Page wrong_type"}},
		{name: "properties that are no object", h: http.Header{Page: {`{"properties":"x"}`}}, want: refused, refused: []string{"Intilery-Page wrong_type"}},
		{name: "a name too long", h: http.Header{Page: {strings.Repeat("x", 257)}}, want: refused, refused: []string{"Intilery-Page oversized"}},
	})
}

func TestSpeaks(t *testing.T) {
	for name, tt := range map[string]struct {
		h    http.Header
		want bool
	}{
		"nothing":              {nil, false},
		"page":                 {http.Header{Page: {"Start"}}, false},
		"page off":             {http.Header{Page: {"off"}}, false},
		"user":                 {http.Header{UserID: {"42"}}, true},
		"user, refused traits": {http.Header{UserID: {"42"}, Traits: {"x"}}, true},
		"traits":               {http.Header{Traits: {"{}"}}, true},
		"track":                {http.Header{Track: {"A"}}, true},
		"refused track":        {http.Header{Track: {""}}, false},
		"reset":                {http.Header{Reset: {"true"}}, true},
		"consent":              {http.Header{Consent: {"denied"}}, true},
	} {
		if a := Parse(tt.h, ignore); a.Speaks() != tt.want {
			t.Errorf("%s: %v, want %v", name, a.Speaks(), tt.want)
		}
	}
}

// checkAccepted reports what must not be in anything that Parse returns.
func checkAccepted(t *testing.T, a AppHeaders) {
	t.Helper()
	if err := cookie.ValidUserID(a.UserID); a.UserID != "" && err != nil {
		t.Errorf("user %q: %v", a.UserID, err)
	}
	objects := []json.RawMessage{a.Traits, a.Page.Properties}
	names := []string{a.Page.Name}
	for _, track := range a.Tracks {
		objects = append(objects, track.Properties, track.Extra)
		names = append(names, track.Name)
		if track.Name == "" {
			t.Error("a track without a name")
		}
	}
	for _, o := range objects {
		if o != nil && (!json.Valid(o) || o[0] != '{' || !utf8.Valid(o) || len(o) > maxJSON) {
			t.Errorf("object %q", o)
		}
	}
	for _, n := range names {
		if !utf8.ValidString(n) || len(n) > maxName || strings.ContainsFunc(n, unicode.IsControl) {
			t.Errorf("name %q", n)
		}
	}
	if len(a.Tracks) > maxTracks {
		t.Errorf("%d tracks", len(a.Tracks))
	}
	if a.Page.Given && a.PageOff {
		t.Error("a page that is given and off")
	}
}

// Whatever an app sends, each value is accepted or refused, what is accepted is
// bounded and valid, and what is refused gives a reason of the list.
func FuzzParse(f *testing.F) {
	f.Add("42", `{"a":1}`, `{"event":"A"}`, "off", "true", "granted")
	f.Add("null", "eyJhIjoxfQ==", "ewo=", `{"name":1}`, "x", "\xff")
	f.Add("42, 42", `{"a":1}, {"b":2}`, `{"event":"A"}, {"event":"B"}`, "off, off", "true, true", "denied, denied")
	f.Add("Smith, John", `["a"]`, `[{"event":"A"},"B",1]`, "[Shop] Start", "true, false", "granted, denied")
	f.Add(", 42", "e30=", `{"event":"A"}, Signed Up, {"event":"B","x":1,"x":2}`, `{"name":"A"},off`, ",", "granted, x")
	reasons := []error{ErrNotUTF8, ErrMalformed, ErrWrongType, ErrOversized, ErrTooDeep, ErrTooMany, ErrDuplicate,
		ErrEmpty, ErrNotAUser, ErrReservedField, ErrUnknownField, ErrUnknownHeader}
	f.Fuzz(func(t *testing.T, user, traits, track, page, reset, consent string) {
		h := http.Header{
			UserID: {user}, Traits: {traits}, Track: {track, track},
			Page: {page}, Reset: {reset}, Consent: {consent},
		}
		refused := map[string]bool{}
		a := Parse(h, func(header string, why error) {
			refused[header] = true
			if !slices.Contains(reasons, why) {
				t.Errorf("reason %v", why)
			}
		})
		checkAccepted(t, a)
		blank := func(s string) bool { return strings.TrimFunc(s, isSeparator) == "" }
		for header, ended := range map[string]bool{
			UserID:  blank(user) || a.UserID != "",
			Traits:  blank(traits) || a.Traits != nil || refused[UserID],
			Track:   len(a.Tracks) > 0 || strings.Contains(track, "["),
			Page:    blank(page) || a.PageOff || a.Page.Given,
			Reset:   a.Reset || blank(reset) || strings.Contains(strings.ToLower(reset), "false"),
			Consent: blank(consent) || a.Consent != cookie.ConsentUnknown,
		} {
			if !ended && !refused[header] {
				t.Errorf("%s is neither accepted nor refused", header)
			}
		}
	})
}
