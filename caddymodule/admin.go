package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/intilery/caddy-intilery/caddymodule/internal/operatorpage"
	"github.com/intilery/caddy-intilery/forwarder"
	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/erasure"
	"github.com/intilery/caddy-intilery/forwarder/fleet"
	"github.com/intilery/caddy-intilery/internal/webui"
)

func init() {
	caddy.RegisterModule(admin{})
}

// admin adds routes under /intilery/ to Caddy's admin endpoint:
//
//	GET    /intilery/                     the operator's page; its files are below static/
//	GET    /intilery/status
//	GET    /intilery/live                 ?since=, for the page
//	GET    /intilery/captures             ?id=&events=true
//	POST   /intilery/erase                {"user_id": "..."} or {"anonymous_id": "..."}
//	GET    /intilery/dead-letters         ?destination=&limit=&message_id=&events=true
//	POST   /intilery/dead-letters/replay  ?destination=&message_id=
//	DELETE /intilery/dead-letters         ?destination=&message_id=, or ?all=true
//
// All but the page are answered with JSON; a refusal is {"error": "..."}. Pages of
// another origin are refused, beside what Caddy checks itself. Caddy makes an admin module
// before the apps and never cleans it up, so it looks the queues up at each
// request.
type admin struct{}

// CaddyModule returns the Caddy module information.
func (admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.intilery", New: func() caddy.Module { return admin{} }}
}

const (
	adminPath       = "/intilery/"
	maxAdminBody    = 8 << 10
	maxID           = 1 << 10
	defaultListed   = 100
	maxListed       = 10_000
	maxMessageIDs   = 1_000
	adminFlushLimit = 30 * time.Second // for what waits on the disk
)

// Routes implements caddy.AdminRouter.
func (a admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPath, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

// adminHandler answers a request about the queues with a value for JSON.
type adminHandler func(r *http.Request, live []liveQueue) (any, error)

// adminRoutes are the handlers by path and method.
var adminRoutes = map[string]map[string]adminHandler{
	"status":              {http.MethodGet: status},
	"live":                {http.MethodGet: live},
	"captures":            {http.MethodGet: listCaptures},
	"erase":               {http.MethodPost: erase},
	"dead-letters":        {http.MethodGet: listDeadLetters, http.MethodDelete: purgeDeadLetters},
	"dead-letters/replay": {http.MethodPost: replayDeadLetters},
}

func (a admin) serve(w http.ResponseWriter, r *http.Request) error {
	webui.SetHeaders(w.Header())
	path := strings.TrimPrefix(r.URL.Path, adminPath)
	methods, found := adminRoutes[path]
	if !found {
		if (r.Method == http.MethodGet || r.Method == http.MethodHead) && operatorpage.Serve(w, r, path) {
			return nil
		}
		return refusal(http.StatusNotFound, "no such path; use %sstatus, %[1]serase, %[1]sdead-letters or %[1]sdead-letters/replay", adminPath)
	}
	handle := methods[r.Method]
	if handle == nil {
		allowed := slices.Sorted(maps.Keys(methods))
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		return refusal(http.StatusMethodNotAllowed, "method %s is not accepted; use %s", r.Method, strings.Join(allowed, " or "))
	}
	if err := operatorpage.CheckOrigin(r); err != nil {
		return refusal(http.StatusForbidden, "%w", err)
	}
	answer, err := handle(r, liveQueues())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}

// liveQueue is a queue that some configuration has started.
type liveQueue struct {
	dir string
	pooled
	stats forwarder.Stats
}

// liveQueues returns the queues in use: one, or two for the moment in which a
// reload changes data_dir.
func liveQueues() (live []liveQueue) {
	queues.Range(func(key, value any) bool {
		dir, isDir := key.(string)
		q, isQueue := value.(pooled)
		if isDir && isQueue {
			if st := q.Stats(); st.Log.Condition != "" {
				live = append(live, liveQueue{dir, q, st})
			}
		}
		return true
	})
	slices.SortFunc(live, func(a, b liveQueue) int { return strings.Compare(a.dir, b.dir) })
	return live
}

// refusal is an answer that says what was wrong.
func refusal(status int, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return caddy.APIError{HTTPStatus: status, Err: err, Message: err.Error()}
}

// failed turns a forwarder's error into an answer.
func failed(err error) error {
	switch {
	case errors.Is(err, deadletter.ErrEncrypted):
		return refusal(http.StatusConflict, "%w; give it as one of encryption_key and restart Caddy; nothing was changed in the dead letters", err)
	case errors.Is(err, forwarder.ErrFull), errors.Is(err, forwarder.ErrNotHeld), errors.Is(err, forwarder.ErrClosed),
		errors.Is(err, fleet.ErrApart):
		return refusal(http.StatusServiceUnavailable, "%w; try again later", err)
	}
	return refusal(http.StatusInternalServerError, "%w", err)
}

func status(r *http.Request, live []liveQueue) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	answer := struct {
		Version string        `json:"version"`
		Queues  []queueStatus `json:"queues"`
	}{version(), []queueStatus{}}
	for _, q := range live {
		answer.Queues = append(answer.Queues, newQueueStatus(q.dir, q.stats, q.tally.status()))
	}
	return answer, nil
}

