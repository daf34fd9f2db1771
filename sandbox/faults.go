package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// A Fault is a way in which the Tracking API fails on purpose.
type Fault string

// The faults. They apply to tracking requests only, until another is set.
const (
	FaultNone Fault = "none"
	Fault429  Fault = "429"  // answers 429 with Retry-After
	Fault503  Fault = "503"  // answers 503
	Fault403  Fault = "403"  // answers 403, as to a token that was withdrawn
	FaultSlow Fault = "slow" // answers rightly, after 5 s
	FaultDrop Fault = "drop" // closes the connection without an answer
)

const (
	faultDelay      = 5 * time.Second
	faultRetryAfter = "2" // seconds
	maxFaultBody    = 1 << 10
)

// faults lists what may be set, in the order of the page.
var faults = []Fault{FaultNone, Fault429, Fault503, Fault403, FaultSlow, FaultDrop}

// SetFault switches a fault on, or off with [FaultNone]. An unknown fault is
// none.
func (s *Sandbox) SetFault(f Fault) {
	if !slices.Contains(faults, f) {
		f = FaultNone
	}
	s.store.setFault(f)
}

// applyFault lets the current fault happen. It reports whether the request is
// thereby over.
func (s *Sandbox) applyFault(w http.ResponseWriter, r *http.Request) (over bool) {
	switch s.store.currentFault() {
	case Fault429:
		w.Header().Set("Retry-After", faultRetryAfter)
		s.refuse(w, reject(http.StatusTooManyRequests, "too many requests (fault)"))
	case Fault503:
		s.refuse(w, reject(http.StatusServiceUnavailable, "service unavailable (fault)"))
	case Fault403:
		s.refuse(w, reject(http.StatusForbidden, "auth-token is not valid (fault)"))
	case FaultSlow:
		s.pause(r, faultDelay)
		if r.Context().Err() == nil {
			return false
		}
		// Nothing is stored for a client that gave up. An empty answer would
		// be a 200, should it still listen.
		s.refuse(w, reject(http.StatusServiceUnavailable, "client gave up waiting (fault)"))
	case FaultDrop:
		s.store.reject(string(FaultDrop), "connection closed (fault)", s.now())
		drop(w)
	default:
		return false
	}
	return true
}

// drop closes the connection, or resets the stream where connections are
// shared.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // net/http's own way to abort a response
	}
	_ = conn.Close()
}

type faultDocument struct {
	Fault  Fault   `json:"fault"`
	Faults []Fault `json:"faults"`
}

func (s *Sandbox) serveFault(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, faultDocument{Fault: s.store.currentFault(), Faults: faults})
}

func (s *Sandbox) setFault(w http.ResponseWriter, r *http.Request) {
	f, err := readFault(io.LimitReader(r.Body, maxFaultBody))
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	s.SetFault(f)
	s.serveFault(w, r)
}

func readFault(r io.Reader) (Fault, error) {
	var doc struct {
		Fault Fault `json:"fault"`
	}
	if json.NewDecoder(r).Decode(&doc) != nil {
		return "", errors.New(`body must be {"fault":"<name>"}`)
	}
	if !slices.Contains(faults, doc.Fault) {
		return "", fmt.Errorf("fault must be one of %v", faults)
	}
	return doc.Fault, nil
}
