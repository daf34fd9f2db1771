package cookie

import "time"

// identifyAgain is how long an identify that did not change is held back.
const identifyAgain = 24 * time.Hour

// Decide says what comes of a request that Resolve took for id, once the app
// has answered. It must be given the same request.
//
// Cookies are written when the app's answer changed something, and on a
// document that found them old, missing, doubled or in a foreign form. What a
// response that is not Settable brings is sent and not remembered: a user named
// there is unknown again at the next request, and a logout or a denial there
// does not last.
func (j *Jar) Decide(id Identity, r Request, s Response) Outcome {
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
	word := id.seen.keeper.consent
	if s.Consent != ConsentUnknown {
		word = s.Consent
	}
	if why := refusal(r.Consent, word, r.ConsentRequired); why != None {
		return j.refuse(id, r, s, why)
	}
	if !id.Consented { // granted by this very response
		j.identify(&id, r)
	}
	if s.Reset && s.UserID == "" {
		return j.reset(id, r, s, word)
	}
	return j.carry(id, r, s, word)
}

// refuse is Decide for a visitor without consent: what is there goes, in every
// scope. Only a denial by the app stays, in a keeper that holds nothing else.
func (j *Jar) refuse(id Identity, r Request, s Response, why Reason) Outcome {
	seen := &id.seen
	o := Outcome{
		Identity:  Identity{Reason: why, BadKeeper: id.BadKeeper, seen: *seen},
		Withdrawn: Withdrawn{AnonymousID: seen.keeper.anonymousID, UserID: seen.keeper.userID},
	}
	if !s.Settable || why == NoConsent && j.keys == nil && seen.keepers > 0 {
		// A keeper that cannot be opened yet may remember a grant.
		return o
	}
	w := j.setter(r)
	if seen.readables > 0 {
		w.expireReadable()
	}
	now := r.Now.Unix()
	switch {
	case seen.keeper.consent == ConsentDenied:
		// Renewed seldom, but renewed: a denial that lapsed would be consent.
		if s.Navigation && (seen.keeper.age(now) > j.cfg.MaxAge/2 || j.twins(seen.keepers, r)) {
			w.setKeeper(&keeper{issued: seen.keeper.issued, seen: now, consent: ConsentDenied}, seen)
		}
	case s.Consent == ConsentDenied && readsAsConsent(r) && j.keys != nil:
		w.setKeeper(&keeper{issued: now, seen: now, consent: ConsentDenied}, seen)
	case seen.keepers > 0:
		w.expireKeeper()
	}
	o.Cookies = w.cookies
	return o
}

// reset is Decide for a logout. Its events belong to the one who leaves, and
// the cookies go; where the answer is itself a page, those of the next visitor
// take their place. The app's word on consent is not part of the identity and
// stays.
func (j *Jar) reset(id Identity, r Request, s Response, word Consent) Outcome {
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
	o.Released = id.Held
	w := j.setter(r)
	next := keeper{issued: r.Now.Unix(), seen: r.Now.Unix()}
	if word == ConsentGranted {
		next.consent = word
	}
	if s.Page && j.keys != nil {
		// A tag in this very page would find no cookie and write the old ID
		// back from its localStorage. It takes the ID that it finds.
		next.anonymousID = mintID()
	}
	switch {
	case next.anonymousID != "":
		w.setReadable(next.anonymousID, &id.seen)
		w.setKeeper(&next, &id.seen)
	case next.consent == ConsentGranted && j.keys != nil:
		w.expireReadable()
		w.setKeeper(&next, &id.seen)
	default:
		w.expireReadable()
		w.expireKeeper()
	}
	o.Cookies = w.cookies
	return o
}

// carry is Decide for a visitor whose identity goes on, starts, or passes to
// another user.
func (j *Jar) carry(id Identity, r Request, s Response, word Consent) Outcome {
	settable := s.Settable && j.keys != nil
	o := Outcome{Identity: id}
	o.start(s, settable && (s.Identify || s.Tracked || s.Navigation && r.Document))
	if s.UserID != "" {
		o.UserID = s.UserID
	}
	k := o.seen.keeperOf(o.AnonymousID)
	o.SendIdentify = k.news(&o, s, r.Now)
	o.Durable = o.AnonymousID != ""
	switch {
	case settable:
		o.Cookies = j.write(&o, k, r, s, word)
	case s.Settable && s.Reset:
		// Without keys an identity can still be ended.
		w := j.setter(r)
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
	if o.hinted && !may {
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
// of its ID, or zero.
func (j *Jar) write(o *Outcome, k keeper, r Request, s Response, word Consent) []string {
	seen := &o.seen
	now := r.Now.Unix()
	switch {
	case o.AnonymousID == "":
		if word == seen.keeper.consent {
			return nil
		}
		w := j.setter(r)
		w.setKeeper(&keeper{issued: now, seen: now, consent: word}, seen)
		return w.cookies
	case o.fresh, o.SendIdentify, word != seen.keeper.consent, k.held != "",
		s.Navigation && (j.due(seen, &k, r) || seen.hint != 0 && k.hint == 0):
		if k.anonymousID == "" {
			k.issued = now
		}
		o.Released, k.held = k.held, ""
		if o.fresh && o.Reason == Minted && s.Hold != "" && len(s.Hold) <= MaxHeldLen {
			o.Holding, k.held = true, s.Hold
		}
		if seen.hint != 0 && (k.hint == 0 || s.UserID != "") {
			// Another hint than the one remembered waits for its document,
			// unless the app itself has said who is here.
			k.hint = seen.hint
		}
		k.anonymousID, k.userID, k.consent, k.seen = o.AnonymousID, o.UserID, word, now
		if o.SendIdentify {
			k.digest, k.identified = s.IdentifyDigest, now
		}
		o.Issued = time.Unix(k.issued, 0)
		w := j.setter(r)
		// Always both: see "Last seen" in the package's documentation.
		w.setReadable(o.AnonymousID, seen)
		w.setKeeper(&k, seen)
		return w.cookies
	case s.Navigation && (seen.foreign || j.twins(seen.readables, r)):
		w := j.setter(r)
		w.setReadable(o.AnonymousID, seen)
		return w.cookies
	}
	return nil
}

// due reports that a document must write both cookies again although the app
// changed nothing. k is the keeper of the ID in use; without one it is zero, and
// so older than any interval. A restored ID's keeper is too, since renew_after
// is less than restore_after.
func (j *Jar) due(s *seen, k *keeper, r Request) bool {
	age := k.age(r.Now.Unix())
	return age >= j.cfg.RenewAfter || age <= -j.cfg.RenewAfter || j.twins(s.keepers, r)
}

// twins reports that one of n cookies of a name can be told apart and removed.
func (j *Jar) twins(n int, r Request) bool {
	return n > 1 && j.scope(r.Host).domain != ""
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
