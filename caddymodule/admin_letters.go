package caddymodule

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/intilery/caddy-intilery/forwarder"
)

// letterEntry is a dead letter as it is listed. The event itself is given only
// when it is asked for.
type letterEntry struct {
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

type letterList struct {
	Matched int           `json:"matched"`
	Damaged int           `json:"damaged"`
	Letters []letterEntry `json:"letters"`
}

func (l *letterList) add(list forwarder.DeadLetterList, events bool) {
	l.Matched += list.Matched
	l.Damaged += list.Damaged
	for _, d := range list.Letters {
		var head struct{ Type, Event, MessageID string }
		_ = json.Unmarshal(d.Event, &head) // an odd one is listed without
		e := letterEntry{d.Time, d.Destination, d.Reason, d.Status, d.Message, head.Type, head.Event, head.MessageID, nil}
		if events {
			e.Event = d.Event
		}
		l.Letters = append(l.Letters, e)
	}
}

func listLetters(r *http.Request, live []liveQueue) (any, error) {
	query, err := parameters(r, "destination", "limit", "message_id", "events")
	if err != nil {
		return nil, err
	}
	filter, err := letterFilter(query)
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
	answer := letterList{Letters: []letterEntry{}}
	for _, q := range live {
		list, err := q.DeadLetters(filter, limit)
		if err != nil {
			return nil, failed(err)
		}
		answer.add(list, events)
	}
	return answer, nil
}

func replayLetters(r *http.Request, live []liveQueue) (any, error) {
	query, err := parameters(r, "destination", "message_id")
	if err != nil {
		return nil, err
	}
	filter, err := letterFilter(query)
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
		answer.Replayed += n.Replayed
		answer.Kept += n.Kept
	}
	return answer, nil
}

func purgeLetters(r *http.Request, live []liveQueue) (any, error) {
	query, err := parameters(r, "destination", "message_id", "all")
	if err != nil {
		return nil, err
	}
	filter, err := letterFilter(query)
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
		n, err := q.PurgeDeadLetters(filter)
		answer.Purged += n
		if err != nil {
			return nil, failed(err)
		}
	}
	return answer, nil
}

func letterFilter(query url.Values) (f forwarder.DeadLetterFilter, err error) {
	f = forwarder.DeadLetterFilter{Destination: query.Get("destination"), MessageIDs: query["message_id"]}
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
