//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/intilery/caddy-intilery/sandbox"
)

const (
	documentBytes = 8 << 10
	assetBytes    = 4 << 10
)

// upstream is the site's app: HTML for documents, CSS for assets.
func upstream() http.Handler {
	html := []byte("<!doctype html>" + strings.Repeat("<p>Stoneware teapot</p>\n", documentBytes/24))
	css := []byte(strings.Repeat("a { color: #9a3b1f }\n", assetBytes/21))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, body := w.Header(), html
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "private, no-cache")
		if strings.HasPrefix(r.URL.Path, "/assets/") {
			body = css
			h.Set("Content-Type", "text/css")
			h.Set("Cache-Control", "public, max-age=3600")
		}
		h.Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = w.Write(body) // a client that went away shows in its own error
	})
}

// receiver is where the events go.
type receiver struct {
	http.Handler
	events func() uint64 // received so far
}

// newReceiver returns the sandbox, which checks every event, or a sink that
// only counts them. They share the machine with what is measured: the sandbox
// costs more CPU than the real Intilery would here, where it costs none.
func newReceiver(kind string) (*receiver, error) {
	switch kind {
	case "sandbox":
		s := sandbox.New(sandbox.Options{})
		return &receiver{s, func() uint64 { return s.Stats().Events }}, nil
	case "sink":
		var n atomic.Uint64
		return &receiver{http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(w, "body could not be read", http.StatusBadRequest)
				return
			}
			n.Add(uint64(bytes.Count(body, []byte(`"messageId":`))))
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"success":true,"eventId":"1"}`)
		}), n.Load}, nil
	}
	return nil, fmt.Errorf("-receiver %q: use sandbox or sink", kind)
}
