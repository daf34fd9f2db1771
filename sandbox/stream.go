package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxStreams bounds the open streams; a further one is refused.
	maxStreams = 64
	// streamHeartbeat is short enough for the idle timeouts of proxies.
	streamHeartbeat = 15 * time.Second
	// streamPace is the least time between two updates of one stream: a flood
	// of events must not make each stream scan the store for each of them.
	streamPace = 100 * time.Millisecond
	// streamWriteTimeout drops a client that does not read.
	streamWriteTimeout = 10 * time.Second
)

// The messages of the stream. Each has an ID "<instance>.<version>" from which
// the stream resumes.
type (
	// callMessage is an event, new or changed. Raw and Context travel as text:
	// a browser that decoded them would round large numbers.
	callMessage struct {
		Event
		Context string `json:"context,omitempty"`
		Raw     string `json:"raw"`
	}
	stateMessage struct {
		Fault Fault  `json:"fault"`
		Stats Stats  `json:"stats"`
		Site  string `json:"site,omitempty"`
	}
)

// serveStream sends the kept events that changed after Last-Event-ID (or
// ?after=, for a page that reconnects by itself), then every change as it
// happens. Messages: "clear" (forget all), "call" (an event, new or changed)
// and "state" (fault and counters).
//
// The stream pulls from the store at its own speed, so a slow client delays
// nobody: it skips what the store forgot meanwhile, and is dropped when a write
// takes longer than streamWriteTimeout.
func (s *Sandbox) serveStream(w http.ResponseWriter, r *http.Request) {
	if s.closed() {
		writeError(w, http.StatusServiceUnavailable, "the sandbox is closing")
		return
	}
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		writeError(w, http.StatusServiceUnavailable, "too many streams")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	out := &streamWriter{w: w, rc: http.NewResponseController(w), epoch: s.epoch, site: s.site}
	// The connection may be used again after this response.
	defer func() { _ = out.rc.SetWriteDeadline(time.Time{}) }()

	cursor, resync := s.resumeFrom(r)
	out.begin()
	if resync {
		out.message("clear", 0, struct{}{})
	}
	heartbeat := time.NewTicker(streamHeartbeat)
	defer heartbeat.Stop()
	for {
		u := s.store.since(cursor)
		out.update(u)
		if out.flush() != nil {
			return
		}
		cursor = u.version
		if !s.pause(r, streamPace) {
			return
		}
		for waiting := true; waiting; {
			select {
			case <-u.changed:
				waiting = false
			case <-heartbeat.C:
				if out.heartbeat() != nil {
					return
				}
			case <-r.Context().Done():
				return
			case <-s.done:
				return
			}
		}
	}
}

// pause waits for d; false when the request or the sandbox ended first.
func (s *Sandbox) pause(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
	case <-s.done:
	}
	return false
}

// resumeFrom reads the version that a client has seen. resync is true when the
// client has seen something that this instance cannot continue.
func (s *Sandbox) resumeFrom(r *http.Request) (version uint64, resync bool) {
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id = r.URL.Query().Get("after")
	}
	if id == "" {
		return 0, false
	}
	epoch, v, _ := strings.Cut(id, ".")
	version, err := strconv.ParseUint(v, 10, 64)
	if err != nil || epoch != s.epoch {
		return 0, true
	}
	return version, false
}

// streamWriter writes server-sent events and keeps the first error.
type streamWriter struct {
	w     io.Writer
	rc    *http.ResponseController
	epoch string
	site  string
	err   error
}

func (o *streamWriter) begin() { o.write("retry: 1000\n\n") }

func (o *streamWriter) heartbeat() error {
	o.write(": still here\n\n")
	return o.flush()
}

func (o *streamWriter) update(u update) {
	if u.cleared {
		// Everything after it has a higher version, so a client that is cut
		// off here resumes behind the clearing only.
		o.message("clear", 0, struct{}{})
	}
	for i := range u.entries {
		e := u.entries[i].event()
		o.message("call", u.entries[i].version, callMessage{Event: e, Context: string(e.Context), Raw: string(e.Raw)})
	}
	o.message("state", u.version, stateMessage{Fault: u.fault, Stats: u.stats, Site: o.site})
}

// message writes one message. JSON of encoding/json has no line break, so it
// fits one data line.
func (o *streamWriter) message(event string, version uint64, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		return
	}
	o.write(fmt.Sprintf("event: %s\nid: %s.%d\ndata: %s\n\n", event, o.epoch, version, data))
}

func (o *streamWriter) write(s string) {
	if o.err != nil {
		return
	}
	// Where deadlines are not supported the server's own apply.
	_ = o.rc.SetWriteDeadline(time.Now().Add(streamWriteTimeout))
	_, o.err = io.WriteString(o.w, s)
}

func (o *streamWriter) flush() error {
	if o.err == nil {
		o.err = o.rc.Flush()
	}
	return o.err
}
