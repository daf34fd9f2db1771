package collect

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

func TestScrub(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: `{}`, ``: ``, `"\"`: `"\"`,
		`"a\u0000b"`:           `"a\ufffdb"`,
		`"\\u0000"`:            `"\\u0000"`,
		`"\\\u0000"`:           `"\\\ufffd"`,
		`"\ud83d\ude00"`:       `"\ud83d\ude00"`,
		`"\uD83D\uDE00\ud83d"`: `"\uD83D\uDE00\ufffd"`,
		`"\ud83d\ud83d\ude00"`: `"\ufffd\ud83d\ude00"`,
		`"\ude00\ud83d"`:       `"\ufffd\ufffd"`,
		`"\ud83dx\ude00"`:      `"\ufffdx\ufffd"`,
		`"\ud83d\n\u0001"`:     `"\ufffd\n\u0001"`,
		`{"\u0000":"\u0041"}`:  `{"\ufffd":"\u0041"}`,
		`"\u00`:                `"\u00`,
	} {
		got := []byte(text)
		scrub(got)
		if string(got) != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
}

// What is left decodes to text, as any other parser reads it, and nothing else
// is changed.
func FuzzScrub(f *testing.F) {
	f.Add(`"\ud83d\u0000\\\ude00"`)
	f.Add(`{"a":["\ud83d\ude00","\\u0000"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || !gjson.Valid(text) {
			return
		}
		got := []byte(text)
		scrub(got)
		var before, after any
		if json.Unmarshal([]byte(text), &before) != nil {
			return // of numbers, it knows those of a double
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%q becomes %q: %v", text, got, err)
		}
		// encoding/json reads half a pair as U+FFFD too.
		x, _ := json.Marshal(before)
		y, _ := json.Marshal(after)
		if strings.ReplaceAll(string(x), `\u0000`, "\ufffd") != strings.ReplaceAll(string(y), `\u0000`, "\ufffd") {
			t.Errorf("%q becomes %q", text, got)
		}
		again := append([]byte(nil), got...)
		if scrub(again); string(again) != string(got) {
			t.Errorf("%q, and then %q", got, again)
		}
		var members func(v any)
		members = func(v any) {
			switch v := v.(type) {
			case string:
				if strings.ContainsRune(v, 0) {
					t.Errorf("%q has U+0000", got)
				}
			case []any:
				for _, one := range v {
					members(one)
				}
			case map[string]any:
				for name, one := range v {
					members(name)
					members(one)
				}
			}
		}
		members(after)
	})
}
