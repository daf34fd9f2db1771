package caddymodule

import (
	"cmp"
	"slices"
	"time"

	"github.com/intilery/caddy-intilery/caddymodule/internal/eventcontext"
	"github.com/intilery/caddy-intilery/caddymodule/internal/reserved"
	"github.com/intilery/caddy-intilery/collect"
	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder/event"
	"github.com/intilery/caddy-intilery/internal/navigation"
)

// take takes the events of a body, and answers.
func (c *collection) take(body *collect.Body, target collect.Target, destination, key string, now time.Time) error {
	x := c.exchange
	options := x.h.Collect.parse
	options.Now, options.Trusted, options.Grow = now, c.server, body.Grow
	parsed, err := collect.Parse(body.Bytes, target, options)
	if err != nil {
		return err
	}
	if !c.server {
		gate, err := c.gate(&parsed)
		switch {
		case err != nil:
			return err
		case gate != "":
			c.count(gate, len(parsed.Events))
			c.countRejected(&parsed)
			collect.Accepted(c.w, parsed.Rejected)
			return nil
		}
		c.fill(&parsed)
	}
	parsed.Events = slices.DeleteFunc(parsed.Events, func(e collect.Event) bool {
		nobody := e.AnonymousID == "" && e.UserID == ""
		if nobody {
			parsed.Rejected = append(parsed.Rejected, collect.Rejection{Index: e.Index, Code: "no_identity",
				Field: "userId", Message: "neither userId nor a valid anonymousId; use one of them"})
		}
		return nobody
	})
	from := parsed.Events
	d := delivery{destination: destination, sender: key, events: make([]*event.Event, len(from))}
	for i := range from {
		d.events[i] = &from[i].Event
	}
	if x.h.Page == pageAuto && !c.server {
		onPage := c.pagePath()
		d.page = func(i int) (*view, bool) {
			if from[i].Type != event.Page {
				return nil, false
			}
			return x.h.app.queue.views.claim(from[i].AnonymousID, from[i].PagePath, onPage)
		}
	}
	err = x.h.app.queue.intake.take(x.h.app.queue.Forwarder, &d)
	x.events = d.count(eventTaken)
	c.count("taken", x.events)
	c.count("page_sent", d.count(eventPageSent))
	if err != nil {
		return err // what else came with it comes again
	}
	c.count("repeat", d.count(eventRepeat))
	for i, cause := range d.errs {
		parsed.Rejected = append(parsed.Rejected, rejectionOf(from[i].Index, cause))
	}
	c.countRejected(&parsed)
	slices.SortFunc(parsed.Rejected, func(a, b collect.Rejection) int { return a.Index - b.Index })
	return collect.Answer(c.w, parsed.Rejected, len(d.events)-len(d.errs)+parsed.Unsupported)
}

func (c *collection) count(outcome string, n int) {
	c.h.app.queue.tally.events(c.metrics().collected, outcome, n)
}

func (c *collection) countRejected(parsed *collect.Parsed) {
	c.count("unsupported", parsed.Unsupported)
	for _, r := range parsed.Rejected {
		c.count(r.Code, 1)
	}
}

// gate returns why a public sender's events are not taken, "" if they are, or an
// error where they may come later. It resolves the visitor and writes the cookies.
func (c *collection) gate(parsed *collect.Parsed) (why string, err error) {
	x := c.exchange
	if c.page {
		if rule := x.h.bots.Rule(x.r, x.request.Secure); rule != "" && rule != navigation.RuleHeaders {
			return "bot", nil
		}
		if c.own && len(parsed.Events) > 0 {
			x.request.TagID = parsed.Events[0].AnonymousID
		}
	}
	x.resolve()
	if over := x.h.Collect.limits.allow(time.Now(), c.charges(parsed)...); over > 0 {
		return "", overRate(over)
	}
	out := x.h.resolver().Decide(x.id, x.request, cookie.Response{Settable: c.page, Promote: c.page})
	x.id = out.Identity
	x.metrics().identities[x.id.Reason].Inc()
	if len(out.Cookies) > 0 {
		c.w.Header()["Set-Cookie"] = out.Cookies
	}
	x.finish(&reserved.AppHeaders{}, out, false)
	if !x.id.Consented {
		return "no_consent", nil
	}
	return "", nil
}

// charges are the events of the client IP and of each anonymousId.
func (c *collection) charges(parsed *collect.Parsed) []charge {
	all := append(make([]charge, 0, 2), charge{c.at, len(parsed.Events)})
	at := make(map[string]int, 1) // in all
	for i := range parsed.Events {
		id := cmp.Or(parsed.Events[i].AnonymousID, c.id.AnonymousID)
		if id == "" {
			continue
		}
		if at[id] == 0 {
			at[id] = len(all)
			all = append(all, charge{sender: sender{anonymousID: id}})
		}
		all[at[id]].events++
	}
	return all
}

// pagePath is the path of the page that sends the request. The tag's own page may
// have the canonical path instead.
func (c *collection) pagePath() string {
	if !c.own || c.h.Page != pageAuto {
		return ""
	}
	return c.eventContext().Page.Path
}

// fill adds to events what the request says and they do not.
func (c *collection) fill(parsed *collect.Parsed) {
	x := c.exchange
	ip := x.h.visitorIP(x.r)
	agent, language := "", ""
	if c.page {
		agent, language = eventcontext.Truncate(x.browser.userAgent), eventcontext.Locale(x.browser.language)
	}
	for i := range parsed.Events {
		e := &parsed.Events[i].Event
		if e.AnonymousID == "" {
			e.AnonymousID = x.id.AnonymousID
		}
		if e.UserID == "" && e.AnonymousID == x.id.AnonymousID {
			e.UserID = x.id.UserID
		}
		e.Context.IP, e.Context.UserAgent, e.Context.Locale = ip, agent, language
	}
}
