package httpcache

import "strings"

// anyReport reports whether a line of an X-Cache, or of a header like it, says
// that a cache sent the response.
func anyReport(lines []string) bool {
	for _, line := range lines {
		if report(line) {
			return true
		}
	}
	return false
}

// report reads one line. There is no standard. Each cache of a chain writes, after
// a comma, what it did, and many add its host name or parameters:
//
//	HIT                              nginx, Varnish, Vercel, Bunny, Drupal and others
//	MISS, HIT                        Fastly, one for each tier
//	Hit from cloudfront              also RefreshHit, Miss and Error
//	TCP_MEM_HIT from a23-51-2-4...   Akamai, Squid, Azure, Edgio
//	HIT TCP_MEM_HIT dirn:2:123       Alibaba
//	REVALIDATE from localhost        Apache
//	hit-stale                        Apache Traffic Server
//	GET /page: stale, valid, store   Symfony and Rack::Cache
//
// Only whole words count, not those of a host name (after from or via, or with a
// dot), of a parameter (with =) or in parentheses.
func report(line string) bool {
	line = withoutTraceKey(line)
	stale, invalid := false, false
	for line != "" {
		var part string
		if i := strings.IndexAny(line, ",;|"); i >= 0 {
			part, line = line[:i], line[i+1:]
		} else {
			part, line = line, ""
		}
		switch reportPart(part) {
		case outcomeHit:
			return true
		case outcomeStale:
			stale = true
		case outcomeInvalid:
			invalid = true
		}
	}
	// "stale, invalid" is the app's new response to a revalidation.
	return stale && !invalid
}

// reportToken reports whether a whole token, and not a word in it, is a report.
func reportToken(token string) bool {
	w := outcomeOf(token)
	return w == outcomeHit || w == outcomeStale || strings.HasPrefix(token, "TCP_") && report(token)
}

// withoutTraceKey removes from a trace of Symfony or Rack::Cache the method and
// the path, which the visitor chose and which may contain any word, and the
// traces of subrequests.
func withoutTraceKey(line string) string {
	method, path, found := strings.Cut(line, " /")
	if !found || method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return line
	}
	_, trace, found := strings.Cut(path, ": ")
	if !found {
		return line
	}
	trace, _, _ = strings.Cut(trace, ";")
	return trace
}

type outcome uint8

const (
	outcomeNone       outcome = iota
	outcomeHit                // the response comes out of the cache
	outcomeStale              // likewise, if nothing else is reported
	outcomeInvalid            // the stored response was not used
	outcomeRevalidate         // a hit in Apache and Akamai, but also a part of directives
	outcomeFor                // hit-for-pass and hit-for-miss are no hits
	outcomeEnd                // what follows is no report of a hit
)

// outcomes are the words that count.
var outcomes = [...]struct {
	text    string
	outcome outcome
}{
	{"hit", outcomeHit},
	{"updating", outcomeHit},
	{"revalidated", outcomeHit},
	{"fresh", outcomeHit},
	{"prerender", outcomeHit},
	{"stale", outcomeStale},
	{"invalid", outcomeInvalid},
	{"revalidate", outcomeRevalidate},
	{"for", outcomeFor},
	{"miss", outcomeEnd},
	{"no", outcomeEnd},
	{"not", outcomeEnd},
	{"from", outcomeEnd},
	{"via", outcomeEnd},
}

func outcomeOf(s string) outcome {
	for i := range outcomes {
		if len(s) == len(outcomes[i].text) && strings.EqualFold(s, outcomes[i].text) {
			return outcomes[i].outcome
		}
	}
	return outcomeNone
}

// reportPart reads what one cache reports.
func reportPart(part string) outcome {
	result, first := outcomeNone, true
	for part != "" {
		part = strings.TrimLeft(part, " \t")
		token := part
		if i := strings.IndexAny(part, " \t"); i >= 0 {
			token = part[:i]
		}
		part = part[len(token):]
		if strings.ContainsRune(token, '=') || strings.HasPrefix(token, "(") {
			return result
		}
		if strings.ContainsRune(token, '.') {
			first = false
			continue
		}
		for token != "" {
			var text string
			text, token = cutWord(token)
			if text == "" {
				continue
			}
			switch w := outcomeOf(text); {
			case w == outcomeEnd:
				return result
			case w == outcomeFor && result == outcomeHit:
				return outcomeNone
			case w == outcomeRevalidate && first:
				result = outcomeHit
			case w == outcomeHit, w == outcomeStale, w == outcomeInvalid:
				result = w
			}
			first = false
		}
	}
	return result
}

// cutWord returns the letters at the beginning of s, up to a capital after a small
// letter (RefreshHit is two words), and what follows them. Bytes of letters beyond
// ASCII are letters.
func cutWord(s string) (text, rest string) {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', c >= 0x80:
		case 'A' <= c && c <= 'Z':
			if i > 0 && 'a' <= s[i-1] && s[i-1] <= 'z' {
				return s[:i], s[i:]
			}
		default:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
