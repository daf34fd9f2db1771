package reserved

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

func TestCheckObject(t *testing.T) {
	for _, tt := range []struct {
		name, value, want string
		err               error
	}{
		{"an object", ` { "a" : 1 } `, `{"a":1}`, nil},
		{"base64", "eyJhIjoxfQ", `{"a":1}`, nil},
		{"empty", " ", "", ErrEmpty},
		{"an array", "[1]", "", ErrWrongType},
		{"two objects", `{}, {}`, "", ErrDuplicate},
		{"text", "plan", "", ErrMalformed},
	} {
		object, err := CheckObject(tt.value)
		if string(object) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %q, %v; want %q, %v", tt.name, object, err, tt.want, tt.err)
		}
	}
}

func TestDecodeBase64(t *testing.T) {
	for value, want := range map[string]string{
		"Pz8/Pj4+": "???>>>", "Pz8_Pj4-": "???>>>", "YQ": "a", "YQ==": "a", "": "",
	} {
		if got, ok := DecodeBase64(value); !ok || string(got) != want {
			t.Errorf("%q is %q, %v; want %q", value, got, ok, want)
		}
	}
	for _, value := range []string{"a", "a b", "Pz8/Pj4-", "ü", "YQ,"} {
		if got, ok := DecodeBase64(value); ok {
			t.Errorf("%q is %q", value, got)
		}
	}
}

// The depth that scan returns is what the forwarder compares with its limit.
func TestScanDepth(t *testing.T) {
	for _, text := range []string{
		"{}", "[]", `{"a":[{"b":"[[["}]}`, `{"a":"\"{"}`, strings.Repeat("[", 64) + strings.Repeat("]", 64),
	} {
		if end, depth := scan(text); end != len(text) || depth != event.Depth([]byte(text)) {
			t.Errorf("%s: end %d, depth %d; want %d, %d", text, end, depth, len(text), event.Depth([]byte(text)))
		}
	}
}

// Lines on which a search that starts again at each comma, brace or encoded value
// would take a minute. They take milliseconds.
func TestWorkIsLinear(t *testing.T) {
	const size = 1 << 18
	for name, piece := range map[string]string{
		"commas": ",", "spaces": " ", "open braces": ",{", "open strings": `,{"\"`, "base64": ",eyJh",
		"names": "a,", "objects": "{},", "brackets": "[", "cut off": `{"event":"A", `, "base64 of spaces": ",ICAg",
	} {
		for _, prefix := range []string{"", "x", "{},"} {
			line := (prefix + strings.Repeat(piece, size))[:size]
			for _, header := range Names() {
				start := time.Now()
				Parse(http.Header{header: {line}}, ignore)
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("%s of %s after %q took %v", header, name, prefix, took)
				}
			}
		}
	}
}

// The JSON of an event is the same whether it is compacted here or by
// encoding/json.
func FuzzCheckObject(f *testing.F) {
	f.Add(`{ "a" : "b\\\" c" , "d" : [ 1 , { } ] }`)
	f.Add("eyJhIjoxfQ==")
	f.Add(`{"a":1}, {"b":2}`)
	f.Add(strings.Repeat(`{"a":`, 65))
	f.Fuzz(func(t *testing.T, value string) {
		object, err := CheckObject(value)
		if (object == nil) == (err == nil) {
			t.Fatalf("object %q, error %v", object, err)
		}
		if err != nil {
			return
		}
		again, err := CheckObject(string(object))
		if err != nil || string(again) != string(object) {
			t.Errorf("%q is read as %q, %v", object, again, err)
		}
		if value = strings.TrimFunc(value, isSeparator); value[0] != '{' {
			return
		}
		var want strings.Builder
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(json.RawMessage(value)); err != nil || strings.TrimSpace(want.String()) != string(object) {
			t.Errorf("compacted %q, want %q, %v", object, want.String(), err)
		}
	})
}
