package preflight

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/tracking"
)

const (
	// emptyBatch is the call that has no effect.
	emptyBatch = `{"batch":[]}`
	// wrongToken is one that Intilery has given to nobody, and says why it is there.
	wrongToken = "not-a-token-of-caddy-intilery-check"
	// clockLimit is how far this machine's clock may be from Intilery's.
	clockLimit = 10 * time.Second
)

const (
	fixToken    = "check auth_token, client_id, account_id and brand_id at Intilery: a token is good for some accounts and brands"
	fixEndpoint = "check endpoint, client_id, account_id and brand_id, and that no proxy answers in Intilery's place"
	fixLater    = "check again later"
)

// exchange observes one call.
type exchange struct {
	http.RoundTripper

	mu             sync.Mutex
	sent, answered time.Time
	date           time.Time // the receiver's clock, if it tells it
}

// RoundTrip implements http.RoundTripper.
func (e *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := e.RoundTripper.RoundTrip(r)
	if err == nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.date, _ = http.ParseTime(resp.Header.Get("Date"))
	}
	return resp, err
}

// trace returns a context whose request is timed. Hooks may still run when the
// request has been given up.
func (e *exchange) trace(ctx context.Context) context.Context {
	mark := func(at *time.Time) {
		e.mu.Lock()
		defer e.mu.Unlock()
		*at = time.Now()
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// Not WroteRequest, which may be told after the answer.
		GotConn:              func(httptrace.GotConnInfo) { mark(&e.sent) },
		GotFirstResponseByte: func() { mark(&e.answered) },
	})
}

// call sends the empty batches and judges the answers.
func (c *Checker) call(ctx context.Context, s *Section, cfg tracking.Config, transport http.RoundTripper, token string) {
	token = strings.TrimSpace(token)
	answer, e := c.send(ctx, cfg, transport, token)
	said := ""
	if m := without(token, answer.Message); m != "" {
		said = ": " + m
	}
	const topic = "token"
	switch answer.Class {
	case tracking.Accepted, tracking.Rejected:
		c.control(ctx, s, cfg, transport, answer)
	case tracking.Misconfigured:
		switch answer.Status {
		case 0:
			s.Add(Problem, topic, "use the token as Intilery shows it", "%v", answer.Err)
		case http.StatusUnauthorized, http.StatusForbidden:
			s.Add(Problem, topic, fixToken, "refused (%d)%s", answer.Status, said)
		default:
			s.Add(Problem, "endpoint", fixEndpoint, "not as the Tracking API answers (%d)%s", answer.Status, said)
		}
	case tracking.Throttled:
		s.Add(Warning, topic, fixLater+"; if others use the account too, set rate or nodes",
			"the rate limit is reached (429): whether the token is accepted is not known")
	case tracking.TooLarge:
		s.Add(Problem, "endpoint", fixEndpoint, "an empty batch is too large (%d)%s", answer.Status, said)
	case tracking.Unavailable:
		switch {
		case answer.Status != 0:
			s.Add(Problem, "endpoint", fixLater, "Intilery, or a proxy before it, fails (%d)%s", answer.Status, said)
		case answer.TimedOut:
			s.Add(Problem, "endpoint", fixLater, "%v", errTimeout)
		default:
			s.Add(Problem, "endpoint", fixEndpoint, "%v", answer.Err)
		}
	}
	e.judge(s)
}

// without takes a token out of a text that may be cut, within the token too.
func without(token, text string) string {
	const shown = "<token>"
	if token == "" {
		return text
	}
	text = strings.ReplaceAll(text, token, shown)
	const telling = 4 // fewer characters say nothing
	for n := len(token) - 1; n >= telling; n-- {
		if part, ok := strings.CutSuffix(text, token[:n]); ok {
			return part + shown
		}
	}
	return text
}

func (c *Checker) send(ctx context.Context, cfg tracking.Config, transport http.RoundTripper, token string) (tracking.Answer, *exchange) {
	e := &exchange{RoundTripper: transport}
	cfg.Transport = e
	client, err := tracking.New(cfg)
	if err != nil { // it has been made before
		return tracking.Answer{Class: tracking.Misconfigured, Err: err}, e
	}
	ctx, cancel := c.step(ctx)
	defer cancel()
	return client.Send(e.trace(ctx), token, []byte(emptyBatch)), e
}

// control tells by a wrong token whether an answer that is no refusal means that the
// right one is accepted: an endpoint that looks at the batch first answers both alike.
func (c *Checker) control(ctx context.Context, s *Section, cfg tracking.Config, transport http.RoundTripper, answer tracking.Answer) {
	const topic = "token"
	refused, _ := c.send(ctx, cfg, transport, wrongToken)
	switch {
	case refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden:
		s.Add(OK, topic, "", "accepted for this client, account and brand: an empty batch is answered %d with it, and %d with a wrong token",
			answer.Status, refused.Status)
	case refused.Class == answer.Class:
		s.Add(Warning, topic, "watch the first events arrive", "the endpoint answers %d to an empty batch, with a wrong token too: "+
			"whether yours is accepted is not known", answer.Status)
	default:
		s.Add(Warning, topic, fixLater, "not refused (%d); a wrong token had another answer than a refusal (%d), so this may mean nothing",
			answer.Status, refused.Status)
	}
}

// judge tells how long the answer took, and compares the clocks. A Date has whole
// seconds, so that clocks are known to agree to about a second.
func (e *exchange) judge(s *Section) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sent.IsZero() || e.answered.Before(e.sent) {
		return
	}
	trip := e.answered.Sub(e.sent)
	s.Add(OK, "round trip", "", "%v from the request to the answer's first byte", rounded(trip))
	if e.date.IsZero() {
		s.Add(Note, "clock", "", "the answer has no Date to compare with")
		return
	}
	ahead := e.sent.Add(trip / 2).Sub(e.date.Add(time.Second / 2))
	switch {
	case ahead.Abs() <= clockLimit+trip/2:
		s.Add(OK, "clock", "", "agrees with the receiver's within %v", max(time.Second, ahead.Abs().Round(time.Second)))
	case ahead > 0:
		s.Add(Warning, "clock", "synchronize this machine's clock", "this machine's clock is %v ahead of the receiver's: %s", ahead.Round(time.Second), clockWhy)
	default:
		s.Add(Warning, "clock", "synchronize this machine's clock", "this machine's clock is %v behind the receiver's: %s", -ahead.Round(time.Second), clockWhy)
	}
}

const clockWhy = "events, cookies and links of this server have times that others do not agree with"
