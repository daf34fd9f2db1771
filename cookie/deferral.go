package cookie

import (
	"cmp"
	"time"
)

const (
	// deferralLife is how long a deferral waits for the visitor's next document.
	deferralLife = 15 * time.Minute

	// deferralSuffix follows the keeper's name in the name of the cookie that
	// carries a deferral.
	deferralSuffix = "_deferred"
)

// deferral is what the app said in an answer to a request without its visitor's
// cookies: see "Withheld cookies" in the package's documentation. It travels in a
// sealed cookie of its own to the next document, which brings the others.
type deferral struct {
	made    int64 // Unix seconds
	userID  string
	reset   bool
	granted bool   // consent
	events  string // the caller's, see Response.Defer
}

// The plain text of a deferral: flags (1; bit 0 reset, bit 1 user, bit 2 granted),
// made (4), the user's length less one (1) and its text, and the events.
const (
	deferralReset   = 1 << 0
	deferralUser    = 1 << 1
	deferralGranted = 1 << 2

	minDeferralLen = 1 + 4
	maxDeferralLen = minDeferralLen + 1 + MaxUserIDLen + MaxDeferredLen
)

func (d *deferral) encode() []byte {
	b := make([]byte, 1, maxDeferralLen)
	b = appendTime(b, d.made)
	if d.reset {
		b[0] |= deferralReset
	}
	if d.granted {
		b[0] |= deferralGranted
	}
	if d.userID != "" {
		b[0] |= deferralUser
		b = appendUser(b, d.userID)
	}
	return append(b, d.events...)
}

// decodeDeferral reads a plain text back, and refuses one that encode would not
// have written.
func decodeDeferral(b []byte) (d deferral, ok bool) {
	if len(b) < minDeferralLen || len(b) > maxDeferralLen {
		return deferral{}, false
	}
	flags := b[0]
	d.made, b = readTime(b[1:]), b[minDeferralLen:]
	d.reset, d.granted = flags&deferralReset != 0, flags&deferralGranted != 0
	if flags&deferralUser != 0 {
		if d.userID, b, ok = readUser(b); !ok {
			return deferral{}, false
		}
	}
	d.events = string(b)
	return d, flags&^(deferralReset|deferralUser|deferralGranted) == 0 && len(d.events) <= MaxDeferredLen && d != deferral{made: d.made}
}

// openDeferral opens a deferral that is ours and not too old, else nil.
func (rv *Resolver) openDeferral(value, site string, now int64) *deferral {
	plain, ok := rv.keys.open(value, rv.deferralName, site)
	if !ok {
		return nil
	}
	d, ok := decodeDeferral(plain)
	if age := age(d.made, now); !ok || age > deferralLife || age < -clockSkew {
		return nil
	}
	return &d
}

// setDeferral writes the cookie that carries a deferral.
func (w *setter) setDeferral(d *deferral) {
	name := w.rv.deferralName
	w.add(name, w.rv.keys.seal(d.encode(), name, w.scope.site), w.scope.domain, deferralLife, true)
}

// expireDeferral removes the cookie that carries a deferral, if one came or may
// have been withheld.
func (w *setter) expireDeferral(s *seen, withheld bool) {
	if s.deferrals > 0 || withheld {
		w.expire(w.rv.deferralName, []string{w.scope.domain}, true)
	}
}

// withheld reports that the browser kept the visitor's cookies back, so that
// their absence says nothing of the visitor.
//
// Browsers send SameSite=Lax cookies with a request from another site only if it
// is a top-level navigation by a safe method (RFC 6265bis, 5.8.3), and none of a
// site whose frame has no access to storage (Storage Access Headers).
func (rv *Resolver) withheld(r Request, s *seen) bool {
	// A readable cookie alone proves nothing: browsers do send one that a script
	// has rewritten without the SameSite attribute.
	if s.keepers > 0 || s.readables > 0 && !r.CrossSite {
		return false
	}
	lax := rv.cfg.SameSite == SameSiteLax || !r.Secure
	return r.NoStorage || r.CrossSite && lax
}

// deferred is Decide for a request whose cookies the browser withheld: no ID is
// made or written. What names a user is sent under that user alone. What cannot
// be sent yet, the user's name and a reset wait for the next document.
func (rv *Resolver) deferred(id Identity, r Request, s Response) Outcome {
	id.Reason = Withheld
	o := Outcome{Identity: id}
	if id.Consented {
		o.UserID = s.UserID
		o.SendIdentify = s.Identify && s.UserID != ""
	}
	d := deferral{made: r.Now.Unix(), userID: s.UserID, reset: s.Reset, granted: s.Consent == ConsentGranted}
	if len(s.Defer) <= MaxDeferredLen {
		d.events = s.Defer
	}
	if d == (deferral{made: d.made}) || !s.Settable || !r.TopLevel || r.NoStorage || rv.keys == nil {
		return o
	}
	o.Deferring = d.events != ""
	w := rv.setter(r)
	w.setDeferral(&d)
	o.Cookies = w.cookies
	return o
}

// takeDeferral returns the deferral that this response acts on: on a document, or
// where the app names a user or ends the identity, if the response can take it out
// of the browser again.
func (id *Identity) takeDeferral(r Request, s Response) deferral {
	acts := s.Navigation && r.Document || s.UserID != "" || s.Reset
	if id.seen.deferral == nil || !s.Settable || !acts {
		return deferral{}
	}
	return *id.seen.deferral
}

// release adds events of an earlier response to what is to be done now, under the
// IDs that they are of.
func (o *Outcome) release(events, anonymousID, userID string) {
	if events != "" {
		o.Released = append(o.Released, Released{events, anonymousID, userID})
	}
}

// releaseDeferral releases a deferral's events: under the user whom they were of
// where somebody else is here now, and under the ID that a logout has ended.
func (o *Outcome) releaseDeferral(d deferral) {
	old := o.seen.keeper
	switch {
	case d.reset:
		o.release(d.events, cmp.Or(old.anonymousID, o.seen.readable), cmp.Or(d.userID, old.userID))
	case d.userID != "" && d.userID != o.UserID:
		o.release(d.events, "", d.userID)
	default:
		o.release(d.events, o.AnonymousID, o.UserID)
	}
}
