package reserved

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/intilery/caddy-intilery/cookie"
)

// AppHeaders is what an app sent about its visitor in one response.
type AppHeaders struct {
	// UserID is the visitor's user, empty when the app did not name one.
	UserID string
	// Traits is a compact JSON object, or nil.
	Traits json.RawMessage
	// Identify is true when the app asked for an identify, by UserID or Traits,
	// and both were accepted.
	Identify bool
	// Tracks are the events in the app's order.
	Tracks []TrackValue
	// Page names the response's page event.
	Page PageValue
	// PageOff is true when the app suppressed the response's page event.
	PageOff bool
	// Reset is true at a logout.
	Reset bool
	// Consent is the visitor's consent, unknown when the app did not send any.
	Consent cookie.Consent
}

// Speaks reports whether the app sent anything about the visitor, as opposed to
// the page.
func (a *AppHeaders) Speaks() bool {
	return a.Identify || a.UserID != "" || len(a.Tracks) > 0 || a.Reset || a.Consent != cookie.ConsentUnknown
}

// Parse reads the headers that Take returned. Every value that it refuses is
// reported to reject, with a header of Names or Other and a reason of this
// package; the other values count. A single-valued header is reported once.
func Parse(h http.Header, reject func(header string, why error)) AppHeaders {
	for name := range h {
		switch name {
		case UserID, Traits, Track, Page, Reset, Consent:
		default:
			reject(Other, ErrUnknownHeader)
		}
	}
	report := func(header string, err error) {
		if err != nil {
			reject(header, err)
		}
	}
	var a AppHeaders
	var err error
	a.parseIdentify(h, report)
	a.Tracks = parseTracks(h[Track], reject)
	a.Page, a.PageOff, err = parsePage(h[Page])
	report(Page, err)
	a.Reset, err = parseReset(h[Reset])
	report(Reset, err)
	a.Consent, err = parseConsent(h[Consent])
	report(Consent, err)
	return a
}

// parseIdentify reads UserID and Traits together, so that one user's traits never
// land on another: when the user ID is refused, the traits are not used. When the
// traits are refused, the user still counts, because later events need it, but no
// identify is sent.
func (a *AppHeaders) parseIdentify(h http.Header, report func(string, error)) {
	userID, userErr := parseUserID(h[UserID])
	report(UserID, userErr)
	traits, traitsErr := onlyObject(h[Traits])
	report(Traits, traitsErr)
	if userErr != nil {
		return
	}
	a.UserID = userID
	if traitsErr == nil {
		a.Traits, a.Identify = traits, userID != "" || traits != nil
	}
}

// parseUserID reads the user's ID. Empty lines are skipped, since some frameworks
// send an empty header for "nobody".
func parseUserID(lines []string) (string, error) {
	id := ""
	for _, line := range lines {
		if line = strings.TrimFunc(line, isSeparator); line == "" {
			continue
		}
		if id != "" {
			return "", ErrDuplicate
		}
		id = line
	}
	if id == "" {
		return "", nil
	}
	if err := checkUserID(id); err != nil {
		return "", err
	}
	return id, nil
}

// checkUserID refuses, beside IDs that no cookie can store, text for "no user" in
// some language: sent for every guest, it would merge all of them into one
// profile. IDs that differ cannot be told from one ID with a comma.
func checkUserID(id string) error {
	switch err := cookie.ValidUserID(id); {
	case !utf8.ValidString(id):
		return ErrNotUTF8
	case errors.Is(err, cookie.ErrUserIDTooLong):
		return ErrOversized
	case err != nil:
		return ErrMalformed
	}
	if !strings.Contains(id, ",") {
		if isPlaceholder(id) {
			return ErrNotAUser
		}
		return nil
	}
	var parts []string
	for part := range strings.SplitSeq(id, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	switch {
	case slices.ContainsFunc(parts, isPlaceholder):
		return ErrNotAUser
	case repeats(parts):
		return ErrDuplicate
	}
	return nil
}

func isPlaceholder(id string) bool {
	for _, text := range [...]string{"null", "nil", "none", "undefined", "nan", "[object object]"} {
		if strings.EqualFold(id, text) {
			return true
		}
	}
	return false
}

// repeats reports whether parts are an ID that was joined with itself. The ID may
// have commas of its own.
func repeats(parts []string) bool {
	for period := 1; period <= len(parts)/2; period++ {
		if len(parts)%period == 0 && slices.Equal(parts[period:], parts[:len(parts)-period]) {
			return true
		}
	}
	return false
}

// parseReset reads the mark of a logout. One true is enough: after a lost logout
// the next visitor of this browser is taken for the user, while one logout too
// many only costs a new anonymousId.
func parseReset(lines []string) (bool, error) {
	on, off, err := count(lines, "true", "false")
	if on > 0 && off > 0 && err == nil {
		err = ErrDuplicate
	}
	return on > 0, err
}

// parseConsent reads the visitor's consent. One denial is enough, and a grant
// counts only when nothing contradicts it: in doubt nobody is tracked.
func parseConsent(lines []string) (cookie.Consent, error) {
	granted, denied, err := count(lines, "granted", "denied")
	switch {
	case denied > 0 && granted > 0 && err == nil:
		return cookie.ConsentDenied, ErrDuplicate
	case denied > 0:
		return cookie.ConsentDenied, err
	case granted > 0 && err == nil:
		return cookie.ConsentGranted, nil
	}
	return cookie.ConsentUnknown, err
}

// count returns how often lines, split at commas, have the tokens first and
// second in any case, and an error if they have anything else.
func count(lines []string, first, second string) (firsts, seconds int, err error) {
	for _, line := range lines {
		for value := range strings.SplitSeq(line, ",") {
			switch value = strings.TrimSpace(value); {
			case value == "":
			case strings.EqualFold(value, first):
				firsts++
			case strings.EqualFold(value, second):
				seconds++
			case !utf8.ValidString(value):
				err = ErrNotUTF8
			default:
				err = ErrWrongType
			}
		}
	}
	return firsts, seconds, err
}

// maxName is the length of an event's or a page's name in bytes.
const maxName = 256

// checkName is the rule for an event's or a page's name.
func checkName(name string) error {
	switch {
	case name == "":
		return ErrEmpty
	case !utf8.ValidString(name):
		return ErrNotUTF8
	case len(name) > maxName:
		return ErrOversized
	case strings.ContainsFunc(name, unicode.IsControl):
		return ErrMalformed
	}
	return nil
}
