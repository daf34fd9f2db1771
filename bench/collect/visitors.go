//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// visitor is a browser that has been to the site.
type visitor struct {
	cookies     string
	anonymousID string
}

// meet makes n visitors come for the first time.
func meet(ctx context.Context, host string, n int) ([]visitor, error) {
	out := make([]visitor, n)
	for began, i := time.Now(), 0; i < n; {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/", nil)
		if err != nil {
			return nil, err
		}
		for name, value := range map[string]string{"Dest": "document", "Mode": "navigate", "Site": "none", "User": "?1"} {
			req.Header.Set("Sec-Fetch-"+name, value)
		}
		req.Header.Set("User-Agent", agent)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		if err := resp.Body.Close(); err != nil {
			return nil, err
		}
		for _, c := range resp.Cookies() {
			out[i].cookies += "; " + c.Name + "=" + c.Value
			if c.Name == "ajs_anonymous_id" {
				id, err := url.PathUnescape(c.Value)
				if err != nil {
					return nil, err
				}
				out[i].anonymousID = strings.Trim(id, `"`)
			}
		}
		if out[i].anonymousID == "" {
			if time.Since(began) > 10*time.Second {
				return nil, fmt.Errorf("a first visit set %q and no ID", out[i].cookies)
			}
			continue // the keys are loaded in the background
		}
		out[i].cookies = "session=0123456789abcdef" + out[i].cookies
		i++
	}
	return out, nil
}

const agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

// requests makes requests of n events each, as analytics-next sends them, with
// numbers from the given one on, from many networks: one alone may not have the
// memory that this takes.
func requests(host string, visitors []visitor, n, from int) func() func(int) []byte {
	return func() func(int) []byte {
		var body, request []byte
		return func(i int) []byte {
			v := visitors[i%len(visitors)]
			body = append(body[:0], head...)
			for k := range n {
				if k > 0 {
					body = append(body, ',')
				}
				body = fmt.Appendf(body, event, from+i*n+k, v.anonymousID, note)
			}
			body = append(body, tail...)
			request = fmt.Appendf(request[:0], "POST /x7/b HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: 10.0.%d.%d\r\nUser-Agent: %s\r\nAccept-Language: en-GB,en;q=0.9\r\nOrigin: http://%s\r\n"+
				"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nContent-Type: text/plain\r\nCookie: %s\r\nContent-Length: %d\r\n\r\n%s",
				host, byte(i>>8), byte(i), agent, host, v.cookies, len(body), body)
			return request
		}
	}
}

const (
	head  = `{"writeKey":"public","batch":[`
	event = `{"messageId":"ajs-next-%012d","timestamp":"2026-03-01T12:00:00.000Z","type":"track","event":"Product Viewed","anonymousId":"%s",` +
		`"properties":{"sku":"A-100","price":19.5,"list":[1,2,3],"note":"%s"},"integrations":{},` +
		`"context":{"page":{"path":"/p","referrer":"","search":"","title":"T","url":"https://shop.example.com/p"},"userAgent":"Mozilla/5.0","locale":"en","library":{"name":"analytics.js","version":"next"}}}`
	tail = `],"sentAt":null}`
)

var note = strings.Repeat("x", 300)
