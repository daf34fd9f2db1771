package doctor

import (
	"regexp"
	"strings"
)

// What many rules of the filter lists of blockers have in paths (EasyPrivacy,
// easyprivacy_general.txt): texts that are looked for anywhere, and whole words.
// Lists change daily, so they show what to stay away from and not what is blocked.
var (
	listedTexts = []string{
		"adobe", "analytic", "analytix", "amplitude", "beacon", "collect", "comscore", "counter", "fingerprint", "googletag", "heatmap",
		"impression", "intilery", "matomo", "metric", "metrik", "mixpanel", "pageview", "piwik", "pixel", "plausible", "posthog", "rudder",
		"segment", "snowplow", "statistic", "telemetry", "tracing", "track", "umami", "visitor",
	}
	listedWords = []string{
		"ad", "ads", "ajs", "cdp", "count", "event", "events", "ga", "gtag", "gtm", "hit", "hits", "identify", "imp", "insights", "log", "logger",
		"logging", "logs", "marketing", "page", "ping", "pv", "stat", "stats", "tag", "tags", "trk", "visit",
	}
)

var word = regexp.MustCompile(`[a-z]+`)

// listedWord returns what stands out in a path, "" for nothing.
func listedWord(path string) string {
	path = strings.ToLower(path)
	for _, text := range listedTexts {
		if strings.Contains(path, text) {
			return text
		}
	}
	for _, found := range word.FindAllString(path, -1) {
		for _, listed := range listedWords {
			if found == listed {
				return listed
			}
		}
	}
	return ""
}
