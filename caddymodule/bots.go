package caddymodule

import "bytes"

// botMarks are lower-case parts of the User-Agent of crawlers and monitors
// that say what they are. HTTP libraries and headless browsers are not among
// them: an app's own clients and tests use those too.
var botMarks = [][]byte{
	[]byte("bot"), []byte("crawl"), []byte("spider"), []byte("slurp"), []byte("facebookexternalhit"),
	[]byte("embedly"), []byte("quora link preview"), []byte("whatsapp/"), []byte("lighthouse"),
	[]byte("pagespeed"), []byte("gtmetrix"), []byte("pingdom"), []byte("uptime"), []byte("statuscake"),
	[]byte("mediapartners-google"), []byte("feedfetcher"), []byte("bingpreview"), []byte("scrapy"),
	[]byte("archive.org"), []byte("ia_archiver"),
}

// cubot is a maker of phones whose name ends like a crawler's.
var cubot = []byte("cubot")

// maxAgentScan bounds the search; crawlers name themselves early.
const maxAgentScan = 512

// knownBot reports whether a User-Agent is a crawler's, without allocating.
func knownBot(agent string) bool {
	var buf [maxAgentScan]byte
	n := copy(buf[:], agent)
	lower := buf[:n]
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	if bytes.Contains(lower, cubot) {
		return false
	}
	for _, mark := range botMarks {
		if bytes.Contains(lower, mark) {
			return true
		}
	}
	return false
}
