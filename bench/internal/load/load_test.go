//go:build linux

package load

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
	var served, first atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		if r.URL.Path == "/first" {
			first.Add(1)
		}
		w.Header().Set("Content-Length", "2")
		w.Write([]byte("ok"))
	}))
	defer srv.Close()
	address := strings.TrimPrefix(srv.URL, "http://")
	for _, perSecond := range []int{0, 20_000} {
		served.Store(0)
		first.Store(0)
		l := Load{Address: address, Requests: InTurn([][]byte{get("/first"), get("/second")}), Count: 1000, Concurrency: 8, PerSecond: perSecond}
		res, err := l.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if served.Load() != 1000 || len(res.Latencies) != 1000 || first.Load() != 500 {
			t.Errorf("served %d, of them %d the first, with %d latencies; want 1000, 500, 1000",
				served.Load(), first.Load(), len(res.Latencies))
		}
	}
}

func TestRunReportsRefusals(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	address := strings.TrimPrefix(srv.URL, "http://")
	l := Load{Address: address, Requests: InTurn([][]byte{get("/")}), Count: 10, Concurrency: 2}
	if _, err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v, want one that names the 404", err)
	}
}

func get(path string) []byte { return []byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n") }
