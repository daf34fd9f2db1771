package caddymodule

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Bots says which clients are no visitors: their documents get no anonymousId
// and count as no page.
type Bots struct {
	// Takes every client for a visitor. Default: false.
	Off bool `json:"off,omitempty"`

	// Parts of a User-Agent that mark a crawler or a monitor, beside those in
	// the built-in list. Compared without case. Default: none.
	Add []string `json:"add,omitempty"`

	// Parts to take off the built-in list. Default: none.
	Remove []string `json:"remove,omitempty"`

	// What happens to a client whose request headers a browser of its
	// User-Agent cannot have sent: `check` takes it for a bot, `ignore` does
	// not look. Set `ignore` where a proxy removes Sec-Fetch-* headers.
	// Default: `check`.
	Headers string `json:"headers,omitempty"`

	marks [][]byte
}

// Values of Bots.Headers.
const (
	botHeadersCheck  = "check"
	botHeadersIgnore = "ignore"
)

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

const (
	// maxAgentScan bounds the search; crawlers name themselves early.
	maxAgentScan = 512

	// Shorter marks are in every User-Agent, longer ones in none.
	minBotMark = 3
	maxBotMark = 64
)

// provision checks the options and makes the list.
func (b *Bots) provision() error {
	if b.Headers == "" {
		b.Headers = botHeadersCheck
	}
	if b.Headers != botHeadersCheck && b.Headers != botHeadersIgnore {
		return fmt.Errorf("bots headers: %q is not accepted; use check or ignore", b.Headers)
	}
	if b.Off && (len(b.Add) > 0 || len(b.Remove) > 0) {
		return fmt.Errorf("bots off: add and remove have no effect; use one or the other")
	}
	b.marks = slices.Clone(botMarks)
	for _, mark := range b.Remove {
		i := slices.IndexFunc(b.marks, func(m []byte) bool { return string(m) == strings.ToLower(mark) })
		if i < 0 {
			return fmt.Errorf("bots remove: %q is not in the list; use one of %q", mark, botMarks)
		}
		b.marks = slices.Delete(b.marks, i, i+1)
	}
	for _, mark := range b.Add {
		if len(mark) < minBotMark || len(mark) > maxBotMark {
			return fmt.Errorf("bots add: %q is not accepted; use a part of a User-Agent, %d to %d characters long", mark, minBotMark, maxBotMark)
		}
		b.marks = append(b.marks, []byte(strings.ToLower(mark)))
	}
	return nil
}

// named reports whether a User-Agent is one of the list's, without allocating.
func (b *Bots) named(agent string) bool {
	marks := botMarks
	if b != nil {
		marks = b.marks
	}
	var buf [maxAgentScan]byte
	n := copy(buf[:], agent)
	lower := buf[:n]
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	phone := bytes.Contains(lower, cubot)
	for _, mark := range marks {
		if bytes.Contains(lower, mark) && !(phone && len(mark) < len(cubot) && bytes.HasSuffix(cubot, mark)) {
			return true
		}
	}
	return false
}

// unmarshalCaddyfile reads the rest of the line after the word bots, or its
// block.
func (b *Bots) unmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if args := d.RemainingArgs(); len(args) > 0 {
		if len(args) > 1 || args[0] != "off" {
			return d.Errf("bots: unexpected %q; use bots off or bots { ... }", args[len(args)-1])
		}
		b.Off = true
		return nil
	}
	empty := true
	for nesting := d.Nesting(); d.NextBlock(nesting); empty = false {
		switch option := d.Val(); option {
		case "add", "remove":
			args := d.RemainingArgs()
			if len(args) == 0 {
				return d.Errf("bots %s: no value; use parts of a User-Agent", option)
			}
			if option == "add" {
				b.Add = append(b.Add, args...)
			} else {
				b.Remove = append(b.Remove, args...)
			}
		case "headers":
			if err := oneOf(d, &b.Headers, botHeadersCheck, botHeadersIgnore); err != nil {
				return err
			}
		default:
			return d.Errf("bots: unknown option %q; use add, remove or headers", option)
		}
	}
	if empty {
		return d.Errf("bots: no value; use bots off or bots { ... }")
	}
	return nil
}
