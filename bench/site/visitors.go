//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/intilery/caddy-intilery/bench/internal/caddy"
)

// assetsPerDocument is the mix: a page and what it loads.
const assetsPerDocument = 4

const browser = "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n" +
	"sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Windows\"\r\n"

func document(host, cookies string, i int) []byte {
	return fmt.Appendf(nil, "GET /products/teapot-%d?utm_source=newsletter&utm_medium=email&utm_campaign=autumn&size=2 HTTP/1.1\r\nHost: %s\r\n%s"+
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"+
		"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-User: ?1\r\nUpgrade-Insecure-Requests: 1\r\n"+
		"Referer: http://%s/products/\r\nCookie: %s\r\n\r\n", i, host, browser, host, cookies)
}

func asset(host, cookies string, i int) []byte {
	return fmt.Appendf(nil, "GET /assets/%d.css HTTP/1.1\r\nHost: %s\r\n%sAccept: text/css,*/*;q=0.1\r\n"+
		"Sec-Fetch-Dest: style\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Site: same-origin\r\nReferer: http://%s/products/\r\nCookie: %s\r\n\r\n",
		i, host, browser, host, cookies)
}

// documents is one document of each visitor.
func documents(host string, cookies []string) (out [][]byte) {
	for i, c := range cookies {
		out = append(out, document(host, c, i))
	}
	return out
}

// mix is one document of each visitor and its assets.
func mix(host string, cookies []string) (out [][]byte) {
	for i, c := range cookies {
		out = append(out, document(host, c, i))
		for a := range assetsPerDocument {
			out = append(out, asset(host, c, a))
		}
	}
	return out
}

// meet makes n visitors come for the first time and returns the Cookie header
// that each comes back with: a session of the site's own and what c has set.
func meet(c *caddy.Process, n int) (cookies []string, err error) {
	conn, err := net.Dial("tcp", c.Site)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for i := range n {
		own := fmt.Sprintf("session=%032x; theme=dark", i)
		if _, err := conn.Write(document(c.Site, own, i)); err != nil {
			return nil, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return nil, err
		}
		if _, err := r.Discard(int(resp.ContentLength)); err != nil {
			return nil, err
		}
		jar := []string{own}
		for _, set := range resp.Cookies() {
			jar = append(jar, set.Name+"="+set.Value)
		}
		if c.Name == with && len(jar) != 3 {
			return nil, fmt.Errorf("the module set %d cookies at a first visit, want 2; the site answered %s", len(jar)-1, resp.Status)
		}
		cookies = append(cookies, strings.Join(jar, "; "))
	}
	return cookies, nil
}
