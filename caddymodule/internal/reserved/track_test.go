package reserved

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// trackCase is one or more lines of Intilery-Track. Tracks are compared as text.
type trackCase struct {
	name    string
	lines   []string
	want    []string
	refused []string // reasons
}

// describe writes tracks as one line each.
func describe(tracks []TrackValue) (lines []string) {
	for _, v := range tracks {
		line := v.Name
		if v.Properties != nil {
			line += " properties " + string(v.Properties)
		}
		if v.Extra != nil {
			line += " extra " + string(v.Extra)
		}
		lines = append(lines, line)
	}
	return lines
}

func runTracks(t *testing.T, cases []trackCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			a, refused := parse(http.Header{Track: tt.lines})
			if diff := cmp.Diff(tt.want, describe(a.Tracks)); diff != "" {
				t.Errorf("tracks (-want +got):\n%s", diff)
			}
			var reasons []string
			for _, r := range refused {
				reasons = append(reasons, strings.TrimPrefix(r, Track+" "))
			}
			if !slices.Equal(reasons, tt.refused) {
				t.Errorf("refused %q, want %q", reasons, tt.refused)
			}
		})
	}
}

func TestTrackValues(t *testing.T) {
	runTracks(t, []trackCase{
		{"a name", []string{" Signed Up "}, []string{"Signed Up"}, nil},
		{"a name that is base64 by chance", []string{"Checkout"}, []string{"Checkout"}, nil},
		{"a name that decodes to an empty array", []string{"W10"}, []string{"W10"}, nil},
		{"a name that decodes to an array of numbers", []string{"WzFd"}, []string{"WzFd"}, nil},
		{"a name that decodes to the beginning of an array", []string{"W100"}, []string{"W100"}, nil},
		{"base64 of what is not JSON", []string{b64(`{"event" "A"}`)}, nil, []string{"malformed"}},
		{"a name as long as accepted", []string{strings.Repeat("x", 256)}, []string{strings.Repeat("x", 256)}, nil},
		{"a name too long", []string{strings.Repeat("x", 257)}, nil, []string{"oversized"}},
		{"a name with a control character", []string{"A\x01"}, nil, []string{"malformed"}},
		{"a name not UTF-8", []string{"Zo\xeb"}, nil, []string{"not_utf8"}},
		{"empty", []string{""}, nil, []string{"empty"}},
		{"an object", []string{`{"event":" B ","properties":{"n": 1}}`}, []string{`B properties {"n":1}`}, nil},
		{"escapes", []string{`{"\u0065vent":"Gekauft \ud83c\udf81"}`}, []string{"Gekauft 🎁"}, nil},
		{"base64", []string{b64(`{"event":"Gekauft 🎁"}`)}, []string{"Gekauft 🎁"}, nil},
		{"base64url", []string{"eyJldmVudCI6Ij8_Pz4-PiJ9"}, []string{"???>>>"}, nil},
		{"properties null", []string{`{"event":"A","properties":null}`}, []string{"A"}, nil},
		{"the last of equal fields", []string{`{"event":"A","event":"B","properties":{"a":1},"properties":{}}`}, []string{"B properties {}"}, nil},
		{"the root fields of a command", []string{`{"event":"send_email","assetId": 7,"properties":null,"to": [1, 2]}`},
			[]string{`send_email extra {"assetId":7,"to":[1,2]}`}, nil},
		{"a root field twice", []string{`{"event":"A","x":1,"y":"<&>","x":2}`}, []string{`A extra {"y":"<&>","x":2}`}, nil},
		{"a field in another case is another field", []string{`{"event":"A","Event":"B"}`}, []string{`A extra {"Event":"B"}`}, nil},
		{"no name", []string{`{"Event":"A"}`}, nil, []string{"empty"}},
		{"an empty name", []string{`{"event":" "}`}, nil, []string{"empty"}},
		{"null as the name", []string{`{"event":null}`}, nil, []string{"empty"}},
		{"a number as the name", []string{`{"event":5}`}, nil, []string{"wrong_type"}},
		{"a control character in the name", []string{`{"event":"A\u0000"}`}, nil, []string{"malformed"}},
		{"properties that are no object", []string{`{"event":"A","properties":[1]}`}, nil, []string{"wrong_type"}},
		{"a field of the module", []string{`{"event":"A","userId":"7"}`}, nil, []string{"reserved_field"}},
		{"a field of the module, escaped", []string{`{"event":"A","user\u0049d":"7"}`}, nil, []string{"reserved_field"}},
		{"an object not UTF-8", []string{"{\"event\":\"Zo\xeb\"}"}, nil, []string{"not_utf8"}},
		{"base64 not UTF-8", []string{b64("{\"event\":\"Zo\xeb\"}")}, nil, []string{"not_utf8"}},
		{"an object too large", []string{`{"event":"A","x":"` + strings.Repeat("x", 32_000) + `"}`}, nil, []string{"oversized"}},
		{"lines in order, one refused", []string{"A", `{"event":""}`, `{"event":"B"}`}, []string{"A", "B"}, []string{"empty"}},
		{"nested too deep", []string{`{"event":"E","properties":{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}}`, "Other"},
			[]string{"Other"}, []string{"too_deep"}},
	})
}

