package fleet

import (
	"bytes"
	"errors"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder/queue"
	"github.com/intilery/caddy-intilery/internal/seal"
)

func ring(t testing.TB, keys ...byte) *seal.Keyring {
	t.Helper()
	var all [][]byte
	for _, k := range keys {
		all = append(all, bytes.Repeat([]byte{k}, seal.KeySize))
	}
	r, err := seal.New(all)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What one node publishes another one reads, if it has the key; also what was published
// before there were keys.
func TestPayload(t *testing.T) {
	plain, one, two, both := codec{}, codec{ring(t, 1)}, codec{ring(t, 2)}, codec{ring(t, 2, 1)}
	for name, c := range map[string]struct {
		from, to codec
		want     error
		current  bool // as the reader would publish it
	}{
		"plain":               {plain, plain, nil, true},
		"from before the key": {plain, one, nil, false},
		"the same key":        {one, one, nil, true},
		"an older key":        {one, both, nil, false},
		"a newer key":         {both, one, seal.ErrKey, false},
		"another key":         {one, two, seal.ErrKey, false},
		"no key any more":     {one, plain, seal.ErrKey, false},
	} {
		p, err := c.from.encode(3, "node-1", []byte("record"))
		if err != nil {
			t.Fatal(err)
		}
		class, node, rec, err := c.to.decode(p)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil && (class != 3 || string(node) != "node-1" || string(rec) != "record") {
			t.Errorf("%s: class %d, node %q, record %q", name, class, node, rec)
		}
		if c.to.isCurrent(p) != c.current {
			t.Errorf("%s: current %v", name, !c.current)
		}
	}
}

// Any bytes may come from a broker.
func FuzzPayload(f *testing.F) {
	c := codec{ring(f, 1)}
	for _, from := range []codec{{}, c} {
		p, err := from.encode(0, "n", []byte("r"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Add([]byte{})
	f.Add([]byte{payloadPlain, 0, 255, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		class, node, rec, err := c.decode(p)
		if err != nil {
			return
		}
		if class >= queue.Classes {
			t.Fatalf("class %d", class)
		}
		if p[0] != payloadPlain {
			return
		}
		again, err := codec{}.encode(class, string(node), rec)
		if err != nil || !bytes.Equal(again, p) {
			t.Fatalf("%q became %q, %v", p, again, err)
		}
	})
}