func erase(r *http.Request, live []liveQueue) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, refusal(http.StatusUnsupportedMediaType, "Content-Type: %q is not accepted; use application/json", r.Header.Get("Content-Type"))
	}
	var body struct {
		UserID      string `json:"user_id"`
		AnonymousID string `json:"anonymous_id"`
	}
	dec := json.NewDecoder(io.LimitReader(r.Body, maxAdminBody))
	dec.DisallowUnknownFields()
	// The decoder's own text may quote the ID.
	if err := dec.Decode(&body); err != nil || dec.More() {
		return nil, refusal(http.StatusBadRequest, `the body is not accepted; use {"user_id": "..."} or {"anonymous_id": "..."}`)
	}
	if (body.UserID == "") == (body.AnonymousID == "") || len(body.UserID)+len(body.AnonymousID) > maxID {
		return nil, refusal(http.StatusBadRequest, "use one of user_id and anonymous_id, with up to %d bytes", maxID)
	}
	if len(live) == 0 {
		return nil, refusal(http.StatusConflict, "no queue is in use")
	}
	var sum erasure.Counts
	for _, q := range live {
		if body.AnonymousID != "" {
			sum.Memory += len(q.awaiting.take(body.AnonymousID))
		}
		sum.Memory += q.views.drop(body.AnonymousID, body.UserID)
		ctx, cancel := contextWithin(r, adminFlushLimit)
		n, err := q.Erase(ctx, erasure.Subject{UserID: body.UserID, AnonymousID: body.AnonymousID})
		cancel()
		sum.Memory, sum.Log, sum.DeadLetters, sum.Quarantined = sum.Memory+n.Memory, sum.Log+n.Log, sum.DeadLetters+n.DeadLetters, sum.Quarantined+n.Quarantined
		if err != nil {
			return nil, failed(err)
		}
	}
	return sum, nil
}

// parameters returns the query when it has no names but those accepted, each
// once but for message_id.
func parameters(r *http.Request, accepted ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refusal(http.StatusBadRequest, "the query is malformed")
	}
	for name, values := range query {
		if !slices.Contains(accepted, name) {
			if len(accepted) == 0 {
				return nil, refusal(http.StatusBadRequest, "parameter %q is not accepted; use none", name)
			}
			return nil, refusal(http.StatusBadRequest, "parameter %q is not accepted; use %s", name, strings.Join(accepted, ", "))
		}
		if len(values) > 1 && name != "message_id" {
			return nil, refusal(http.StatusBadRequest, "%s is given twice", name)
		}
	}
	return query, nil
}

// flag reads a parameter that is true or absent.
func flag(query url.Values, name string) (bool, error) {
	switch v := query.Get(name); v {
	case "":
		return false, nil
	case "true", "false":
		return v == "true", nil
	default:
		return false, refusal(http.StatusBadRequest, "%s: %q is not accepted; use true or false", name, v)
	}
}

func limitOf(query url.Values) (int, error) {
	if !query.Has("limit") {
		return defaultListed, nil
	}
	n, err := strconv.Atoi(query.Get("limit"))
	if err != nil || n < 1 || n > maxListed {
		return 0, refusal(http.StatusBadRequest, "limit: %q is not accepted; use 1 to %d", query.Get("limit"), maxListed)
	}
	return n, nil
}

// Interface guards
var _ caddy.AdminRouter = admin{}