// What runtimes, proxies and CDNs make of a repeated header.
func TestTrackJoined(t *testing.T) {
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	a, b := b64(`{"event":"A"}`), b64(`{"event":"B"}`)
	runTracks(t, []trackCase{
		{"objects", []string{`{"event":"A"}, {"event":"B"}`}, []string{"A", "B"}, nil},
		{"objects without a space", []string{`{"event":"A"},{"event":"B"},{"event":"C"}`}, []string{"A", "B", "C"}, nil},
		{"commas and braces in strings", []string{`{"event":"A, {\"}"}, {"event":"B, ["}`}, []string{`A, {"}`, "B, ["}, nil},
		{"an object with a root field", []string{`{"event":"A","x":{"y":[1,{"event":"no"},2]}}, {"event":"B"}`}, []string{`A extra {"x":{"y":[1,{"event":"no"},2]}}`, "B"}, nil},
		{"joined and repeated", []string{`{"event":"A"}, {"event":"B"}`, "C"}, []string{"A", "B", "C"}, nil},
		{"empty members", []string{`, {"event":"A"},, ,{"event":"B"},`}, []string{"A", "B"}, nil},
		{"only empty members", []string{" , ,"}, nil, []string{"empty"}},

		{"names cannot be told apart", []string{"Signed Up, Order Placed"}, []string{"Signed Up, Order Placed"}, nil},
		{"a name with a comma", []string{"Signed up, at last"}, []string{"Signed up, at last"}, nil},
		{"a name and an empty member", []string{", Signed Up, "}, []string{"Signed Up"}, nil},
		{"a name between objects", []string{`{"event":"A"}, Signed Up, {"event":"B"}`}, []string{"A", "Signed Up", "B"}, nil},
		{"a name with a comma between objects", []string{`{"event":"A"}, Signed up, at last,, {"event":"B"}`}, []string{"A", "Signed up, at last", "B"}, nil},
		{"a name first", []string{`Signed Up, {"event":"B"}`}, []string{"Signed Up", "B"}, nil},
		{"a name last", []string{`{"event":"B"},Signed Up`}, []string{"B", "Signed Up"}, nil},
		{"a name and an array", []string{`Signed Up, [{"event":"B"}, "C"]`}, []string{"Signed Up", "B", "C"}, nil},
		{"a name and an empty array", []string{`Signed Up, []`}, []string{"Signed Up"}, nil},
		{"a name with a brace", []string{`Saw {title}, clicked`}, []string{"Saw {title}, clicked"}, nil},
		{"a name with a comma and a brace", []string{`Saw, {title}`}, []string{"Saw, {title}"}, nil},
		{"a name with a comma and a bracket", []string{`Level 1, [2]`}, []string{"Level 1, [2]"}, nil},
		{"text before JSON without a comma", []string{`Saw {"event":"A","l":[1,{"event":"no"},2]}`}, []string{`Saw {"event":"A","l":[1,{"event":"no"},2]}`}, nil},

		{"base64", []string{a + ", " + b}, []string{"A", "B"}, nil},
		{"base64 without a space or padding", []string{strings.TrimRight(a, "=") + "," + b}, []string{"A", "B"}, nil},
		{"base64 and names", []string{"Signed Up, " + a + ", Left, at last, " + b}, []string{"Signed Up", "A", "Left, at last", "B"}, nil},
		{"base64 and an object", []string{a + `, {"event":"B"}`}, []string{"A", "B"}, nil},

		{"an array", []string{`[{"event":"A"},{"event":"B"}]`}, []string{"A", "B"}, nil},
		{"an array of names", []string{`["A", " B, C "]`}, []string{"A", "B, C"}, nil},
		{"an empty array", []string{"[]"}, nil, nil},
		{"an array as base64", []string{b64(`[{"event":"Café"}, "B"]`)}, []string{"Café", "B"}, nil},
		{"arrays joined", []string{`["A"], ["B"]`}, []string{"A", "B"}, nil},
		{"elements that are no events", []string{`["A", 1, null, ["C"], {"event":""}, "", "B"]`}, []string{"A", "B"},
			[]string{"wrong_type", "wrong_type", "wrong_type", "empty", "empty"}},
		{"an array of an object nested as deep as accepted", []string{`[{"event":"A","p":` + nested(63) + `}]`}, []string{`A extra {"p":` + nested(63) + `}`}, nil},
		{"an array nested too deep", []string{`["A", {"event":"A","p":` + nested(64) + `}]`}, nil, []string{"too_deep"}},
		{"an array that is cut off", []string{`[{"event":"A"},{"event":"B"}`}, nil, []string{"malformed"}},
		{"an array that is not JSON", []string{`[{"event":"A"} {"event":"B"}]`}, nil, []string{"malformed"}},

		{"a name that begins with a bracket", []string{"[Shop] Signed Up"}, nil, []string{"malformed"}},
		{"a name in brackets", []string{"[Shop]"}, nil, []string{"malformed"}},
		{"a name in braces", []string{"{user}"}, nil, []string{"malformed"}},
		{"a name that begins with a bracket, with a comma", []string{"[Shop] Signed Up, at last"}, nil, []string{"malformed"}},
		{"a name that begins with a bracket before an object", []string{`[Shop] Signed Up, {"event":"B"}`}, []string{"B"}, []string{"malformed"}},

		{"one that is not JSON", []string{`{"event":"A"}, {"event":}, {"event":"B"}`}, []string{"A", "B"}, []string{"malformed"}},
		{"one without a name", []string{`{"event":"A"}, {}, {"event":"B"}`}, []string{"A", "B"}, []string{"empty"}},
		{"one with a field of the module", []string{`{"event":"A","userId":"1"}, {"event":"B"}`}, []string{"B"}, []string{"reserved_field"}},
		{"one not UTF-8", []string{"{\"event\":\"Zo\xeb\"}, {\"event\":\"B\"}"}, []string{"B"}, []string{"not_utf8"}},
		{"one nested too deep", []string{nested(65) + `, {"event":"B"}`}, []string{"B"}, []string{"too_deep"}},
		{"one too large", []string{`{"event":"` + strings.Repeat("x", 32_000) + `"}, {"event":"B"}`}, []string{"B"}, []string{"oversized"}},
		{"one refused after a name", []string{`Signed Up, {"event":5}`}, []string{"Signed Up"}, []string{"wrong_type"}},
		{"two objects without a comma", []string{`{"event":"A"} {"event":"B","l":[1,{"event":"no"},2]}`}, nil, []string{"malformed"}},
		{"one cut off takes the rest along", []string{`{"event":"A"}, {"event":"B","l":[1,{"event":"no"},2], {"event":"C"}`}, []string{"A"}, []string{"malformed"}},
	})
}

