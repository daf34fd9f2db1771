package cookie

import "time"

const (
	// HandoffLife is how long a hand-off is accepted after it was made. A link
	// is made when its page is, so it is also how long a visitor may read that
	// page before the link stops carrying the ID.
	HandoffLife = 5 * time.Minute

	// clockSkew is how far the clocks of two servers may be apart.
	clockSkew = time.Minute

	// handoffName stands in a hand-off's seal where a keeper has its cookie's
	// name. No cookie can be called that, so neither opens as the other.
	handoffName = "\x00handoff"
)

// Handoff returns a value that hands an ID from the site at host from to the
// site at host to, for a link to the latter. It is sealed like a keeper, so that
// it cannot be made or read without the keys, and it opens only there, only for a
// visitor who followed a link from this site, and only for HandoffLife. It is ""
// when there is no ID to hand over, no key, or no such host.
func (rv *Resolver) Handoff(id Identity, from, to string, now time.Time) string {
	to, ok := hostname(to)
	if !ok || rv.keys == nil || !id.Consented || !validID(id.AnonymousID, rv.pattern) {
		return ""
	}
	k := keeper{anonymousID: id.AnonymousID, issued: now.Unix(), seen: now.Unix()}
	if !id.Issued.IsZero() {
		k.issued = id.Issued.Unix()
	}
	return rv.keys.seal(k.encode(), handoffName, handoffSite(from, to))
}

// Accept says what comes of a document that brings a hand-off from another site
// at host from, to be decided instead of its response: ok is false for a value
// that is not one of ours, of now, for this host and from that one. Otherwise
// the visitor gets the ID, unless they have no consent, have it already, or have
// one here that the app or the tag knows a user for: a link must not take that
// from them.
func (rv *Resolver) Accept(value, from string, id Identity, r Request) (o Outcome, ok bool) {
	o = Outcome{Identity: id}
	if rv.keys == nil {
		return o, false
	}
	to, _ := hostname(r.Host)
	plain, ok := rv.keys.open(value, handoffName, handoffSite(from, to))
	if !ok {
		return o, false
	}
	k, ok := decodeKeeper(plain, rv.pattern)
	if !ok || k.anonymousID == "" || k.userID != "" {
		return o, false
	}
	if age := k.age(r.Now.Unix()); age > HandoffLife || age < -clockSkew {
		return o, false
	}
	seen := &id.seen
	if !id.Consented || !r.Document || r.Speculative ||
		k.anonymousID == id.AnonymousID || id.UserID != "" || seen.tagUser != 0 {
		return o, true
	}
	k.seen, k.consent = r.Now.Unix(), seen.keeper.consent
	o.Identity = Identity{
		AnonymousID: k.anonymousID, Issued: time.Unix(k.issued, 0), Reason: HandedOver,
		Consented: true, BadKeeper: id.BadKeeper, seen: *seen,
	}
	o.Durable = true
	o.release(id.Deferred, id.AnonymousID, "")
	w := rv.setter(r)
	w.setReadable(k.anonymousID, seen)
	w.setKeeper(&k, seen)
	o.Cookies = w.cookies
	return o, true
}

// handoffSite is what a hand-off is bound to, in the place of a keeper's site.
func handoffSite(from, to string) string {
	from, _ = hostname(from)
	return to + "\x00" + from
}
