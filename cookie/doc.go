// Package cookie keeps one anonymousId per browser, in two first-party
// cookies, and decides what happens to them on each request.
//
// The readable cookie carries the ID where Intilery's JavaScript tag looks for
// it, in the tag's own form, so that the tag and the server speak of the same
// visitor. Anything can write it: a script, the tag, the visitor. It is checked
// and never trusted for more than the ID.
//
// The keeper is a second, HttpOnly cookie that only this package can make: a
// few bytes sealed with AES-256-GCM. It remembers the same ID, the user that
// the app named, what was last identified, when both cookies were last written,
// and a consent that the app stated. A browser that shortens or drops cookies
// touched by script leaves it alone, so that the ID can be restored from it.
//
// # Two phases
//
// The app is told the ID before it answers, and its answer may change it. So
// [Resolver.Resolve] looks at the request and says who this is, and [Resolver.Decide]
// looks at what the app answered and says which cookies to write and which IDs
// the events of this response may carry. Both are pure: time is an input, there
// is no I/O, and randomness is used only to make a new ID and to seal a keeper.
//
// # Last seen
//
// A keeper with an ID is never written without the readable cookie beside it,
// and its last-seen time is the time of that writing. A script that demotes the
// readable cookie to a life of seven days must have done so later, so a cookie
// that a browser's cap removed is always missing for the first time at least
// seven days after last-seen. That makes the default restore_after of 168 h
// exact in one direction: a capped visitor is always restored. In the other it
// is short by at most renew_after, since the visitor may have been here without
// a renewal in between: a visitor who cleared the cookie six to seven days
// after the last visit may be restored. After restore_after a cleared cookie
// and a capped one cannot be told apart at all.
//
// # The tag's userId
//
// The tag keeps the userId of its last identify in a cookie of its own
// ([Config].UserName). A script can write it, so it never names a user to the app
// or in an event. But where the tag takes the visitor for
// another user it makes a new anonymousId, and the server must do as the tag
// does, or the two speak of different visitors. So the keeper remembers a digest
// of the tag's user it saw last, and compares:
//
//	tag's user         ID in the readable cookie   what is done
//	the same, or gone  the keeper's                nothing; the last one stays remembered
//	first ever         the keeper's                the ID is kept, as the tag keeps it when
//	                                               an anonymous visitor becomes known; remember it
//	another            another                     the tag has made it: follow, reason Switched
//	another            the keeper's, or none,      the tag has forgotten whom it knew, because a
//	                   to be restored              browser's cap removed its cookie, and made no
//	                                               new ID: a document makes one, reason Switched
//	any                another, user unchanged     Diverged, as without a tag
//
// In the fourth case only a document acts whose response can set cookies: it
// sets the new ID before the page's scripts read it. Everywhere else the ID that
// the browser has goes on, because the tag uses it too; where such a document
// cannot set it, its events name no user. An app that names the user itself
// decides: it makes or keeps the ID, and the tag's user beside it is remembered
// as that user's.
//
// Where both the app and the tag name the new user of a browser, each makes an
// ID, the tag's last. It stands, and both are identified as the same user.
//
// # Deferred
//
// A caller may defer what it would do for a new visitor until the browser has
// shown that it keeps cookies ([Response].Defer). What is deferred is sealed in
// the keeper, and is released once ([Outcome].Released): with the first response
// that can take it out again.
//
// # Withheld cookies
//
// On some requests the browser withholds the visitor's cookies: one that comes
// from another site and is no safe top-level navigation, such as the form by
// which a bank or a single sign-on returns the visitor, and any out of another
// site's frame without access to storage ([Request].CrossSite, NoStorage). If
// such a request brings none of ours, it says nothing of the visitor: an ID made
// here would replace the visitor's own. So none is made or written (reason
// Withheld). What the app says there is not lost: what names a user goes at once
// under that user alone, and the user, a logout and what cannot be sent yet
// travel in a third cookie, sealed and kept for 15 minutes, to the next document.
// That brings the visitor's own ID, and identifies both.
//
// # Hand-off
//
// One visitor on two domains has two IDs, because no cookie reaches both. A link
// from one to the other may carry the ID along ([Resolver.Handoff],
// [Resolver.Accept]). A stranger can make such a link too, by fetching it from
// the first site as a visitor of their own, and whoever followed it would take
// the stranger's ID. So it is sealed for one target and for the site that it is
// on, by whose Referer it must come, and it ends after five minutes. What remains
// is a stranger who can put a link onto the customer's own pages and have it
// followed at once.
//
// # Consent
//
// A visitor has granted consent, has refused it, or neither is known. In this
// order: a refusal in the request; what the app sent last, when it was a denial; a
// grant in the request; what the app sent last, when it was a grant; a remembered
// refusal by a consent manager's cookie; and otherwise granted, or unknown where
// consent is required.
//
// A refusal expires what is there, and reports the IDs that the keeper proves as
// withdrawn. While consent is unknown nothing is set, sent or told, and nothing
// is touched either: the consent manager's cookie may be one that the browser
// withholds from this request alone.
//
// A refusal is remembered, in a keeper that holds nothing else, but only where
// forgetting it would read as consent again, and that of a consent manager's cookie
// only in place of an identity.
//
// # What it does not do
//
// It cannot see how long the browser means to keep a cookie, so it re-sends the
// readable one on a document when that was last done renew_after ago. It cannot
// tell a keeper that is replayed after a reset from a live one: nothing is
// stored on the server, and a keeper proves only that it was sealed here, for
// this cookie name and this site, within max_age. It cannot expire over plain
// HTTP what was set over HTTPS, because browsers refuse that.
package cookie
