package caddymodule

import (
	"container/list"
	"strings"
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
)

const (
	// awaitingLife is how long a page waits for its visitor's consent: as long
	// as a visitor may read the page that a link in a mail opened.
	awaitingLife = 30 * time.Minute

	// maxAwaiting bounds the memory of all pages that wait, in bytes.
	maxAwaiting = 8 << 20
	// maxAwaitingData is the most that a page may take along beside its name and
	// URLs, in bytes.
	maxAwaitingData = 1024
	// awaitingOverhead is about what a page takes beside its texts, in bytes.
	awaitingOverhead = 500

	// consentNotShown is why a page that waited is not sent, as a metric label.
	consentNotShown = "consent_not_shown"
)

// awaitingPages holds the pages of known visitors whose consent a request does
// not show, because the browser withholds the consent manager's cookie from a
// visit by a link of another site. They are sent when a later request of the same
// visitor shows it.
//
// They wait in memory, since nothing may be set or changed in the browser before
// consent is known: those of a restart or of another server of a fleet are not
// counted.
type awaitingPages struct {
	mu    sync.Mutex
	size  int                        // of all pages, in bytes
	byID  map[string][]*list.Element // of byAge, by anonymousId
	byAge list.List                  // of *awaitingPage, oldest first
}

type awaitingPage struct {
	anonymousID, destination string
	event                    deferredEvent
}

func (p *awaitingPage) size() int {
	e := &p.event
	return awaitingOverhead + len(e.Name) + len(e.URL) + len(e.Referrer) + len(e.Data)
}

// add keeps the page of this response.
func (a *awaitingPages) add(x *exchange, app *reserved.AppHeaders, anonymousID string) {
	destination, ok := x.chooseDestination()
	if !ok {
		x.metrics().ignored.WithLabelValues("no_destination").Inc()
		return
	}
	page := &awaitingPage{anonymousID, destination, x.deferredPage(app)}
	e := &page.event
	e.URL, e.Referrer = strings.Clone(e.URL), strings.Clone(e.Referrer) // parts of longer ones
	if len(e.Data) > maxAwaitingData {
		e.Data = nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byID == nil {
		a.byID = make(map[string][]*list.Element)
	}
	a.byID[anonymousID] = append(a.byID[anonymousID], a.byAge.PushBack(page))
	a.size += page.size()
	a.expire(x)
}

// expire drops and counts the pages that have waited too long, and the oldest ones
// where there are too many.
func (a *awaitingPages) expire(x *exchange) {
	oldest := x.request.Now.Add(-awaitingLife).UnixMilli()
	for {
		element := a.byAge.Front()
		if element == nil {
			return
		}
		page := element.Value.(*awaitingPage)
		if page.event.At > oldest && a.size <= maxAwaiting {
			return
		}
		x.metrics().ignored.WithLabelValues(consentNotShown).Inc()
		a.remove(page, element)
	}
}

// remove takes out a visitor's oldest page.
func (a *awaitingPages) remove(page *awaitingPage, element *list.Element) {
	a.byAge.Remove(element)
	a.size -= page.size()
	if left := a.byID[page.anonymousID][1:]; len(left) > 0 {
		a.byID[page.anonymousID] = left
	} else {
		delete(a.byID, page.anonymousID)
	}
}

// release sends what waits for this visitor.
func (a *awaitingPages) release(x *exchange, anonymousID string) {
	a.mu.Lock()
	a.expire(x)
	a.mu.Unlock()
	chosen := x.destination
	for _, page := range a.take(anonymousID) {
		x.destination = page.destination
		x.sendDeferred(&page.event, anonymousID, "")
	}
	x.destination = chosen
}

// drop forgets what waits for a visitor who refuses.
func (a *awaitingPages) drop(x *exchange, anonymousID string) {
	if pages := a.take(anonymousID); len(pages) > 0 {
		x.metrics().ignored.WithLabelValues("no_consent").Add(float64(len(pages)))
	}
}

// take removes and returns a visitor's pages, oldest first.
func (a *awaitingPages) take(anonymousID string) (pages []*awaitingPage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, element := range a.byID[anonymousID] {
		page := element.Value.(*awaitingPage)
		a.remove(page, element)
		pages = append(pages, page)
	}
	return pages
}
