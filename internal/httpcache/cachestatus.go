package httpcache

import (
	"strings"

	"github.com/dunglas/httpsfv"
)

// cacheStatusHit reads Cache-Status (RFC 9211): a List whose members are caches.
func cacheStatusHit(lines []string) bool {
	list, err := httpsfv.UnmarshalList(lines)
	if err != nil {
		return looseCacheStatusHit(lines)
	}
	for _, member := range list {
		if item, ok := member.(httpsfv.Item); ok && itemHit(item) {
			return true
		}
	}
	return false
}

func itemHit(item httpsfv.Item) bool {
	param := func(name string) any {
		value, _ := item.Params.Get(name)
		return value
	}
	hit, fwd := param("hit"), param("fwd")
	switch {
	case hit == true:
		// Even beside fwd, against the RFC: Souin, the cache in Caddy's own
		// ecosystem, writes "hit; ...; fwd=stale" when it serves a stale response.
		return true
	case param("collapsed") == true:
		return true
	case fwd == httpsfv.Token("stale"), fwd == httpsfv.Token("request"):
		// Revalidated. With the other reasons to forward, nothing was stored and the
		// 304 answers the browser.
		return param("fwd-status") == int64(304)
	case hit != nil || fwd != nil:
		return false
	}
	// Not by the RFC, but what "add_header Cache-Status $upstream_cache_status"
	// makes in nginx. Only a whole name counts: caches are named after hosts.
	name, ok := item.Value.(httpsfv.Token)
	return ok && reportToken(string(name))
}

// looseCacheStatusHit reads a Cache-Status that is no valid List. Caches do write
// such, for instance by a key with a query that is not quoted. In a member, the
// first of hit and fwd decides, because the key, which a visitor can choose, comes
// later. Other parameters say nothing.
func looseCacheStatusHit(lines []string) bool {
	for _, line := range lines {
		for members := (splitter{rest: line}); members.rest != ""; {
			member, _ := members.next(",")
			if looseMemberHit(member) {
				return true
			}
		}
	}
	return false
}

func looseMemberHit(member string) bool {
	params := splitter{rest: member}
	name, _ := params.next(";")
	for params.rest != "" {
		param, _ := params.next(";")
		key, value, valued := strings.Cut(param, "=")
		switch key = strings.TrimSpace(key); {
		case strings.EqualFold(key, "hit"):
			return !valued || strings.TrimSpace(value) == "?1"
		case strings.EqualFold(key, "fwd"):
			return false
		}
	}
	name, _, _ = strings.Cut(name, " ")
	return reportToken(name)
}
