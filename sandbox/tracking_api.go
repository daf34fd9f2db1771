package sandbox

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Limits of the Tracking API. Its documentation says 1 MB and 32 KB; the
// smaller, decimal reading is enforced. A call is measured as it was sent,
// before the batch's context is merged into it.
const (
	maxRequestBytes = 1_000_000
	maxCallBytes    = 32_000
)

// Actions of the Tracking API. All but the last are also the types of a call.
const (
	actionIdentify = "identify"
	actionTrack    = "track"
	actionPage     = "page"
	actionScreen   = "screen"
	actionBatch    = "batch"
)

// The two documented answers.
type (
	success struct {
		Success bool   `json:"success"`
		EventID string `json:"eventId"`
	}
	failure struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
	}
)

// A rejection is an answer to a tracking request that stores nothing.
type rejection struct {
	status  int
	message string // as answered
	detail  string // shown on the page before the message, never answered
}

func reject(status int, format string, args ...any) *rejection {
	return &rejection{status: status, message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *rejection {
	return reject(http.StatusBadRequest, format, args...)
}

// serveTracking answers one request of the Tracking API. path is what follows
// /track/.
func (s *Sandbox) serveTracking(w http.ResponseWriter, r *http.Request, path string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")

	target, ok := parseTarget(path)
	if !ok {
		s.refuse(w, reject(http.StatusNotFound, "not found"))
		return
	}
	if r.Method != http.MethodPost {
		h.Set("Allow", http.MethodPost)
		s.refuse(w, reject(http.StatusMethodNotAllowed, "method not allowed"))
		return
	}
	if !s.limiter.AllowN(s.now(), 1) {
		s.refuse(w, reject(http.StatusTooManyRequests, "too many requests"))
		return
	}
	// The body is read before a fault begins: only then does the server notice
	// that the client gives up waiting.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes+1))
	if err != nil {
		s.refuse(w, badRequest("body could not be read"))
		return
	}
	if s.applyFault(w, r) {
		return
	}
	if rej := s.authorise(r, target); rej != nil {
		s.refuse(w, rej)
		return
	}
	calls, rej := parseRequest(r.Header.Get("Content-Type"), body, target.action)
	if rej != nil {
		s.refuse(w, rej)
		return
	}
	id := uuid.NewString()
	s.store.add(calls, id, s.now())
	writeJSON(w, http.StatusOK, success{Success: true, EventID: id})
}

// refuse counts a rejection and answers with it.
func (s *Sandbox) refuse(w http.ResponseWriter, rej *rejection) {
	s.store.reject(fmt.Sprint(rej.status), rej.detail+rej.message, s.now())
	writeError(w, rej.status, rej.message)
}

// target is the account and the action that a request's path names.
type target struct{ clientID, accountID, brandID, action string }

// parseTarget reads {clientId}/{accountId}/{BRANDID}/v1/{action}.
func parseTarget(path string) (target, bool) {
	p := strings.Split(path, "/")
	if len(p) != 5 || p[0] == "" || p[1] == "" || p[2] == "" || p[3] != "v1" {
		return target{}, false
	}
	t := target{clientID: p[0], accountID: p[1], brandID: p[2], action: p[4]}
	return t, t.action == actionBatch || isCallType(t.action)
}

// authorise checks the token, and that it is good for the path's account and
// brand.
func (s *Sandbox) authorise(r *http.Request, t target) *rejection {
	token := r.Header.Get("Auth-Token")
	if token == "" {
		return reject(http.StatusForbidden, "auth-token is missing")
	}
	if s.token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
		return reject(http.StatusForbidden, "auth-token is not valid")
	}
	if t.clientID != strings.ToLower(t.clientID) || t.accountID != strings.ToLower(t.accountID) ||
		t.brandID != strings.ToUpper(t.brandID) {
		return reject(http.StatusForbidden, "clientId and accountId must be lower case, brandId upper case")
	}
	if !matches(s.clientID, t.clientID) || !matches(s.accountID, t.accountID) || !matches(s.brandID, t.brandID) {
		return reject(http.StatusForbidden, "auth-token is not authorised for this account or brand")
	}
	return nil
}

func matches(want, got string) bool { return want == "" || want == got }

// parseRequest checks a request's body and returns its calls. One bad call
// refuses all of them: whether Intilery stores the good ones is not
// documented, and a client must survive that it does not.
func parseRequest(contentType string, body []byte, action string) ([]call, *rejection) {
	if len(body) > maxRequestBytes {
		return nil, reject(http.StatusRequestEntityTooLarge, "request must not be larger than %d bytes", maxRequestBytes)
	}
	if mt, _, err := mime.ParseMediaType(contentType); err != nil || mt != "application/json" {
		return nil, badRequest("content-type must be application/json")
	}
	if !utf8.Valid(body) {
		return nil, badRequest("body must be UTF-8")
	}
	if action == actionBatch {
		return parseBatch(body)
	}
	c, rej := parseCall(bytes.TrimSpace(body), action)
	if rej != nil {
		return nil, rej
	}
	return []call{c}, nil
}

// parseBatch checks {"batch":[call, ...], "context":{...}}.
func parseBatch(body []byte) ([]call, *rejection) {
	f, ok := object(body)
	if !ok {
		return nil, badRequest("body must be a JSON object")
	}
	var raws []json.RawMessage
	if json.Unmarshal(f["batch"], &raws) != nil {
		return nil, badRequest("batch must be an array")
	}
	if len(raws) == 0 {
		return nil, badRequest("batch must not be empty")
	}
	outer := f.present("context")
	if len(outer) > maxCallBytes {
		return nil, reject(http.StatusRequestEntityTooLarge, "context must not be larger than %d bytes", maxCallBytes)
	}
	webOuter, mobileOuter := checkContext(outer, true), checkContext(outer, false)

	calls := make([]call, 0, len(raws))
	for i, raw := range raws {
		c, rej := parseCall(raw, actionBatch)
		switch {
		case rej != nil:
		case c.Type == actionScreen:
			rej = mobileOuter
		default:
			rej = webOuter
		}
		if rej != nil {
			rej.detail = fmt.Sprintf("call %d of %d: ", i+1, len(raws))
			return nil, rej
		}
		c.outer = outer
		calls = append(calls, c)
	}
	return calls, nil
}