func TestTrackLimits(t *testing.T) {
	names := func(n int) (lines []string) {
		for i := range n {
			lines = append(lines, fmt.Sprintf("Event %d", i))
		}
		return lines
	}
	object := `{"event":"A","properties":{"x":"` + strings.Repeat("x", 16_000) + `"}}`
	for _, tt := range []struct {
		name    string
		lines   []string
		want    int
		refused []string
	}{
		{"300 lines", names(300), 300, nil},
		{"1000 lines", names(1000), 1000, nil},
		{"1001 lines", names(1001), 1000, []string{"Intilery-Track too_many"}},
		{"1001 joined", []string{strings.Repeat(`{"event":"A"}, `, 1001)}, 1000, []string{"Intilery-Track too_many"}},
		{"1001 in an array", []string{`["A"` + strings.Repeat(`,"A"`, 1000) + `]`}, 1000, []string{"Intilery-Track too_many"}},
		{"refused ones count", []string{strings.Repeat(`{},`, 999) + `{"event":"A"},{"event":"B"}`}, 1,
			append(slices.Repeat([]string{"Intilery-Track empty"}, 999), "Intilery-Track too_many")},
		{"1 MiB", slices.Repeat([]string{object}, 70), (1 << 20) / len(object), []string{"Intilery-Track oversized"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, refused := parse(http.Header{Track: tt.lines})
			if len(a.Tracks) != tt.want {
				t.Errorf("%d tracks, want %d", len(a.Tracks), tt.want)
			}
			if !slices.Equal(refused, tt.refused) {
				t.Errorf("refused %q, want %q", refused, tt.refused)
			}
		})
	}
}

