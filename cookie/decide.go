package cookie

import "time"

// identifyAgain is how long an identify that did not change is not sent again.
const identifyAgain = 24 * time.Hour

// Decide says what comes of a request that Resolve took for id, once the app
// has answered. It must be given the same request.
//
// Cookies are written when the app's answer changed something, and on a
// document that found them old, missing, doubled or in a foreign form. What a
// response that is not Settable brings is sent and not remembered: a user named
// there is unknown again at the next request, and a logout or a denial there
// does not last.
func (rv *Resolver) Decide(id Identity, r Request, s Response) Outcome {
	if r.Speculative {
		return Outcome{Identity: id, Durable: id.AnonymousID != ""}
	}
	if s.UserID != "" {
		s.Identify = ValidUserID(s.UserID) == nil
		if !s.Identify {
			// Its traits would go to whoever was here before.
			s.UserID = ""
		}
	}
	consent := id.seen.consent
	if s.Consent != ConsentUnknown {
		consent = s.Consent
	}
	switch why := consentReason(r.Consent, consent, r.ConsentRequired); {
	case why == Denied:
		return rv.refuse(id, r, s)
	case id.Withheld:
		id.Consented = why == None
		return rv.deferred(id, r, s)
	case why == NoConsent:
		return rv.untouched(id, r, s)
	}
	if consent == ConsentRefused {
		consent = ConsentUnknown // the consent manager's cookie agrees by now
	}
	if !id.Consented { // granted by this very response
		rv.identify(&id, r)
	}
	if s.Reset && s.UserID == "" {
		return rv.reset(id, r, s, consent)
	}
	return rv.carry(id, r, s, consent)
}

// refuse is Decide for a visitor who refuses: what is there goes, in every
// scope. A refusal that must be remembered stays, in a keeper that holds nothing
// else.
func (rv *Resolver) refuse(id Identity, r Request, s Response) Outcome {
	seen := &id.seen
	o := Outcome{
		Identity:  Identity{Reason: Denied, BadKeeper: id.BadKeeper, seen: *seen},
		Withdrawn: Withdrawn{AnonymousID: seen.keeper.anonymousID, UserID: seen.keeper.userID},
	}
	if !s.Settable {
		return o
	}
	w := rv.setter(r)
	// The app may deny where the browser withholds the cookies.
	unseen := id.Withheld && s.Consent == ConsentDenied
	if seen.readables > 0 || unseen {
		w.expireReadable()
	}
	w.expireDeferral(seen, unseen)
	now := r.Now.Unix()
	switch refusal := keptRefusal(r, s, seen.keeper.consent, seen.keepers+seen.readables > 0); {
	case refusal == ConsentUnknown || rv.keys == nil:
		if seen.keepers > 0 || unseen {
			w.expireKeeper()
		}
	case refusal != seen.keeper.consent || seen.keeper.anonymousID != "":
		w.setKeeper(&keeper{issued: now, seen: now, consent: refusal}, seen)
	case s.Navigation && (seen.keeper.age(now) > rv.cfg.MaxAge/2 || rv.twins(seen.keepers, r) && !seen.keeper.twins):
		// Renewed seldom, but renewed: a refusal that lapsed would be consent.
		k := keeper{issued: seen.keeper.issued, seen: now, consent: refusal, twins: rv.twins(seen.keepers, r)}
		w.setKeeper(&k, seen)
	}
	o.Cookies = w.cookies
	return o
}

// untouched is Decide for a visitor of whom no consent is known although it is
// required: nothing is set, sent, told or expired. The consent manager's cookie
// may be one that the browser withholds from this request alone, so the absence
// of consent is no refusal. Only the app can end the identity, by a reset.
func (rv *Resolver) untouched(id Identity, r Request, s Response) Outcome {
	o := Outcome{Identity: Identity{Reason: NoConsent, BadKeeper: id.BadKeeper, seen: id.seen}}
	if s.Reset && s.Settable {
		w := rv.setter(r)
		if id.seen.readables > 0 {
			w.expireReadable()
		}
		if id.seen.keepers > 0 {
			w.expireKeeper()
		}
		w.expireDeferral(&id.seen, false)
		o.Cookies = w.cookies
		return o
	}
	rv.identify(&id, r)
	if !id.fresh && id.AnonymousID == id.seen.keeper.anonymousID {
		o.Awaiting = id.AnonymousID
	}
	return o
}

// reset is Decide for a logout. Its events belong to the one who leaves, and
// the cookies go; where the answer is itself a page, those of the next visitor
// take their place. What the app said of consent is not part of the identity and
// stays.
func (rv *Resolver) reset(id Identity, r Request, s Response, consent Consent) Outcome {
	if id.fresh {
		id.AnonymousID, id.fresh = "", false
	}
	id.Reason = Reset
	k := id.seen.keeperOf(id.AnonymousID)
	o := Outcome{Identity: id, Durable: id.AnonymousID != ""}
	o.SendIdentify = k.news(&o, s, r.Now)
	if !s.Settable {
		return o
	}
	o.release(id.Deferred, id.AnonymousID, "")
	if waited := id.seen.deferral; waited != nil {
		o.releaseDeferral(*waited)
	}
	w := rv.setter(r)
	next := keeper{issued: r.Now.Unix(), seen: r.Now.Unix()}
	if consent == ConsentGranted {
		next.consent = consent
	}
	if s.Page && rv.keys != nil {
		// A tag in this very page would find no cookie and write the old ID
		// back from its localStorage. It takes the ID that it finds.
		next.anonymousID = mintID()
	}
	switch {
	case next.anonymousID != "":
		w.setReadable(next.anonymousID, &id.seen)
		w.setKeeper(&next, &id.seen)
	case next.consent == ConsentGranted && rv.keys != nil:
		w.expireReadable()
		w.setKeeper(&next, &id.seen)
	default:
		w.expireReadable()
		w.expireKeeper()
	}
	w.expireDeferral(&id.seen, false)
	o.Cookies = w.cookies
	return o
}

