package caddymodule

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/intilery/caddy-intilery/cookie"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// Limits on what an app may say, in bytes. Intilery accepts calls of 32 KB;
// the forwarder checks a whole call, these catch a value before it is parsed.
const (
	maxJSONValue = 32_000
	maxName      = 256
)

// Why a header value is refused. The texts are metric labels and log fields,
// so they never contain any part of the value.
var (
	errNotUTF8      = errors.New("not_utf8")
	errMalformed    = errors.New("malformed")
	errWrongType    = errors.New("wrong_type")
	errTooLarge     = errors.New("oversized")
	errTooDeep      = errors.New("too_deep")
	errDuplicate    = errors.New("duplicate")
	errEmpty        = errors.New("empty")
	errPlaceholder  = errors.New("not_a_user")
	errReserved     = errors.New("reserved_field")
	errUnknownField = errors.New("unknown_field")
	errCacheable    = errors.New("cacheable_response")
	errUnknown      = errors.New("unknown_header")
)

// statement is what an app said about its visitor in one response.
type statement struct {
	userID   string
	traits   json.RawMessage // compact object, or nil
	identify bool            // an identify was asked for, and all of it is valid
	tracks   []trackValue
	page     pageValue
	pageOff  bool
	reset    bool
	consent  cookie.Consent
}

// trackValue is one Intilery-Track header.
type trackValue struct {
	name       string
	properties json.RawMessage
	extra      json.RawMessage // root fields that are not ours, as an object
}

// pageValue is the Intilery-Page header when it names the page.
type pageValue struct {
	name       string
	properties json.RawMessage
}

// parseStatement reads the reserved headers of one response. Every value that
// it refuses is reported to bad, and only that value's event is lost.
func parseStatement(h http.Header, bad func(header string, why error)) statement {
	var s statement
	for name := range h {
		switch name {
		case headerUserID, headerTraits, headerTrack, headerPage, headerReset, headerConsent:
		default:
			bad(otherHeader, errUnknown)
		}
	}
	s.parseIdentify(h, bad)
	for _, value := range h[headerTrack] {
		t, err := parseTrack(value)
		if err != nil {
			bad(headerTrack, err)
			continue
		}
		s.tracks = append(s.tracks, t)
	}
	if value, err := single(h, headerPage); err != nil {
		bad(headerPage, err)
	} else if strings.EqualFold(value, "off") {
		s.pageOff = true
	} else if value != "" {
		if s.page, err = parsePage(value); err != nil {
			bad(headerPage, err)
		}
	}
	switch value, err := single(h, headerReset); {
	case err != nil:
		bad(headerReset, err)
	case strings.EqualFold(value, "true"):
		s.reset = true
	case value != "" && !strings.EqualFold(value, "false"):
		bad(headerReset, errWrongType)
	}
	switch value, err := single(h, headerConsent); {
	case err != nil:
		bad(headerConsent, err)
	case strings.EqualFold(value, "granted"):
		s.consent = cookie.ConsentGranted
	case strings.EqualFold(value, "denied"):
		s.consent = cookie.ConsentDenied
	case value != "":
		bad(headerConsent, errWrongType)
	}
	return s
}

// parseIdentify reads User-Id and Traits together: when either is bad neither
// is used, so that one user's traits never land on another.
func (s *statement) parseIdentify(h http.Header, bad func(string, error)) {
	userID, err := single(h, headerUserID)
	if err == nil {
		err = checkUserID(userID)
	}
	if err != nil {
		bad(headerUserID, err)
	}
	value, terr := single(h, headerTraits)
	var traits json.RawMessage
	if terr == nil && value != "" {
		traits, terr = parseObject(value)
	}
	if terr != nil {
		bad(headerTraits, terr)
	}
	switch {
	case err != nil:
	case terr != nil:
		// Who the visitor is stands, and later events need it; the identify
		// with the bad traits is not sent.
		s.userID = userID
	case userID != "" || traits != nil:
		s.userID, s.traits, s.identify = userID, traits, true
	}
}

// single returns the value of a header that may stand once. Absent and empty
// are the same, since some frameworks send an empty header for "nobody".
func single(h http.Header, name string) (string, error) {
	values := h[name]
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", errDuplicate
	}
	return clean(values[0])
}

// clean trims a value and refuses what no app means to send.
func clean(value string) (string, error) {
	value = strings.TrimSpace(value)
	if !utf8.ValidString(value) {
		return "", errNotUTF8
	}
	return value, nil
}

// checkUserID refuses user IDs that are text for "no user" in some language:
// sent for every guest, they would merge all of them into one profile.
func checkUserID(id string) error {
	switch strings.ToLower(id) {
	case "":
		return nil
	case "null", "nil", "none", "undefined", "nan", "[object object]":
		return errPlaceholder
	}
	switch err := cookie.ValidUserID(id); {
	case errors.Is(err, cookie.ErrUserIDTooLong):
		return errTooLarge
	case err != nil:
		return errMalformed
	}
	return nil
}