// joinable reports whether a value is read the same when it is joined with others,
// and whether it is a name: two names beside each other cannot be told from one.
func joinable(value string) (joins, name bool) {
	a, refused := parse(http.Header{Track: {value}})
	switch {
	case len(refused) > 0 || len(a.Tracks) == 0:
		return false, false
	case len(a.Tracks) == 1 && a.Tracks[0].Name == strings.TrimFunc(value, isSeparator) && a.Tracks[0].Properties == nil:
		return !strings.ContainsAny(value, "{["), true
	}
	return true, false
}

// checkJoined joins those values that may be joined, and reports what differs from
// the same values on lines of their own.
func checkJoined(t rapid.TB, values []string, separator string) {
	t.Helper()
	var lines []string
	afterName := false
	for _, value := range values {
		if joins, name := joinable(value); joins && !(name && afterName) {
			lines = append(lines, value)
			afterName = name
		}
	}
	if len(lines) == 0 {
		return
	}
	apart, refused := parse(http.Header{Track: lines})
	if len(refused) > 0 {
		t.Errorf("refused %q of %q", refused, lines)
	}
	joined, refused := parse(http.Header{Track: {strings.Join(lines, separator)}})
	if len(refused) > 0 {
		t.Errorf("refused %q of %q joined", refused, lines)
	}
	if diff := cmp.Diff(describe(apart.Tracks), describe(joined.Tracks)); diff != "" {
		t.Errorf("%q joined (-apart +joined):\n%s", lines, diff)
	}
}

func FuzzTrackStream(f *testing.F) {
	f.Add(`{"event":"A"}`, `{"event":"B"}`, `{"event":"C","x":[1,{"y":"}"}]}`, ", ")
	f.Add(`{"event":"A"}`, "Signed Up", `[{"event":"A"},{"event":"B"}]`, ",")
	f.Add("Signed up, at last", `["A","B"]`, "Checkout", " , ")
	f.Add(b64(`{"event":"A"}`), "Signed Up", b64(`["A"]`), ",,")
	f.Add("[Shop] Signed Up", `{"event":"A", {"event":"B"}`, `{"event":}`, ", ")
	f.Add("W10", "e30", "a,b", ",")
	f.Fuzz(func(t *testing.T, first, second, third, separator string) {
		if !strings.Contains(separator, ",") || strings.TrimFunc(separator, isSeparator) != "" {
			separator = ", "
		}
		values := []string{first, second, third}
		for _, value := range values {
			checkAccepted(t, Parse(http.Header{Track: {value}}, ignore))
		}
		checkJoined(t, values, separator)
	})
}

// Any number of values, with everything in their strings that separates values
// elsewhere.
func TestTrackJoinedAsRepeated(t *testing.T) {
	pieces := rapid.SampledFrom([]string{",", ", ", "{", "}", "[", "]", `"`, `\`, " ", "a", "Zoë", "e30", `{"event":"no"}`, ", {"})
	text := rapid.Custom(func(r *rapid.T) string { return "x" + strings.Join(rapid.SliceOfN(pieces, 0, 6).Draw(r, "pieces"), "") })
	object := rapid.Custom(func(r *rapid.T) string {
		raw, err := json.Marshal(map[string]any{
			"event": text.Draw(r, "event"), "properties": map[string]any{text.Draw(r, "key"): []string{text.Draw(r, "value")}},
		})
		if err != nil {
			r.Fatal(err)
		}
		return string(raw)
	})
	value := rapid.OneOf(
		object,
		rapid.Map(object, b64),
		rapid.Map(rapid.SliceOfN(object, 1, 3), func(objects []string) string { return "[" + strings.Join(objects, " ,") + "]" }),
		rapid.SampledFrom([]string{"Signed Up", "Signed up, at last", "Checkout", "W10", "Level (1)"}),
	)
	rapid.Check(t, func(r *rapid.T) {
		values := rapid.SliceOfN(value, 1, 20).Draw(r, "values")
		checkJoined(r, values, rapid.SampledFrom([]string{", ", ",", " , ", ",, "}).Draw(r, "separator"))
	})
}
