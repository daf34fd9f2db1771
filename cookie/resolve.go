package cookie

import (
	"strings"
	"time"
)

// seen is what the cookies of a request say.
type seen struct {
	readable  string    // the valid ID in the readable cookie, "" for none
	foreign   bool      // readable came in a form that we do not write
	readables int       // cookies of that name, valid or not
	keeper    keeper    // zero if there is none of ours
	keepers   int       // cookies of that name, valid or not
	bad       bool      // one of them was not ours
	deferral  *deferral // nil for none of ours
	deferrals int       // cookies of that name, valid or not
	consent   Consent   // what the app said last
	tagUser   uint64    // digest of the tag's userId, 0 for none
}

// Resolve says who made a request, by the cookies it carries. A new visitor
// gets an ID on a document and nowhere else, and never on a request from which
// the browser withheld the cookies.
func (rv *Resolver) Resolve(r Request) Identity {
	s := rv.read(r)
	id := Identity{BadKeeper: s.bad, seen: s}
	id.Withheld = rv.withheld(r, &s)
	id.Reason = consentReason(r.Consent, s.consent, r.ConsentRequired)
	switch {
	case id.Reason != None:
		return id
	case id.Withheld:
		id.Consented, id.Reason = true, Withheld
		return id
	}
	rv.identify(&id, r)
	if id.AnonymousID == "" && r.Document && !r.Speculative && rv.keys != nil {
		id.mint(Minted)
	}
	return id
}

// read takes our cookies from the request.
func (rv *Resolver) read(r Request) seen {
	var s seen
	var site string
	now := r.Now.Unix()
	lines := r.Cookies
	several, users := false, false
	for c := newCursor(lines); c.next(); {
		switch {
		case c.name == rv.cfg.KeeperName:
			if s.keepers++; s.keepers > maxKeepers || rv.keys == nil {
				continue
			}
			if s.keepers == 1 {
				site = rv.scope(r.Host).site
			}
			k, ok := rv.openKeeper(c.value, site, now)
			s.bad = s.bad || !ok
			if ok && k.newer(s.keeper) {
				s.keeper = k
			}
		case c.name == rv.deferralName && rv.keys != nil:
			if s.deferrals++; s.deferrals == 1 {
				s.deferral = rv.openDeferral(c.value, rv.scope(r.Host).site, now)
			}
		case c.name == rv.cfg.Name && !rv.cfg.KeeperOnly:
			s.readables++
			if id, exact, ok := rv.parseReadable(c.value); ok {
				several = several || s.readable != "" && s.readable != id
				s.readable, s.foreign = id, !exact
			}
		case c.name == rv.cfg.UserName && !rv.cfg.KeeperOnly:
			if tagUser := tagUserDigest(c.value); tagUser != 0 {
				users = users || s.tagUser != 0 && s.tagUser != tagUser
				s.tagUser = tagUser
			}
		}
	}
	if s.consent = s.keeper.consent; s.consent == ConsentUnknown && s.deferral != nil && s.deferral.granted {
		s.consent = ConsentGranted
	}
	if s.readables == 0 && !rv.cfg.KeeperOnly && validID(r.TagID, rv.pattern) {
		s.readable = r.TagID
	}
	if users && s.tagUser != s.keeper.tagUser {
		rv.preferRemembered(&s, lines)
	}
	if several && s.readable != s.keeper.anonymousID {
		rv.preferKept(&s, lines)
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
func (rv *Resolver) preferKept(s *seen, lines []string) {
	for c := newCursor(lines); c.next(); {
		if c.name != rv.cfg.Name {
			continue
		}
		if id, exact, ok := rv.parseReadable(c.value); ok && id == s.keeper.anonymousID {
			s.readable, s.foreign = id, !exact
			return
		}
	}
}

// parseReadable returns the valid ID in a readable cookie's value, and whether
// the value is exactly what we would write for it.
func (rv *Resolver) parseReadable(value string) (id string, exact, ok bool) {
	id, d := parseValue(value)
	return id, d == rv.cfg.Dialect, validID(id, rv.pattern)
}

// openKeeper opens a keeper's value. One that its browser should have expired
// is taken for a replay.
func (rv *Resolver) openKeeper(value, site string, now int64) (keeper, bool) {
	plain, ok := rv.keys.open(value, rv.cfg.KeeperName, site)
	if !ok {
		return keeper{}, false
	}
	k, ok := decodeKeeper(plain, rv.pattern)
	if !ok || k.age(now) > rv.cfg.MaxAge {
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
func (rv *Resolver) identify(id *Identity, r Request) {
	id.Consented = true
	s := &id.seen
	k := &s.keeper
	switch {
	case rv.keys == nil:
		id.AnonymousID, id.Reason = s.readable, NoKey
		return
	case rv.cfg.KeeperOnly:
		id.AnonymousID, id.Reason = k.anonymousID, Kept
	case s.readable == "" && k.anonymousID != "":
		if k.age(r.Now.Unix()) < rv.cfg.RestoreAfter {
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
		id.UserID, id.Issued, id.Deferred = k.userID, time.Unix(k.issued, 0), k.deferred
	}
	if s.deferral != nil && s.deferral.reset && r.Document && !r.Speculative {
		id.mint(Reset)
		return
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
	id.UserID, id.Issued, id.Deferred = "", time.Time{}, ""
	id.fresh = id.AnonymousID != ""
	if id.fresh && id.Reason != Reset {
		id.Reason = why
	}
}
