package eventcontext

import (
	"net/url"
	"slices"
	"strings"

	"github.com/intilery/caddy-intilery/forwarder/event"
)

const utmPrefix = "utm_"

// Campaign returns the utm_* parameters of a raw query, decoded. utm_campaign is
// the campaign's name; the others lose their prefix. The first of equal names
// counts. There are at most event.MaxCampaign of them, and all their texts
// together have at most MaxText bytes. Redact the query before.
func Campaign(query string) []event.Param {
	n := strings.Count(query, utmPrefix)
	if n == 0 {
		return nil
	}
	params := make([]event.Param, 0, min(n, event.MaxCampaign))
	room := MaxText
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		name, ok := strings.CutPrefix(unescape(key), utmPrefix)
		if !ok || name == "" || value == "" {
			continue
		}
		if name == "campaign" {
			name = "name"
		}
		if len(name) >= room || slices.ContainsFunc(params, func(p event.Param) bool { return p.Key == name }) {
			continue
		}
		room -= len(name)
		value = truncateTo(unescape(value), room)
		room -= len(value)
		params = append(params, event.Param{Key: name, Value: value})
		if len(params) == event.MaxCampaign {
			break
		}
	}
	return params
}

// unescape decodes a query component, or returns it as it is when it is not well
// formed: such links exist and browsers accept them.
func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return strings.ToValidUTF8(decoded, "\uFFFD")
	}
	return s
}
