package cookie

import (
	"strings"
	"time"
)

// seen is what the cookies of a request say.
type seen struct {
	readable  string // the valid ID in the readable cookie, "" for none
	foreign   bool   // readable came in a form that we do not write
	readables int    // cookies of that name, valid or not
	keeper    keeper // zero if there is none of ours
	keepers   int    // cookies of that name, valid or not
	bad       bool   // one of them was not ours
	hint      uint64 // digest of the tag's userId, 0 for none
}

// Resolve says who made a request, by the cookies it carries. A new visitor
// gets an ID on a document and nowhere else.
func (j *Jar) Resolve(r Request) Identity {
	s := j.read(r)
	id := Identity{BadKeeper: s.bad, seen: s}
	if id.Reason = refusal(r.Consent, s.keeper.consent, r.ConsentRequired); id.Reason != None {
		return id
	}
	j.identify(&id, r)
	if id.AnonymousID == "" && r.Document && !r.Speculative && j.keys != nil {
		id.mint(Minted)
	}
	return id
}

// read takes our cookies from the request.
func (j *Jar) read(r Request) seen {
	var s seen
	var site string
	now := r.Now.Unix()
	lines := r.Header["Cookie"]
	several, users := false, false
	for c := newCursor(lines); c.next(); {
		switch {
		case c.name == j.cfg.KeeperName:
			if s.keepers++; s.keepers > maxKeepers || j.keys == nil {
				continue
			}
			if s.keepers == 1 {
				site = j.scope(r.Host).site
			}
			k, ok := j.openKeeper(c.value, site, now)
			s.bad = s.bad || !ok
			if ok && k.newer(s.keeper) {
				s.keeper = k
			}
		case c.name == j.cfg.Name && !j.cfg.KeeperOnly:
			s.readables++
			if id, exact, ok := j.parseReadable(c.value); ok {
				several = several || s.readable != "" && s.readable != id
				s.readable, s.foreign = id, !exact
			}
		case c.name == j.cfg.UserName && !j.cfg.KeeperOnly:
			if hint := hintOf(c.value); hint != 0 {
				users = users || s.hint != 0 && s.hint != hint
				s.hint = hint
			}
		}
	}
	if users && s.hint != s.keeper.hint {
		j.preferRemembered(&s, lines)
	}
	if several && s.readable != s.keeper.anonymousID {
		j.preferKept(&s, lines)
	}
	switch {
	case s.readable == s.keeper.anonymousID:
		s.readable = s.keeper.anonymousID
	case s.readable != "":
		// The ID may outlive the request, and must not keep its header alive.
		s.readable = strings.Clone(s.readable)
	}
	return s
}

// preferKept picks, among readable cookies that differ, the one that equals the
// keeper. If none does the last one stays, which classic analytics.js uses too.
func (j *Jar) preferKept(s *seen, lines []string) {
	for c := newCursor(lines); c.next(); {
		if c.name != j.cfg.Name {
			continue
		}
		if id, exact, ok := j.parseReadable(c.value); ok && id == s.keeper.anonymousID {
			s.readable, s.foreign = id, !exact
			return
		}
	}
}

// parseReadable returns the valid ID in a readable cookie's value, and whether
// the value is exactly what we would write for it.
func (j *Jar) parseReadable(value string) (id string, exact, ok bool) {
	id, d := parseValue(value)
	return id, d == j.cfg.Dialect, validID(id, j.pattern)
}

// openKeeper opens a keeper's value. One that its browser should have expired
// is taken for a replay.
func (j *Jar) openKeeper(value, site string, now int64) (keeper, bool) {
	plain, ok := j.keys.open(value, j.cfg.KeeperName, site)
	if !ok {
		return keeper{}, false
	}
	k, ok := decodeKeeper(plain, j.pattern)
	if !ok || k.age(now) > j.cfg.MaxAge {
		return keeper{}, false
	}
	return k, true
}

// newer reports that k was written after other. Of two written in one second a
// denial counts.
func (k *keeper) newer(other keeper) bool {
	if k.seen == other.seen {
		return k.consent == ConsentDenied || other == keeper{}
	}
	return k.seen > other.seen
}

// identify settles who a consenting visitor is, by the rules that need no new
// ID. AnonymousID stays empty if there is none, with Reason Reset if there was
// one that must not be used any more.
func (j *Jar) identify(id *Identity, r Request) {
	id.Consented = true
	s := &id.seen
	k := &s.keeper
	switch {
	case j.keys == nil:
		id.AnonymousID, id.Reason = s.readable, NoKey
		return
	case j.cfg.KeeperOnly:
		id.AnonymousID, id.Reason = k.anonymousID, Kept
	case s.readable == "" && k.anonymousID != "":
		if k.age(r.Now.Unix()) < j.cfg.RestoreAfter {
			id.Reason = Reset
			return
		}
		id.AnonymousID, id.Reason = k.anonymousID, Restored
	case k.anonymousID == "":
		id.AnonymousID, id.Reason = s.readable, Adopted
	case s.readable == k.anonymousID:
		id.AnonymousID, id.Reason = s.readable, Kept
	default:
		id.AnonymousID, id.Reason = s.readable, Diverged
	}
	switch id.AnonymousID {
	case "":
		id.Reason = None
	case k.anonymousID:
		id.UserID, id.Issued, id.Held = k.userID, time.Unix(k.issued, 0), k.held
	}
	id.followTag(r)
}

// keeperOf returns the keeper if it is that of the given ID, else a zero one.
func (s *seen) keeperOf(anonymousID string) keeper {
	if anonymousID == "" || anonymousID != s.keeper.anonymousID {
		return keeper{}
	}
	return s.keeper
}

// mint gives the visitor a new ID, and forgets what belonged to the old one. A
// pending reset stays the reason.
func (id *Identity) mint(why Reason) {
	id.AnonymousID = mintID()
	id.UserID, id.Issued, id.Held = "", time.Time{}, ""
	id.fresh = id.AnonymousID != ""
	if id.fresh && id.Reason != Reset {
		id.Reason = why
	}
}
