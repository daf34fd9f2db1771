// Package events makes the events that the benchmarks use.
package events

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// Size is the size in bytes of each event of Make.
const Size = 1024

// Make returns n different events, as the forwarder stores them, of Size bytes
// each. They are what a shop's server knows of its visitors: random where those
// of a site are (IDs, times, what was looked at), the same where those are
// (browsers, names of fields), so that they compress as a site's would. Equal n
// give equal events.
func Make(n int) ([][]byte, error) {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([][]byte, n)
	for i := range out {
		e := product(r, i)
		b, err := e.Store("1.0.0")
		if err != nil {
			return nil, err
		}
		// What is missing to Size is a random reference, as shops have them.
		const member = `,"ref":""`
		if len(b)+len(member) > Size {
			return nil, fmt.Errorf("event %d has %d bytes", i, len(b))
		}
		ref := make([]byte, Size-len(b)-len(member))
		for j := range ref {
			ref[j] = "0123456789abcdefghijklmnopqrstuvwxyz"[r.IntN(36)]
		}
		e.Properties = append(e.Properties[:len(e.Properties)-1], fmt.Sprintf(`,"ref":"%s"}`, ref)...)
		if b, err = e.Store("1.0.0"); err != nil || len(b) != Size {
			return nil, fmt.Errorf("event %d has %d bytes, want %d; %w", i, len(b), Size, err)
		}
		out[i] = b
	}
	return out, nil
}

func product(r *rand.Rand, i int) event.Event {
	sku := r.IntN(1e7)
	path := fmt.Sprintf("/shop/outerwear/jacket-%d", i)
	search := fmt.Sprintf("?utm_source=newsletter&utm_campaign=%08x&size=%d", r.Uint32(), r.IntN(20))
	return event.Event{
		Type: event.Track, Name: "Product Viewed",
		AnonymousID: uuid(r), UserID: strconv.Itoa(r.IntN(1e6)), MessageID: uuid(r),
		Timestamp: time.UnixMilli(1_780_000_000_000 + r.Int64N(1e9)).UTC(),
		Properties: json.RawMessage(fmt.Sprintf(`{"sku":"SKU-%07d","name":"Waxed jacket no. %d","price":%d.%02d,"currency":"GBP","category":"outerwear/%d","position":%d}`,
			sku, i, r.IntN(300), r.IntN(100), r.IntN(20), r.IntN(50))),
		Context: event.Context{
			IP: fmt.Sprintf("203.0.%d.%d", r.IntN(256), r.IntN(256)),
			UserAgent: fmt.Sprintf("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36",
				100+r.IntN(40)),
			Locale: "en-GB",
			Page: event.PageContext{
				Path: path, Search: search,
				URL: "https://shop.example.com" + path + search,
			},
			Campaign: []event.Param{{Key: "source", Value: "newsletter"}},
		},
	}
}

func uuid(r *rand.Rand) string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64N(1<<48))
}
