package doctor

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
)

// client sends to a collection endpoint what a tag sends.
type client struct {
	*examination
	ctx    context.Context
	base   *url.URL // the endpoint
	origin string   // of the page that the tag is on
}

func originOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// ask makes a request to an address below the endpoint, as a page of an origin does,
// and reports one that is not answered: then it returns nil. The headers are pairs.
func (c *client) ask(topic string, browser http.CookieJar, method, below, origin string, body []byte, headers ...string) *answer {
	at := c.base.JoinPath(below)
	req := (&http.Request{Method: method, URL: at, Host: at.Host, Header: http.Header{
		"Accept":          {"*/*"},
		"Accept-Language": {"en"},
		"User-Agent":      {userAgent},
	}}).WithContext(c.ctx)
	if body != nil {
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	if origin != originOf(at) || method != http.MethodGet {
		req.Header.Set("Origin", origin)
	}
	if isTrustworthy(at) {
		req.Header.Set("Sec-Fetch-Dest", "empty")
		req.Header.Set("Sec-Fetch-Mode", "cors")
		req.Header.Set("Sec-Fetch-Site", relation(origin, at))
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	a, err := c.send(req, browser)
	if err != nil {
		c.report.add(problem, topic, fixEndpoint, "%s", err.Error())
		return nil
	}
	return &a
}

// relation is the Sec-Fetch-Site of a request from a page of an origin (W3C Fetch
// Metadata, 2.3).
func relation(origin string, to *url.URL) string {
	from, err := url.Parse(origin)
	switch {
	case origin == originOf(to):
		return "same-origin"
	case err == nil && from.Scheme == to.Scheme && siteOf(hostOf(from)) == siteOf(hostOf(to)):
		return "same-site"
	default:
		return "cross-site"
	}
}

// preflight asks whether a page of an origin may send what a tag sends (Fetch
// standard, CORS-preflight fetch).
func (c *client) preflight(topic, origin string) *answer {
	return c.ask(topic, newBrowser(), http.MethodOptions, "t", origin, nil,
		"Access-Control-Request-Method", http.MethodPost, "Access-Control-Request-Headers", "authorization,content-type")
}

// reply is what the endpoint answers to events.
type reply struct {
	Success *bool  `json:"success"`
	Error   string `json:"error"`
}

// replyOf reads an answer; ok says that it is the endpoint's.
func replyOf(a *answer) (r reply, ok bool) {
	err := json.Unmarshal(a.body, &r)
	return r, err == nil && r.Success != nil
}

func zipped(body []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body) // a buffer takes everything
	_ = w.Close()
	return b.Bytes()
}
