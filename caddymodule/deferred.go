package caddymodule

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/intilery/caddy-intilery/caddymodule/internal/eventcontext"
	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// deferredEvent is an event that waits for a later request of its visitor: the
// first page of one who is new, what an app says while the browser withholds the
// cookies, or a page before the visitor's consent is known.
type deferredEvent struct {
	Type     event.Type      `json:"t"`
	Name     string          `json:"n,omitempty"`
	At       int64           `json:"a"`           // Unix milliseconds
	URL      string          `json:"u"`           // as the browser sees it, redacted
	Referrer string          `json:"r,omitempty"` // likewise
	Data     json.RawMessage `json:"d,omitempty"` // traits or properties
	Extra    json.RawMessage `json:"x,omitempty"`

	// MessageID is made here, so that two answers that release the event at once
	// send one event twice rather than two events.
	MessageID string `json:"m"`
}

// Bounds of a deferred event's URLs, in bytes. Data that does not fit into a cookie
// is left out of a page; a track or an identify is not deferred without it.
const (
	maxDeferredURL      = 512
	maxDeferredReferrer = 200
)

// deferral returns what cookie.Response.Defer is to carry: "" for nothing.
func (x *exchange) deferral(app *reserved.AppHeaders, paged, speaks bool) string {
	if x.id.Withheld {
		consented := x.id.Consented || app.Consent == cookie.ConsentGranted
		if consented && app.UserID != "" {
			return "" // goes at once, under that user
		}
		return encodeDeferred(x.deferredEvents(app))
	}
	if !paged || speaks || x.h.NewVisitors != newReturning || x.id.Reason != cookie.Minted {
		return ""
	}
	page := x.deferredPage(app)
	text := encodeDeferred([]deferredEvent{page})
	if text == "" {
		page.Data = nil
		text = encodeDeferred([]deferredEvent{page})
	}
	return text
}

// deferredPage is the page event of this response, to be sent later.
func (x *exchange) deferredPage(app *reserved.AppHeaders) deferredEvent {
	e := x.deferredEvent(event.Page, x.eventContext().Page)
	e.Name, e.Data = app.Page.Name, app.Page.Properties
	return e
}

// deferredEvents are the app's own events of this response, to be sent later.
func (x *exchange) deferredEvents(app *reserved.AppHeaders) []deferredEvent {
	var events []deferredEvent
	if !app.Identify && len(app.Tracks) == 0 {
		return nil
	}
	page := x.eventContext().Page
	if app.Identify {
		e := x.deferredEvent(event.Identify, page)
		e.Data = app.Traits
		events = append(events, e)
	}
	for _, t := range app.Tracks {
		e := x.deferredEvent(event.Track, page)
		e.Name, e.Data, e.Extra = t.Name, t.Properties, t.Extra
		events = append(events, e)
	}
	return events
}

func (x *exchange) deferredEvent(kind event.Type, page event.PageContext) deferredEvent {
	return deferredEvent{
		Type: kind, At: x.request.Now.UnixMilli(), MessageID: uuid.NewString(),
		URL: cutURL(page.URL, maxDeferredURL), Referrer: cutURL(page.Referrer, maxDeferredReferrer),
	}
}

// encodeDeferred returns "" for no events, and for more than a cookie holds.
func encodeDeferred(events []deferredEvent) string {
	if len(events) == 0 {
		return ""
	}
	text, err := json.Marshal(events)
	if err != nil || len(text) > cookie.MaxDeferredLen {
		return ""
	}
	return string(text)
}

// decodeDeferred reads encodeDeferred's text. It was sealed by us, perhaps by
// another version of us.
func decodeDeferred(text string) (events []deferredEvent, ok bool) {
	if err := json.Unmarshal([]byte(text), &events); err != nil || len(events) == 0 {
		return nil, false
	}
	for i := range events {
		e := &events[i]
		for _, object := range []*json.RawMessage{&e.Data, &e.Extra} {
			if len(*object) == 0 {
				continue
			}
			checked, err := reserved.CheckObject(string(*object))
			if err != nil {
				return nil, false
			}
			*object = checked
		}
		known := e.Type == event.Page || e.Type == event.Identify || e.Type == event.Track && e.Name != ""
		if _, err := uuid.Parse(e.MessageID); err != nil {
			return nil, false
		}
		if !known || e.At <= 0 || e.At > 1<<53 || len(e.URL) > maxDeferredURL || len(e.Referrer) > maxDeferredReferrer {
			return nil, false
		}
	}
	return events, true
}

// cutURL shortens a URL, at the end of a parameter if it can.
func cutURL(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := s[:limit]
	if i := strings.LastIndexAny(cut, "?&"); i > 0 && strings.Contains(cut, "?") {
		return cut[:i]
	}
	return cut
}

// release sends events that were deferred in a cookie. It reports whether an
// identify is among them.
func (x *exchange) release(of cookie.Released) (identified bool) {
	events, ok := decodeDeferred(of.Events)
	if !ok || of.AnonymousID == "" && of.UserID == "" {
		x.metrics().ignored.WithLabelValues("deferred_event").Inc()
		return false
	}
	for i := range events {
		x.sendDeferred(&events[i], of.AnonymousID, of.UserID)
		identified = identified || events[i].Type == event.Identify
	}
	return identified
}

// sendDeferred sends one event with the time at which it happened.
func (x *exchange) sendDeferred(d *deferredEvent, anonymousID, userID string) {
	e := event.Event{
		Type: d.Type, Name: d.Name, AnonymousID: anonymousID, UserID: userID, Timestamp: time.UnixMilli(d.At),
		MessageID: d.MessageID, Context: x.eventContext(), Extra: d.Extra,
	}
	header := reserved.Page
	switch e.Type {
	case event.Page:
		e.Properties = d.Data
	case event.Track:
		e.Properties, header = d.Data, reserved.Track
	case event.Identify:
		e.Traits, header = d.Data, reserved.Traits
	}
	e.Context.Page = event.PageContext{URL: d.URL, Referrer: d.Referrer}
	e.Context.Campaign = nil
	if u, err := url.Parse(d.URL); err == nil {
		e.Context.Page.Path = u.EscapedPath()
		if u.RawQuery != "" {
			e.Context.Page.Search = "?" + u.RawQuery
			e.Context.Campaign = eventcontext.Campaign(u.RawQuery)
		}
	}
	if e.Type == event.Page {
		x.sendPage(&e)
		return
	}
	x.send(&e, header)
}
