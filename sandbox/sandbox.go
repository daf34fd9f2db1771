// Package sandbox is an in-process Intilery for development and tests: an
// [http.Handler] that answers like the Tracking API and shows on a live page
// what it received.
//
// It promises the documented answers of the API: the token check, the
// validation of each call, the size limits, the token bucket and the shapes of
// success and error. Where the documentation is silent it assumes the worst
// that a client must survive: a batch with one bad call is refused whole, the
// answer does not say which call was bad, and a real 429 carries no Retry-After.
//
// It keeps everything in memory, bounded in number and bytes, forgets it with
// the process, and derives profiles from the events it still holds. It starts
// no goroutine. It has no login: whoever reaches the handler sees the events,
// so it belongs on a developer's machine, not on a public address. It answers
// only requests whose Host is localhost, a loopback address, or one that the
// options name. Requests that change something are refused when a browser sends
// them from another site.
//
// It does not run journeys, send messages or store traits anywhere, and its
// validation is the part that the documentation states, not Intilery's own.
//
// Endpoints, relative to where the handler is mounted:
//
//	POST   /track/{clientId}/{accountId}/{BRANDID}/v1/{action}   the Tracking API
//	GET    /               the page
//	GET    /events         server-sent events, resumable by Last-Event-ID
//	GET    /faults         the fault that is switched on
//	POST   /faults         {"fault":"none|429|503|403|slow|drop"}
//	GET    /api/events     kept events, oldest first; ?type= &userId= &anonymousId=
//	DELETE /api/events     forget events, profiles and counters
//	GET    /api/profiles   profiles, the most recently seen first
//	GET    /api/stats      counters
package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/time/rate"

	"github.com/intilery/caddy-intilery/internal/webui"
)

const (
	defaultRate  = 100
	defaultBurst = 500
	defaultKeep  = 1000
)

// Options configure a [Sandbox]. The zero value accepts every account and
// every token.
type Options struct {
	// ClientID, AccountID and BrandID are the path that the token is good for.
	// The first two are compared in lower case, the brand in upper case. Empty
	// accepts any, as long as the request's own letter case is right.
	ClientID, AccountID, BrandID string

	// Token is the auth-token that requests must carry. Empty accepts any
	// token, but not none.
	Token string

	// Rate and Burst are the token bucket over all tracking requests: requests
	// per second and bucket size. Zero or less is Intilery's 100 and 500.
	Rate  float64
	Burst int

	// Keep is the number of distinct events that are remembered. Zero or less
	// is 1000. Whatever it is, at most 16 MiB of events are remembered.
	Keep int

	// Hosts are host names or addresses, without a port, that it answers to
	// besides localhost, *.localhost and loopback addresses.
	Hosts []string

	// Site is the URL of the site whose events are to arrive. The page links to
	// it while it has no events. Empty links nowhere.
	Site string

	// Now is the clock. Nil is time.Now.
	Now func() time.Time
}

// Sandbox is an in-process Intilery. It is safe for concurrent use. Create it
// with [New].
type Sandbox struct {
	clientID, accountID, brandID, token string

	hosts   []string // as canonicalHost spells them
	site    string
	now     func() time.Time
	limiter *rate.Limiter
	store   *store
	guard   http.CrossOriginProtection
	routes  map[string]map[string]http.HandlerFunc // path, then method

	epoch   string        // names this instance in stream IDs
	streams chan struct{} // one slot per open stream
	done    chan struct{}
	closing sync.Once
}

// New returns a Sandbox that is ready to serve. It does no I/O and starts no
// goroutine.
func New(o Options) *Sandbox {
	if !(o.Rate > 0) { // NaN too
		o.Rate = defaultRate
	}
	if o.Burst <= 0 {
		o.Burst = defaultBurst
	}
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Sandbox{
		clientID:  strings.ToLower(o.ClientID),
		accountID: strings.ToLower(o.AccountID),
		brandID:   strings.ToUpper(o.BrandID),
		token:     o.Token,
		site:      o.Site,
		now:       o.Now,
		limiter:   rate.NewLimiter(rate.Limit(o.Rate), o.Burst),
		store:     newStore(o.Keep, o.Now()),
		epoch:     uuid.NewString()[:8],
		streams:   make(chan struct{}, maxStreams),
		done:      make(chan struct{}),
	}
	for _, host := range o.Hosts {
		s.hosts = append(s.hosts, canonicalHost(host))
	}
	s.routes = map[string]map[string]http.HandlerFunc{
		"/":             {http.MethodGet: serveIndex},
		"/events":       {http.MethodGet: s.serveStream},
		"/faults":       {http.MethodGet: s.serveFault, http.MethodPost: s.setFault},
		"/api/events":   {http.MethodGet: s.serveEvents, http.MethodDelete: s.clearEvents},
		"/api/profiles": {http.MethodGet: s.serveProfiles},
		"/api/stats":    {http.MethodGet: s.serveStats},
	}
	return s
}

// ServeHTTP answers the Tracking API, the page and the JSON API by the
// request's path. The fault "drop" ends a request by [http.ErrAbortHandler]
// where the connection cannot be taken over (HTTP/2 and HTTP/3).
func (s *Sandbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.allowsHost(r.Host) {
		webui.SetHeaders(w.Header())
		writeError(w, http.StatusForbidden, hostRefusal(r.Host))
		return
	}
	// The Tracking API needs no guard: a page of another site cannot send an
	// auth-token header without a preflight, which is answered 405.
	if path, ok := strings.CutPrefix(r.URL.Path, "/track/"); ok {
		s.serveTracking(w, r, path)
		return
	}
	webui.SetHeaders(w.Header())
	// A developer's browser reaches this handler on localhost, and so does any
	// site that the developer visits.
	if err := s.guard.Check(r); err != nil {
		writeError(w, http.StatusForbidden, "cross-site requests may not change the sandbox")
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, "/static/"); ok {
		serveStatic(w, r, name)
		return
	}
	methods, ok := s.routes[r.URL.Path]
	if !ok {
		writeError(w, http.StatusNotFound, "not found")
		return
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	serve, ok := methods[method]
	if !ok {
		allow := make([]string, 0, len(methods))
		for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			if methods[m] != nil {
				allow = append(allow, m)
			}
		}
		w.Header().Set("Allow", strings.Join(allow, ", "))
		writeError(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	serve(w, r)
}

// Close ends the open streams and the waits of the fault "slow". Other
// requests are still answered, so that a server may drain. It may be called
// more than once.
func (s *Sandbox) Close() {
	s.closing.Do(func() { close(s.done) })
}

func (s *Sandbox) closed() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// writeJSON answers with v as JSON. What is written to a client that has gone
// is nobody's concern, so write errors are not reported.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"success":false,"message":"internal error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// writeError answers in the shape that Intilery documents for errors.
func writeError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, failure{Message: message})
}

// Interface guard.
var _ http.Handler = (*Sandbox)(nil)
