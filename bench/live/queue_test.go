//go:build linux

package live

import (
	"net/http"
	"testing"

	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// queue is the revision under test.
type queue struct {
	f      *forwarder.Forwarder
	events []event.Event
}

func open(b *testing.B, dir string, transport http.RoundTripper, list []fields) *queue {
	b.Helper()
	q := &queue{f: forwarder.New(dir)}
	for _, v := range list {
		q.events = append(q.events, event.Event{
			Type: event.Track, Name: "Product Viewed", AnonymousID: v.anonymousID, UserID: v.userID, Properties: v.properties,
			Context: event.Context{
				IP: v.ip, UserAgent: v.userAgent, Locale: "en-GB",
				Page:     event.PageContext{Path: v.path, Search: v.search, URL: "https://shop.example.com" + v.path + v.search},
				Campaign: []event.Param{{Key: "source", Value: "newsletter"}},
			},
		})
	}
	if err := q.f.Start("bench", forwarder.Settings{Version: "1.0.0", Destinations: []forwarder.Destination{{
		Name: "main", ClientID: "c", Transport: transport, Token: func() (string, error) { return "t", nil },
	}}}); err != nil {
		b.Fatal(err)
	}
	return q
}

func (q *queue) capture(b *testing.B, i int) {
	if err := q.f.Capture("main", &q.events[i%len(q.events)]); err != nil {
		b.Fatal(err)
	}
}

func (q *queue) acknowledged() int64 {
	return int64(q.f.Stats().Destinations["main"].Acknowledged.Sum())
}

func (q *queue) close(b *testing.B) {
	if err := q.f.Close(); err != nil {
		b.Fatal(err)
	}
}
