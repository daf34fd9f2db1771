package caddymodule

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/intilery/caddy-intilery/forwarder/deadletter"
	"github.com/intilery/caddy-intilery/forwarder/event"
)

// deadLetterEntry is a dead letter as it is listed. The event itself is given only
// when it is asked for.
type deadLetterEntry struct {
	Time        time.Time       `json:"time"`
	Destination string          `json:"destination"`
	Reason      string          `json:"reason"`
	Status      int             `json:"status"`
	Message     string          `json:"message,omitempty"`
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	MessageID   string          `json:"message_id"`
	Event       json.RawMessage `json:"event,omitempty"`
}

type deadLetterList struct {
	Matched int               `json:"matched"`
	Damaged int               `json:"damaged"`
	Letters []deadLetterEntry `json:"letters"`
}

func (l *deadLetterList) add(list deadletter.List, events bool) {
	l.Matched += list.Matched
	l.Damaged += list.Damaged
	for _, d := range list.Letters {
		e := deadLetterEntry{
			Time: d.Time, Destination: d.Destination, Reason: d.Reason, Status: d.Status, Message: d.Message,
			Type: d.Event.Type().String(), Name: d.Event.Name(), MessageID: d.Event.MessageID(),
		}
		if events {
			e.Event = asJSON(d.Event)
		}
		l.Letters = append(l.Letters, e)
	}
}

func listDeadLetters(r *http.Request, live []liveQueue) (any, error) {
	query, err := parameters(r, "destination", "limit", "message_id", "events")
	if err != nil {
		return nil, err
	}
	filter, err := deadLetterFilter(query)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(query)
	if err != nil {
		return nil, err
	}
	events, err := flag(query, "events")
	if err != nil {
		return nil, err
	}
	answer := deadLetterList{Letters: []deadLetterEntry{}}
	for _, q := range live {
		list, err := q.DeadLetters(filter, limit)
		if err != nil {
			return nil, failed(err)
		}
		answer.add(list, events)
	}
	return answer, nil
}

func replayDeadLetters(r *http.Request, live []liveQueue) (any, error) {
	query, err := parameters(r, "destination", "message_id")
	if err != nil {
		return nil, err
	}
	filter, err := deadLetterFilter(query)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Replayed int `json:"replayed"`
		// Kept are letters of destinations that are not configured.
		Kept int `json:"kept"`
	}
	for _, q := range live {
		ctx, cancel := contextWithin(r, adminFlushLimit)
		n, err := q.ReplayDeadLetters(ctx, filter)
		cancel()
		if err != nil {
			return nil, failed(err)
		}
		answer.Replayed += n.Events
		answer.Kept += n.Kept
	}
	return answer, nil
}

func purgeDeadLetters(r *http.Request, live []liveQueue) (any, error) {
	query, err := parameters(r, "destination", "message_id", "all")
	if err != nil {
		return nil, err
	}
	filter, err := deadLetterFilter(query)
	if err != nil {
		return nil, err
	}
	all, err := flag(query, "all")
	if err != nil {
		return nil, err
	}
	if some := filter.Destination != "" || len(filter.MessageIDs) > 0; all == some {
		return nil, refusal(http.StatusBadRequest, "use destination or message_id to say which dead letters go, or all=true")
	}
	var answer struct {
		Purged int `json:"purged"`
	}
	for _, q := range live {
		ctx, cancel := contextWithin(r, adminFlushLimit)
		n, err := q.PurgeDeadLetters(ctx, filter)
		cancel()
		answer.Purged += n
		if err != nil {
			return nil, failed(err)
		}
	}
	return answer, nil
}

// asJSON is an event for an answer; as a string when an encoder would refuse it.
func asJSON(ev []byte) json.RawMessage {
	if json.Valid(ev) && event.Depth(ev) <= 2*event.MaxDepth {
		return ev
	}
	text, err := json.Marshal(string(ev))
	if err != nil {
		return nil
	}
	return text
}

func deadLetterFilter(query url.Values) (f deadletter.Filter, err error) {
	f = deadletter.Filter{Destination: query.Get("destination"), MessageIDs: query["message_id"]}
	if query.Has("destination") && !destinationName.MatchString(f.Destination) {
		return f, refusal(http.StatusBadRequest, "destination: %q is not accepted; use the name of a destination", f.Destination)
	}
	if len(f.MessageIDs) > maxMessageIDs {
		return f, refusal(http.StatusBadRequest, "message_id: %d are not accepted; use up to %d", len(f.MessageIDs), maxMessageIDs)
	}
	for _, id := range f.MessageIDs {
		if id == "" || len(id) > maxID {
			return f, refusal(http.StatusBadRequest, "message_id: a value of %d bytes is not accepted; use 1 to %d bytes", len(id), maxID)
		}
	}
	return f, nil
}

func contextWithin(r *http.Request, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), d)
}
