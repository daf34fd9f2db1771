package sandbox

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"
)

// Profile is a visitor as the kept events show one. Two IDs belong to one
// profile when some event carries both, directly or through other IDs. More
// than one user in a profile means that a browser changed hands without a new
// anonymousId.
type Profile struct {
	UserIDs      []string `json:"userIds"`      // in the order first seen
	AnonymousIDs []string `json:"anonymousIds"` // in the order first seen
	// Traits are those of the identify calls, a later value replacing the
	// earlier one whole.
	Traits    map[string]json.RawMessage `json:"traits"`
	FirstSeen time.Time                  `json:"firstSeen"`
	LastSeen  time.Time                  `json:"lastSeen"`
	// Events are the sequence numbers of the profile's events, in the order of
	// their arrival.
	Events []uint64 `json:"events"`
}

// mergeProfiles derives the profiles of events that are sorted by arrival. The
// most recently seen profile comes first.
func mergeProfiles(events []Event) []Profile {
	sets := disjointSets{}
	for i := range events {
		e := &events[i]
		if e.AnonymousID != "" && e.UserID != "" {
			sets.union(userKey(e), anonymousKey(e))
		}
	}
	byRoot := map[idKey]*Profile{}
	for i := range events {
		e := &events[i]
		key := userKey(e)
		if e.UserID == "" {
			key = anonymousKey(e)
		}
		root := sets.find(key)
		p := byRoot[root]
		if p == nil {
			p = &Profile{
				UserIDs: []string{}, AnonymousIDs: []string{},
				Traits: map[string]json.RawMessage{}, FirstSeen: e.ReceivedAt,
			}
			byRoot[root] = p
		}
		p.add(e)
	}
	profiles := make([]*Profile, 0, len(byRoot))
	for _, p := range byRoot {
		profiles = append(profiles, p)
	}
	slices.SortFunc(profiles, func(a, b *Profile) int { return cmp.Compare(b.lastEvent(), a.lastEvent()) })
	out := make([]Profile, len(profiles))
	for i, p := range profiles {
		out[i] = *p
	}
	return out
}

func (p *Profile) add(e *Event) {
	p.UserIDs = appendNew(p.UserIDs, e.UserID)
	p.AnonymousIDs = appendNew(p.AnonymousIDs, e.AnonymousID)
	p.LastSeen = e.ReceivedAt
	p.Events = append(p.Events, e.Seq)
	if e.Type != actionIdentify {
		return
	}
	f, _ := object(e.Raw)
	traits, _ := object(f["traits"])
	for key, value := range traits {
		p.Traits[key] = value
	}
}

func (p *Profile) lastEvent() uint64 { return p.Events[len(p.Events)-1] }

func appendNew(ids []string, id string) []string {
	if id == "" || slices.Contains(ids, id) {
		return ids
	}
	return append(ids, id)
}

// idKey keeps a userId and an anonymousId of the same text apart.
type idKey struct {
	user bool
	id   string
}

func userKey(e *Event) idKey      { return idKey{true, e.UserID} }
func anonymousKey(e *Event) idKey { return idKey{false, e.AnonymousID} }

// disjointSets maps an ID to its parent (union-find with path halving). An ID
// that is absent is its own set.
type disjointSets map[idKey]idKey

func (d disjointSets) find(k idKey) idKey {
	for {
		parent, ok := d[k]
		if !ok {
			return k
		}
		if grand, ok := d[parent]; ok {
			d[k] = grand
		}
		k = parent
	}
}

func (d disjointSets) union(a, b idKey) {
	if a, b = d.find(a), d.find(b); a != b {
		d[a] = b
	}
}