// carry is Decide for a visitor whose identity goes on, starts, or passes to
// another user.
func (rv *Resolver) carry(id Identity, r Request, s Response, consent Consent) Outcome {
	settable := s.Settable && rv.keys != nil
	o := Outcome{Identity: id}
	waited := id.takeDeferral(r, s)
	if waited.userID != "" && s.UserID == "" && !s.Reset && waited.userID != id.UserID {
		s.UserID, s.Identify, o.Linked = waited.userID, true, true
	}
	// A logout that waited ends the identity also where no document takes it.
	s.Reset = s.Reset || waited.reset && !o.fresh
	o.start(s, settable && (s.Identify || s.Tracked || s.Navigation && r.Document))
	if s.UserID != "" {
		o.UserID = s.UserID
	}
	k := o.seen.keeperOf(o.AnonymousID)
	o.SendIdentify = k.news(&o, s, r.Now)
	o.Durable = o.AnonymousID != ""
	switch {
	case settable:
		o.Cookies = rv.write(&o, k, r, s, consent, waited)
	case s.Settable && s.Reset:
		// Without keys an identity can still be ended.
		w := rv.setter(r)
		w.expireReadable()
		w.expireKeeper()
		o.Cookies = w.cookies
	}
	return o
}

// start gives the outcome a new ID if it needs one, and takes away one that
// does not come to anything. may says that this response can start an identity.
func (o *Outcome) start(s Response, may bool) {
	owner := o.UserID
	if o.tagSwitched && !may {
		o.unfollow()
		owner = o.seen.keeper.userID
	}
	switch {
	case o.fresh:
		// Nobody's yet: a reset or another user have nothing to end.
	case s.Reset:
		o.mint(Reset)
	case s.UserID != "" && owner != "" && s.UserID != owner:
		o.mint(Switched)
	case o.AnonymousID == "" && may:
		o.mint(Minted)
	}
	if o.fresh && !may {
		o.AnonymousID, o.fresh = "", false
		if o.Reason == Minted {
			o.Reason = None
		}
	}
}

// write returns the cookies for an outcome. k is the keeper that the browser has
// of its ID, or zero; waited is what this document takes out of the browser.
func (rv *Resolver) write(o *Outcome, k keeper, r Request, s Response, consent Consent, waited deferral) []string {
	seen := &o.seen
	now := r.Now.Unix()
	twins := rv.twins(seen.readables, r) || rv.twins(seen.keepers, r)
	switch {
	case o.AnonymousID == "":
		if consent == seen.keeper.consent {
			return nil
		}
		w := rv.setter(r)
		w.setKeeper(&keeper{issued: now, seen: now, consent: consent}, seen)
		return w.cookies
	case o.fresh, s.Promote, o.SendIdentify, consent != seen.keeper.consent, k.deferred != "", waited != deferral{},
		s.Navigation && (rv.due(&k, r) || seen.tagUser != 0 && k.tagUser == 0 || twins && !k.twins):
		if k.anonymousID == "" {
			k.issued = now
		}
		o.release(k.deferred, o.AnonymousID, "")
		o.releaseDeferral(waited)
		k.deferred = ""
		if o.fresh && o.Reason == Minted && s.Defer != "" && len(s.Defer) <= MaxDeferredLen {
			o.Deferring, k.deferred = true, s.Defer
		}
		if seen.tagUser != 0 && (k.tagUser == 0 || s.UserID != "") {
			// Another user of the tag than the one remembered waits for its
			// document, unless the app itself has said who is here.
			k.tagUser = seen.tagUser
		}
		k.anonymousID, k.userID, k.consent, k.seen, k.twins = o.AnonymousID, o.UserID, consent, now, twins
		if o.SendIdentify {
			k.digest, k.identified = s.IdentifyDigest, now
		}
		o.Issued = time.Unix(k.issued, 0)
		w := rv.setter(r)
		// Always both: see "Last seen" in the package's documentation.
		w.setReadable(o.AnonymousID, seen)
		w.setKeeper(&k, seen)
		if waited != (deferral{}) {
			w.expireDeferral(seen, false)
		}
		return w.cookies
	case s.Navigation && seen.foreign && seen.readables == 1:
		w := rv.setter(r)
		w.setReadable(o.AnonymousID, seen)
		return w.cookies
	}
	return nil
}

// due reports that a document must write both cookies again although the app
// changed nothing. k is the keeper of the ID in use; without one it is zero, and
// so older than any interval. A restored ID's keeper is too, since renew_after
// is less than restore_after.
func (rv *Resolver) due(k *keeper, r Request) bool {
	age := k.age(r.Now.Unix())
	return age >= rv.cfg.RenewAfter || age <= -rv.cfg.RenewAfter
}

// twins reports that one of n cookies of a name may be told apart and removed.
// One with another Path cannot, so that the keeper remembers the attempt: it is
// made again at a renewal.
func (rv *Resolver) twins(n int, r Request) bool {
	return n > 1 && rv.scope(r.Host).domain != ""
}

// news reports that the identify of s tells more than the last one that k
// remembers, and that there is somebody to identify.
func (k *keeper) news(o *Outcome, s Response, now time.Time) bool {
	if !s.Identify || o.AnonymousID == "" && o.UserID == "" {
		return false
	}
	age := now.Unix() - k.identified
	return k.identified == 0 || k.digest != s.IdentifyDigest ||
		s.UserID != "" && s.UserID != k.userID ||
		max(age, -age) > int64(identifyAgain/time.Second)
}
