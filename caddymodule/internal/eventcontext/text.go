package eventcontext

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// MaxText bounds each text of a context, and all campaign parameters together, in
// bytes. A page event carries its page's texts twice and must stay under Intilery's
// 32,000 bytes.
const MaxText = 2000

// Truncate cuts a text at MaxText bytes, between characters.
func Truncate(s string) string { return truncateTo(s, MaxText) }

func truncateTo(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// maxLanguage bounds a language tag; RFC 5646, section 4.4.1, asks for room for 35
// characters.
const maxLanguage = 35

// Locale is the first language of Accept-Language (RFC 9110, section 12.5.4), which
// browsers list by preference.
func Locale(accept string) string {
	tag, _, _ := strings.Cut(accept, ",")
	tag, _, _ = strings.Cut(tag, ";")
	tag = strings.TrimSpace(tag)
	if tag == "*" || len(tag) > maxLanguage {
		return ""
	}
	return tag
}

// AnonymizeIP zeroes the last octet of an IPv4 address and the last 80 bits of an
// IPv6 one. What is not an address becomes "".
func AnonymizeIP(ip string) string {
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
