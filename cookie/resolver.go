package cookie

import (
	"regexp"
	"sync/atomic"
	"time"
)

// Resolver resolves identities for one configuration. It is safe for concurrent
// use.
type Resolver struct {
	cfg     Config
	domain  string         // cfg.Domain, normalised
	wider   string         // the registrable domain above it, if there is one
	pattern *regexp.Regexp // nil = UUIDs only
	keys    *Keyring       // nil = not reachable yet

	deferralName string
	last         atomic.Pointer[hostScope]
}

// NewResolver makes a resolver from cfg, with defaults for what is zero. Without
// keys it reads the readable cookie and expires what it must, and neither makes
// an ID nor sets one: that is for the time before the keys can be read.
func NewResolver(cfg Config, keys *Keyring) (*Resolver, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	pattern, err := compilePattern(cfg.Pattern)
	if err != nil {
		return nil, err
	}
	rv := &Resolver{cfg: cfg, pattern: pattern, keys: keys, deferralName: cfg.KeeperName + deferralSuffix}
	if cfg.Domain != "" {
		rv.domain, _ = configuredDomain(cfg.Domain)
		if registrable := registrableDomain(rv.domain); registrable != rv.domain {
			rv.wider = registrable
		}
	}
	return rv, nil
}

// Request is what a request says about its visitor.
type Request struct {
	// Cookies are the values of the request's Cookie fields, as the browser sent
	// them.
	Cookies []string
	// Host of the request, with or without a port.
	Host string
	// Secure says that the browser sees HTTPS.
	Secure bool
	// Document says that this is a trackable top-level navigation, neither
	// prefetched nor a bot's: only these start an identity of themselves.
	Document bool
	// Speculative says that the browser prefetches or prerenders: its cookies
	// are read, and nothing is made, set, expired or identified.
	Speculative bool
	// TopLevel says that the response becomes the browser's page or redirects
	// it: a top-level navigation of any method.
	TopLevel bool
	// CrossSite says that the browser withholds SameSite=Lax cookies from this
	// request, because it comes from another site and is not a safe top-level
	// navigation.
	CrossSite bool
	// NoStorage says that the browser withholds all cookies from this request,
	// because it comes out of another site's frame without access to storage.
	NoStorage bool
	// TagID is the anonymousId that a tag on the site's own page sends events
	// with, "" for none. Where no readable cookie came with the request it stands
	// for one: the tag keeps its ID in localStorage too.
	TagID string
	// Consent as the request shows it, without what the app says.
	Consent Consent
	// ConsentRequired says that without a grant the visitor has no identity.
	ConsentRequired bool
	// Now is the time of the request.
	Now time.Time
}

// Identity is who a visitor is.
type Identity struct {
	// AnonymousID of the browser, "" for none.
	AnonymousID string
	// UserID that the app named for this browser, "" for none. It comes from
	// the keeper or from this response's app, never from anything that a
	// script can write.
	UserID string
	// Issued is when the keeper first held this ID, in whole seconds. Zero for
	// an ID that no keeper holds yet.
	Issued time.Time
	// Reason says how it came about.
	Reason Reason
	// Consented says that the visitor may be identified and tracked.
	Consented bool
	// Withheld says that the browser withheld the cookies from this request, so
	// that nothing is known of the visitor and no ID may be made or written.
	Withheld bool
	// Deferred is what an earlier response deferred under this ID, which has come
	// back with this request. See Response.Defer.
	Deferred string
	// BadKeeper says that a keeper came that is none of ours: forged,
	// truncated, expired, of another key or of another site. It was ignored.
	BadKeeper bool

	fresh       bool // made here, and not yet with the browser
	tagSwitched bool // made because the tag's userId changed
	seen        seen
}

// Response is what the app answered.
type Response struct {
	// UserID that the app named, "" for none. See ValidUserID.
	UserID string
	// Identify says that a userId or traits came.
	Identify bool
	// IdentifyDigest is a digest of the identify's user and traits.
	IdentifyDigest [16]byte
	// Reset says that the app ended the identity, at a logout.
	Reset bool
	// Consent is what the app said about it, if anything.
	Consent Consent
	// Tracked says that the app sent events of its own.
	Tracked bool
	// Defer is what the caller would rather do later, at most MaxDeferredLen
	// bytes of its own making, "" for nothing: for a visitor who is minted in
	// this response, once the browser has shown that it keeps cookies; for one
	// whose cookies were withheld, with the next document that brings them.
	Defer string
	// Settable says that Set-Cookie may still be written, and that no shared
	// cache may store the response.
	Settable bool
	// Navigation says that a top-level document was answered below 400.
	Navigation bool
	// Page says that the answer is itself a document that the visitor sees, in
	// which a tag may run before the next request.
	Page bool
	// Promote asks for both cookies to be written again, because a tag has
	// probably written the readable one: browsers shorten the life of what scripts
	// write (WebKit to 7 days), until a server writes it again.
	Promote bool
}

// MaxDeferredLen is the most that a response may defer, in bytes. Sealed and with
// a keeper's other parts it stays below the 4,096 bytes that browsers give a
// cookie.
const MaxDeferredLen = 2048

// Withdrawn are the IDs of a visitor who has no consent any more. They come from
// the keeper alone: a readable cookie proves nothing, and must not make anybody
// erase a stranger's events.
type Withdrawn struct {
	AnonymousID, UserID string
}

// Released is what Response.Defer was, and the IDs that it is of. One of them may
// be empty.
type Released struct {
	Events              string
	AnonymousID, UserID string
}

// Outcome is what comes of a request and its response.
type Outcome struct {
	// Identity that this response's events carry. After a reset that names no
	// user it is still the old one, whose last events these are.
	Identity
	// Cookies are the Set-Cookie values to add, in order. Nil if nothing
	// changes.
	Cookies []string
	// SendIdentify says that the identify that came is news: its digest or its
	// user differ from the last one of this browser, or that is over 24 hours
	// old.
	SendIdentify bool
	// Linked says that the identify is of the user whom an answer to a request
	// without cookies named: the app has sent none with this response.
	Linked bool
	// Deferring says that Response.Defer was taken, to come back in Released.
	Deferring bool
	// Released is what earlier responses deferred, in the one response that takes
	// it out of the browser: the time to do it.
	Released []Released
	// Awaiting is the ID that the keeper proves of a visitor whose consent is
	// required and not known. Nothing may be sent or told of it until a later
	// request of the same ID shows the consent. "" for none.
	Awaiting string
	// Withdrawn names who is refused here although the keeper proves that they
	// were identified before: what is still stored of them is to go.
	Withdrawn Withdrawn
	// Durable says that the browser has AnonymousID or gets it now. Otherwise
	// AnonymousID is empty, and events may carry a UserID only.
	Durable bool
}
