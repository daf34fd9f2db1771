package collect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// maxListed is how many rejected events an answer lists.
const maxListed = 20

// Error is an answer that refuses a request.
type Error struct {
	Status  int
	Code    string // a stable word, such as too_large
	Field   string // what is wrong, as a path such as batch[3].event; empty for none
	Message string // what is wrong and what is accepted; never what was sent
	// RetryAfter is after how many seconds the client may come again; 0 says
	// nothing.
	RetryAfter int
	// Rejected are the events, where each of them is refused.
	Rejected []Rejection
}

func (e *Error) Error() string {
	if e.Field != "" {
		return e.Code + ": " + e.Field + ": " + e.Message
	}
	return e.Code + ": " + e.Message
}

// Rejection is one event that is not taken.
type Rejection struct {
	Index   int    `json:"index"` // in the batch
	Code    string `json:"code"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

type answer struct {
	Success       bool        `json:"success"`
	EventID       string      `json:"eventId,omitempty"`
	Error         string      `json:"error,omitempty"`
	Code          string      `json:"code,omitempty"`
	Field         string      `json:"field,omitempty"`
	Message       string      `json:"message,omitempty"`
	RejectedCount int         `json:"rejectedCount,omitempty"`
	Rejected      []Rejection `json:"rejected,omitempty"`
}

// Accepted answers that all events but those are durable.
func Accepted(w http.ResponseWriter, rejected []Rejection) {
	write(w, http.StatusOK, answer{Success: true, RejectedCount: len(rejected), Rejected: listed(rejected)})
}

// Refuse answers with an error. SDKs take one without code and message, or that is
// no JSON, for a failure that passes, and send again.
func Refuse(w http.ResponseWriter, e *Error) {
	retryAfter(w, e)
	write(w, e.Status, answer{
		Error: e.Code, Code: e.Code, Field: e.Field, Message: e.Message,
		RejectedCount: len(e.Rejected), Rejected: listed(e.Rejected),
	})
}

// Answer accepts what was taken, or returns the error of a request of which nothing
// was.
func Answer(w http.ResponseWriter, rejected []Rejection, taken int) error {
	if taken == 0 && len(rejected) > 0 {
		return RejectionError(rejected)
	}
	Accepted(w, rejected)
	return nil
}

// RejectionError is the error of a request whose events are all rejected.
func RejectionError(rejected []Rejection) *Error {
	first := rejected[0]
	e := &Error{Status: http.StatusBadRequest, Code: first.Code, Field: first.Field, Message: first.Message}
	if first.Code == codeTooLarge {
		e.Status = http.StatusRequestEntityTooLarge
	}
	if len(rejected) > 1 {
		e.Rejected = rejected
	}
	return e
}

// RelayAccepted answers as the Tracking API does.
func RelayAccepted(w http.ResponseWriter, eventID string, rejected []Rejection) {
	write(w, http.StatusOK, answer{Success: true, EventID: eventID, RejectedCount: len(rejected), Rejected: listed(rejected)})
}

// RelayRefuse answers as the Tracking API does.
func RelayRefuse(w http.ResponseWriter, e *Error) {
	retryAfter(w, e)
	message := e.Message
	if e.Field != "" && e.Code != codeNoIdentity {
		message = e.Field + ": " + message
	}
	write(w, e.Status, answer{Message: message, RejectedCount: len(e.Rejected), Rejected: listed(e.Rejected)})
}

func retryAfter(w http.ResponseWriter, e *Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
}

func listed(rejected []Rejection) []Rejection {
	return rejected[:min(len(rejected), maxListed)]
}

func write(w http.ResponseWriter, status int, a answer) {
	h := w.Header() // the names are canonical
	// Values of their own, because handlers in front may edit them where they are.
	values := []string{"application/json", "no-store", "nosniff", ""}
	h["Content-Type"], h["Cache-Control"], h["X-Content-Type-Options"] = values[0:1:1], values[1:2:2], values[2:3:3]
	if a.Success && a.EventID == "" && a.Rejected == nil {
		values[3] = successLength
		h["Content-Length"] = values[3:4:4]
		w.WriteHeader(status)
		_, _ = w.Write(success) // the client may be gone
		return
	}
	text, err := json.Marshal(a)
	if err != nil { // strings and numbers always marshal
		text = fmt.Appendf(nil, `{"success":%t}`, a.Success)
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text) // likewise
}

var (
	success       = []byte(`{"success":true}`)
	successLength = strconv.Itoa(len(success))
)
