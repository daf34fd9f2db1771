package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// blocks is the app as the blocks of the global option make it. Caddy wants its
// whole JSON after each block, and with thousands of destinations most of that is
// what the block before gave: so what grows with the blocks is kept as JSON.
type blocks struct {
	*App
	destinations, values members // of App.Destinations and App.Map
	text                 []byte  // the JSON of all of it
}

// latest has the blocks of the JSON that Caddy was given last, and gives to the next
// block: it saves reading that JSON again for each block, which costs its square.
var latest atomic.Pointer[blocks]

// blocksSoFar returns the blocks before this one.
func blocksSoFar(existing any) (*blocks, error) {
	earlier, ok := existing.(httpcaddyfile.App)
	if !ok || len(earlier.Value) == 0 {
		return &blocks{App: new(App)}, nil
	}
	if b := latest.Swap(nil); b != nil && &b.text[0] == &earlier.Value[0] {
		return b, nil
	}
	return readBlocks(earlier.Value)
}

// readBlocks reads the JSON of earlier blocks.
func readBlocks(text []byte) (*blocks, error) {
	b := &blocks{App: new(App)}
	if err := json.Unmarshal(text, b.App); err != nil {
		return nil, fmt.Errorf("reading the intilery options before this one: %w", err)
	}
	for name, d := range b.Destinations {
		if err := b.destinations.add(name, d); err != nil {
			return nil, err
		}
	}
	for value, name := range b.Map {
		if err := b.values.add(value, name); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// value is the app as Caddy wants it.
func (b *blocks) value() (httpcaddyfile.App, error) {
	destinations, values := b.Destinations, b.Map
	b.Destinations, b.Map = nil, nil
	options, err := json.Marshal(b.App)
	b.Destinations, b.Map = destinations, values
	if err != nil {
		return httpcaddyfile.App{}, err
	}
	parts := [][]byte{options[:len(options)-1]}
	if len(options) > len("{}") {
		parts = append(parts, []byte(","))
	}
	parts = append(parts, []byte(`"destinations":{`), b.destinations, []byte("}"))
	if len(b.values) > 0 {
		parts = append(parts, []byte(`,"map":{`), b.values, []byte("}"))
	}
	text := slices.Concat(append(parts, []byte("}"))...)
	b.text = text
	latest.Store(b)
	return httpcaddyfile.App{Name: "intilery", Value: text}, nil
}

// members is the text between the braces of a JSON object.
type members []byte

func (m *members) add(name string, value any) error {
	object, err := json.Marshal(map[string]any{name: value})
	if err != nil {
		return err
	}
	if len(*m) > 0 {
		*m = append(*m, ',')
	}
	*m = append(*m, object[1:len(object)-1]...)
	return nil
}
