package caddymodule

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

// maxText bounds each text of an event's context, in bytes. A page event
// carries its URL four times and must stay under Intilery's 32,000 bytes.
const maxText = 2000

// eventContext builds the context of an event from the request as the browser
// sent it, whatever was rewritten since.
func (h *Handler) eventContext(r *http.Request, secure bool, host string) event.Context {
	u := originalURL(r)
	query := h.secrets.redact(u.RawQuery)
	page := event.PageContext{
		Path:     truncate(u.EscapedPath()),
		Referrer: truncate(h.secrets.redactURL(first(r.Header, "Referer"))),
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	if query == "" {
		page.URL = truncate(scheme + host + u.EscapedPath())
	} else {
		page.Search = truncate("?" + query)
		page.URL = truncate(scheme + host + u.EscapedPath() + "?" + query)
	}
	return event.Context{
		IP:        h.visitorIP(r),
		UserAgent: truncate(first(r.Header, "User-Agent")),
		Locale:    locale(first(r.Header, "Accept-Language")),
		Page:      page,
		Campaign:  campaign(query),
	}
}

// visitorIP is the client IP by Caddy's trusted_proxies, as client_ip allows.
func (h *Handler) visitorIP(r *http.Request) string {
	if h.ClientIP == clientIPOff {
		return ""
	}
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	if h.ClientIP == clientIPAnonymized {
		return anonymizeIP(ip)
	}
	return ip
}

// anonymizeIP zeroes the last octet of an IPv4 address and the last 80 bits of
// an IPv6 one. What is not an address is dropped.
func anonymizeIP(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.Addr().String()
}

// locale is the first language of Accept-Language (RFC 9110, 12.5.4), which
// browsers list by preference.
func locale(accept string) string {
	tag, _, _ := strings.Cut(accept, ",")
	tag, _, _ = strings.Cut(tag, ";")
	tag = strings.TrimSpace(tag)
	if tag == "*" || len(tag) > 35 {
		return ""
	}
	return tag
}

// campaign collects every utm_* parameter of a query. utm_campaign is the
// campaign's name; the others lose their prefix. The first of twins counts.
func campaign(query string) []event.Param {
	if !strings.Contains(query, "utm_") {
		return nil
	}
	var params []event.Param
next:
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		name, ok := strings.CutPrefix(unescape(key), "utm_")
		if !ok || name == "" || value == "" {
			continue
		}
		if name == "campaign" {
			name = "name"
		}
		for _, p := range params {
			if p.Key == name {
				continue next
			}
		}
		params = append(params, event.Param{Key: truncate(name), Value: truncate(unescape(value))})
		if len(params) == maxCampaignParams {
			break
		}
	}
	return params
}

// maxCampaignParams bounds what a hostile link can put into an event.
const maxCampaignParams = 16

// unescape decodes a query component, or returns it as it is when it is not
// well formed: such links exist and browsers accept them.
func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return strings.ToValidUTF8(decoded, "\uFFFD")
	}
	return s
}

// truncate cuts a text at maxText bytes, between characters.
func truncate(s string) string {
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}