// checkName is the rule for an event's or a page's name.
func checkName(name string) error {
	switch {
	case name == "":
		return errEmpty
	case len(name) > maxName:
		return errTooLarge
	case strings.ContainsFunc(name, unicode.IsControl):
		return errMalformed
	}
	return nil
}

// parseObject reads a JSON object, plain or as base64, and returns it compact.
func parseObject(value string) (json.RawMessage, error) {
	if len(value) > base64.StdEncoding.EncodedLen(maxJSONValue) {
		return nil, errTooLarge
	}
	raw := []byte(value)
	if value[0] != '{' {
		decoded, ok := decodeBase64(value)
		switch {
		case ok:
			raw = decoded
		case json.Valid(raw):
			return nil, errWrongType
		default:
			return nil, errMalformed
		}
	}
	if !utf8.Valid(raw) {
		return nil, errNotUTF8
	}
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || raw[0] != '{' {
		return nil, errWrongType
	}
	if len(raw) > maxJSONValue {
		return nil, errTooLarge
	}
	if event.Depth(raw) > event.MaxDepth {
		return nil, errTooDeep
	}
	var compact bytes.Buffer
	compact.Grow(len(raw))
	if err := json.Compact(&compact, raw); err != nil {
		return nil, errMalformed
	}
	return compact.Bytes(), nil
}

// decodeBase64 accepts both alphabets, padded or not.
func decodeBase64(value string) ([]byte, bool) {
	value = strings.TrimRight(value, "=")
	enc := base64.RawStdEncoding
	if strings.ContainsAny(value, "-_") {
		enc = base64.RawURLEncoding
	}
	raw, err := enc.DecodeString(value)
	return raw, err == nil
}

// encodedObject reports whether value is JSON or the base64 of a JSON object.
// A name can be valid base64 by chance, so the decoded text decides.
func encodedObject(value string) bool {
	if value[0] == '{' {
		return true
	}
	raw, ok := decodeBase64(value)
	raw = bytes.TrimSpace(raw)
	return ok && len(raw) > 1 && raw[0] == '{' && json.Valid(raw)
}

func parseTrack(value string) (trackValue, error) {
	value, err := clean(value)
	if err != nil {
		return trackValue{}, err
	}
	if value == "" {
		return trackValue{}, errEmpty
	}
	if !encodedObject(value) {
		return trackValue{name: value}, checkName(value)
	}
	fields, err := parseFields(value)
	if err != nil {
		return trackValue{}, err
	}
	var t trackValue
	if t.name, err = takeName(fields, "event"); err != nil {
		return trackValue{}, err
	}
	if t.properties, err = takeObject(fields, "properties"); err != nil {
		return trackValue{}, err
	}
	for name := range fields {
		if ourField(name) {
			return trackValue{}, errReserved
		}
	}
	if len(fields) > 0 {
		if t.extra, err = json.Marshal(fields); err != nil {
			return trackValue{}, errMalformed
		}
	}
	return t, nil
}

func parsePage(value string) (pageValue, error) {
	if !encodedObject(value) {
		if err := checkName(value); err != nil {
			return pageValue{}, err
		}
		return pageValue{name: value}, nil
	}
	fields, err := parseFields(value)
	if err != nil {
		return pageValue{}, err
	}
	var p pageValue
	if _, named := fields["name"]; named {
		if p.name, err = takeName(fields, "name"); err != nil {
			return pageValue{}, err
		}
	}
	if p.properties, err = takeObject(fields, "properties"); err != nil {
		return pageValue{}, err
	}
	if len(fields) > 0 {
		return pageValue{}, errUnknownField
	}
	return p, nil
}

// ourField reports whether a root field of a call is the module's to set.
func ourField(name string) bool {
	switch name {
	case "type", "anonymousId", "userId", "messageId", "timestamp", "sentAt", "context":
		return true
	}
	return false
}

func parseFields(value string) (map[string]json.RawMessage, error) {
	raw, err := parseObject(value)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, errMalformed
	}
	return fields, nil
}

func takeName(fields map[string]json.RawMessage, field string) (string, error) {
	raw, ok := fields[field]
	if !ok {
		return "", errEmpty
	}
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		return "", errWrongType
	}
	delete(fields, field)
	name = strings.TrimSpace(name)
	return name, checkName(name)
}

func takeObject(fields map[string]json.RawMessage, field string) (json.RawMessage, error) {
	raw, ok := fields[field]
	if !ok || string(raw) == "null" {
		delete(fields, field)
		return nil, nil
	}
	if raw[0] != '{' {
		return nil, errWrongType
	}
	delete(fields, field)
	return raw, nil
}
