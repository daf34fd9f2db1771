package caddymodule

import (
	"encoding/binary"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// heldPage is a new visitor's first page, which waits in the visitor's own
// keeper until the browser has shown that it keeps cookies.
type heldPage struct {
	at         time.Time
	url        string // as the browser sees it, without secrets
	referrer   string
	name       string
	properties string // a JSON object, or nothing
}

// Bounds of a held page's parts, in bytes. With the rest of a keeper they stay
// far below the 4,096 bytes that a browser gives a cookie; together they stay
// below cookie.MaxHeldLen, which properties share what is left of.
const (
	maxHeldURL      = 512
	maxHeldReferrer = 200
	maxHeldName     = maxName
)

// encode writes a held page: its time in milliseconds, then each text, all
// lengths as varints. What is too long is cut, the query first, or left out.
func (p *heldPage) encode() string {
	b := make([]byte, 0, cookie.MaxHeldLen)
	b = binary.AppendUvarint(b, uint64(max(p.at.UnixMilli(), 0)))
	for _, text := range []string{cutURL(p.url, maxHeldURL), cutURL(p.referrer, maxHeldReferrer), p.name} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	properties := p.properties
	if len(b)+binary.MaxVarintLen16+len(properties) > cookie.MaxHeldLen {
		properties = ""
	}
	b = binary.AppendUvarint(b, uint64(len(properties)))
	return string(append(b, properties...))
}

// decodeHeld reads encode's text. It was sealed by us, perhaps by another
// version of us.
func decodeHeld(s string) (p heldPage, ok bool) {
	b := []byte(s)
	at, n := binary.Uvarint(b)
	if n <= 0 || at > uint64(1<<53) {
		return heldPage{}, false
	}
	p.at, b = time.UnixMilli(int64(at)), b[n:]
	for _, text := range []*string{&p.url, &p.referrer, &p.name, &p.properties} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return heldPage{}, false
		}
		*text, b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	if p.properties != "" {
		object, err := parseObject(p.properties)
		if err != nil {
			return heldPage{}, false
		}
		p.properties = string(object)
	}
	return p, len(b) == 0 && len(p.name) <= maxHeldName
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

// hold returns what to hold back of the page of a visitor who is new, "" where
// the page is to be sent at once.
func (v *visit) hold(s statement, paged, speaks bool) string {
	if !paged || speaks || v.h.NewVisitors != newReturning || v.id.Reason != cookie.Minted {
		return ""
	}
	page := v.h.eventContext(v.r, v.request.Secure, v.request.Host).Page
	p := heldPage{
		at: v.request.Now, url: page.URL, referrer: page.Referrer,
		name: s.page.name, properties: string(s.page.properties),
	}
	return p.encode()
}

// release sends a page that was held back, with the time at which it happened.
// Its messageId follows from its content, so that two answers that release it at
// once send one event twice rather than two events.
func (v *visit) release(out cookie.Outcome) {
	p, ok := decodeHeld(out.Released)
	if !ok || out.AnonymousID == "" {
		siteMetrics.ignored.WithLabelValues("held_page").Inc()
		return
	}
	e := event.Event{
		Type: event.Page, Name: p.name, AnonymousID: out.AnonymousID, Timestamp: p.at,
		MessageID: uuid.NewSHA1(uuid.NameSpaceURL, []byte(out.AnonymousID+"\x00"+out.Released)).String(),
		Context:   v.h.eventContext(v.r, v.request.Secure, v.request.Host),
	}
	if p.properties != "" {
		e.Properties = []byte(p.properties)
	}
	e.Context.Page = event.PageContext{URL: p.url, Referrer: p.referrer}
	e.Context.Campaign = nil
	if u, err := url.Parse(p.url); err == nil {
		e.Context.Page.Path = u.EscapedPath()
		if u.RawQuery != "" {
			e.Context.Page.Search = "?" + u.RawQuery
			e.Context.Campaign = campaign(u.RawQuery)
		}
	}
	v.h.capture(&e, headerPage)
}
