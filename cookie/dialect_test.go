package cookie

import (
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestParseReadable(t *testing.T) {
	tests := []struct {
		value string
		want  string // "" = refused
		exact bool
	}{
		{"%22" + idA + "%22", idA, true},
		{idA, idA, false},
		{`"` + idA + `"`, idA, false},
		{"%22" + strings.ToUpper(idA) + "%22", strings.ToUpper(idA), true},
		{"%2200000000-0000-1000-8000-00805f9b34fb%22", "00000000-0000-1000-8000-00805f9b34fb", true},

		{"", "", false},
		{"%22%22", "", false},
		{"%22", "", false},
		{`"`, "", false},
		{"%22" + idA, "", false},
		{idA + "%22", "", false},
		{`"` + idA + "%22", "", false},
		{"%22%22" + idA + "%22%22", "", false},
		{idA[:35], "", false},
		{idA + "0", "", false},
		{strings.ReplaceAll(idA, "-", ""), "", false},
		{"{" + idA + "}", "", false},
		{"urn:uuid:" + idA, "", false},
		{"g" + idA[1:], "", false},
		{idA[:8] + "_" + idA[9:], "", false},
		{"00000000-0000-0000-0000-000000000000", "", false},
		{"ffffffff-ffff-ffff-ffff-ffffffffffff", "", false},
		{"null", "", false},
	}
	rv := newResolver(t, Config{})
	for _, test := range tests {
		id, exact, ok := rv.parseReadable(test.value)
		if ok != (test.want != "") || ok && (id != test.want || exact != test.exact) {
			t.Errorf("%q: %q, exact %v, ok %v", test.value, id, exact, ok)
		}
	}
}

func TestPatternStaysInTheAlphabet(t *testing.T) {
	rv := newResolver(t, Config{Pattern: `.+|^\d+$`})
	for id, want := range map[string]bool{
		"GA1.2.345~a_b-c":               true,
		idA:                             true,
		strings.Repeat("a", maxIDLen):   true,
		strings.Repeat("a", maxIDLen+1): false,
		"":                              false,
		"a b":                           false,
		"a;b":                           false,
		"a%3Bb":                         false,
		"a\n":                           false,
		"ä":                             false,
	} {
		if _, _, ok := rv.parseReadable(id); ok != want {
			t.Errorf("%q: %v, want %v", id, ok, want)
		}
	}
	anchored := newResolver(t, Config{Pattern: `[0-9]{3}|[a-z]{3}`})
	for id, want := range map[string]bool{"123": true, "abc": true, "1234": false, "xabc": false} {
		if _, _, ok := anchored.parseReadable(id); ok != want {
			t.Errorf("%q: %v, want %v", id, ok, want)
		}
	}
}

func TestMintID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := mintID()
		u, err := uuid.Parse(id)
		if err != nil || u.Version() != 4 || !isUUID(id) || seen[id] {
			t.Fatalf("minted %q", id)
		}
		seen[id] = true
	}
}

// FuzzDialect: what is accepted is written back as a value that reads the same,
// in either dialect and in the quotes of RFC 6265.
func FuzzDialect(f *testing.F) {
	for _, value := range []string{quoted(idA), idA, `"` + idA + `"`, "%22", `"`, "%22%22", "x", "%22\r\n%22"} {
		f.Add(value)
	}
	rv := newResolver(f, Config{Pattern: `[^a]+`})
	f.Fuzz(func(t *testing.T, value string) {
		id, _, ok := rv.parseReadable(value)
		if !ok {
			return
		}
		if !only(id, isIDByte) || len(id) > maxIDLen || !strings.Contains(value, id) {
			t.Errorf("accepted %q from %q", id, value)
		}
		for _, d := range []Dialect{DialectQuoted, DialectRaw} {
			if again, got := parseValue(d.format(id)); again != id || got != d {
				t.Errorf("%q written as %q reads as %q in %q", id, d.format(id), again, got)
			}
		}
	})
}
