package navigation

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Rule is why a client is no visitor. Its text is a metric label.
type Rule string

// The rules, in the order in which they are tried. All but RuleHeaders read the
// User-Agent, in which the client says what it is.
const (
	RuleAdded      Rule = "added"      // a part of it is in the site's own list
	RuleName       Rule = "name"       // it has a name of the built-in list
	RuleWord       Rule = "word"       // a word of it says what it does: "Examplebot", "LinkChecker"
	RuleURL        Rule = "url"        // it refers to a site: "+https://example.com/bot"
	RuleEmail      Rule = "email"      // it has an e-mail address
	RuleCompatible Rule = "compatible" // "compatible;" without a browser or platform
	RuleHeaders    Rule = "headers"    // no browser of that User-Agent sends these headers
)

// Rules returns all rules.
func Rules() []Rule {
	return []Rule{RuleAdded, RuleName, RuleWord, RuleURL, RuleEmail, RuleCompatible, RuleHeaders}
}

// Bots tells which clients are no visitors. A nil *Bots is the built-in list. It
// is safe for concurrent use.
type Bots struct {
	off           bool
	ignoreHeaders bool
	added         [][]byte
	marks         *marks
}

// marks are what the rules on the User-Agent look for.
type marks struct {
	names   map[string]nameKind
	endings endings
	without evidence // rules that are taken off
}

var builtin = &Bots{marks: &marks{names: builtinNames, endings: builtinEndings}}

const (
	// Shorter parts are in every User-Agent, longer ones in none.
	minAdded = 3
	maxAdded = 64
)

// NewBots returns the built-in list with a site's options on it.
//
// Off takes every client for a visitor. Add lists parts of a User-Agent that
// mark a bot, compared without case. Remove lists marks to take off: a name or
// a word of the built-in list, or the rule url, email or compatible. With
// ignoreHeaders the headers beside the User-Agent decide nothing, as is needed
// behind a proxy that removes Sec-Fetch-* headers.
func NewBots(off bool, add, remove []string, ignoreHeaders bool) (*Bots, error) {
	if off && (len(add) > 0 || len(remove) > 0) {
		return nil, fmt.Errorf("bots off: add and remove have no effect; use one or the other")
	}
	b := &Bots{off: off, ignoreHeaders: ignoreHeaders, marks: builtin.marks}
	for _, part := range add {
		if len(part) < minAdded || len(part) > maxAdded {
			return nil, fmt.Errorf("bots add: %q is not accepted; use a part of a User-Agent, %d to %d characters long", part, minAdded, maxAdded)
		}
		b.added = append(b.added, lowerASCII([]byte(part)))
	}
	if len(remove) > 0 {
		b.marks = b.marks.clone()
	}
	for _, mark := range remove {
		if !b.marks.remove(mark) {
			return nil, fmt.Errorf("bots remove: %q is not in the list; use a name of the list such as %q, or one of %q", mark, "lighthouse", removable())
		}
	}
	return b, nil
}

func (m *marks) clone() *marks {
	c := &marks{names: maps.Clone(m.names), without: m.without}
	for last := range m.endings {
		c.endings[last] = slices.Clone(m.endings[last])
	}
	return c
}

// remove takes a mark off, and reports whether it was there.
func (m *marks) remove(mark string) bool {
	mark = strings.ToLower(mark)
	for _, r := range removableRules {
		if mark == string(r.rule) {
			m.without |= r.evidence
			return true
		}
	}
	name := strings.Join(strings.FieldsFunc(mark, func(c rune) bool { return c < 0x80 && !wordByte[c] }), " ")
	if m.names[name]&isName != 0 {
		m.names[name] &^= isName
		return true
	}
	return m.endings.remove(mark)
}

// removable returns the marks that are no names.
func removable() []string {
	var all []string
	for _, e := range wordEndings {
		all = append(all, e.text)
	}
	for _, r := range removableRules {
		all = append(all, string(r.rule))
	}
	return all
}

// Rule tells why the client of any request is no visitor, "" for a visitor.
// Secure says whether the browser sees https.
func (b *Bots) Rule(r *http.Request, secure bool) Rule {
	if b == nil {
		b = builtin
	}
	if b.off {
		return ""
	}
	agent := first(r.Header, "User-Agent")
	agent = agent[:min(len(agent), maxAgentScan)]
	if len(b.added) > 0 && b.contains(agent) {
		return RuleAdded
	}
	if rule := b.marks.rule(agent); rule != "" {
		return rule
	}
	if !b.ignoreHeaders && implausible(r.Header, agent, secure) {
		return RuleHeaders
	}
	return ""
}

// contains looks for the added parts.
func (b *Bots) contains(agent string) bool {
	var buf [maxAgentScan]byte
	lower := lowerASCII(buf[:copy(buf[:], agent)])
	for _, part := range b.added {
		if bytes.Contains(lower, part) {
			return true
		}
	}
	return false
}
