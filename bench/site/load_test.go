//go:build linux

package main

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestReadAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, in, rest string
		ok             bool
	}{
		{"body", "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabcNEXT", "NEXT", true},
		{"lower case", "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\nNEXT", "NEXT", true},
		{"other status", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "", false},
		{"no length", "HTTP/1.1 200 OK\r\n\r\n", "", false},
		{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "", false},
		{"short", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "", false},
	} {
		r := bufio.NewReader(strings.NewReader(tt.in))
		if err := readAnswer(r); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if rest, _ := r.Peek(len(tt.rest)); tt.ok && string(rest) != tt.rest {
			t.Errorf("%s: left %q, want %q", tt.name, rest, tt.rest)
		}
	}
}

// Each request of a bounded run is sent once and has its latency.
func TestRunSendsCount(t *testing.T) {
	var served, documents atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.Header.Get("Sec-Fetch-Dest") == "document" {
			documents.Add(1)
		}
		w.Header().Set("Content-Length", "2")
		w.Write([]byte("ok"))
	}))
	defer srv.Close()
	address := strings.TrimPrefix(srv.URL, "http://")
	for _, perSecond := range []int{0, 20_000} {
		served.Store(0)
		documents.Store(0)
		l := load{address: address, requests: mix(address, []string{"a=b"}), count: 1000, concurrency: 8, perSecond: perSecond}
		res, err := l.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if served.Load() != 1000 || len(res.latencies) != 1000 || documents.Load() != 200 {
			t.Errorf("served %d, of them %d documents, with %d latencies; want 1000, 200, 1000",
				served.Load(), documents.Load(), len(res.latencies))
		}
	}
}

func TestRunReportsRefusals(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	address := strings.TrimPrefix(srv.URL, "http://")
	l := load{address: address, requests: documents(address, []string{""}), count: 10, concurrency: 2}
	if _, err := l.run(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v, want one that names the 404", err)
	}
}
