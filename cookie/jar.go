package cookie

import (
	"net/http"
	"regexp"
	"time"
)

// Jar resolves identities for one configuration. It is immutable and safe for
// concurrent use.
type Jar struct {
	cfg     Config
	domain  string         // cfg.Domain, normalised
	wider   string         // the registrable domain above it, if there is one
	pattern *regexp.Regexp // nil = UUIDs only
	keys    *Keyring       // nil = not reachable yet
}

// NewJar makes a jar from cfg, with defaults for what is zero. Without keys the
// jar reads the readable cookie and expires what it must, and neither makes an
// ID nor sets one: that is for the time in which the keys cannot be had yet.
func NewJar(cfg Config, keys *Keyring) (*Jar, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	pattern, err := compilePattern(cfg.Pattern)
	if err != nil {
		return nil, err
	}
	j := &Jar{cfg: cfg, pattern: pattern, keys: keys}
	if cfg.Domain != "" {
		j.domain, _ = configuredDomain(cfg.Domain)
		if registrable := registrableDomain(j.domain); registrable != j.domain {
			j.wider = registrable
		}
	}
	return j, nil
}

// Request is what a request says about its visitor.
type Request struct {
	// Header of the request. Only Cookie is read.
	Header http.Header
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
	// Consent as the request shows it, without the app's word.
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
	// Held is what an earlier response held back under this ID, which by this
	// request has come back. See Response.Hold.
	Held string
	// BadKeeper says that a keeper came that is none of ours: forged,
	// truncated, expired, of another key or of another site. It was ignored.
	BadKeeper bool

	fresh  bool // made here, and not yet with the browser
	hinted bool // made because the tag's userId changed
	seen   seen
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
	// Hold is what the caller would rather do once the browser has shown that
	// it keeps cookies: at most MaxHeldLen bytes of the caller's own making. It
	// goes into the keeper of a visitor who is minted in this response, and
	// comes back as Identity.Held. "" for nothing.
	Hold string
	// Settable says that Set-Cookie may still be written, and that no shared
	// cache may store the response.
	Settable bool
	// Navigation says that a top-level document was answered below 400.
	Navigation bool
	// Page says that the answer is itself a document that the visitor sees, in
	// which a tag may run before the next request.
	Page bool
}

// MaxHeldLen is the most that a response may hold back, in bytes.
const MaxHeldLen = 1024

// Withdrawn are the IDs of a visitor who has no consent any more. They come from
// the keeper alone: a readable cookie proves nothing, and must not make anybody
// erase a stranger's events.
type Withdrawn struct {
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
	// Holding says that Hold was taken: it comes back, if the visitor does.
	Holding bool
	// Released is Identity.Held, in the one response that takes it out of the
	// keeper: the time to do what was held back. "" for nothing.
	Released string
	// Withdrawn names who is refused here although the keeper proves that they
	// were identified before: what is still stored of them is to go.
	Withdrawn Withdrawn
	// Durable says that the browser has AnonymousID or gets it now. Otherwise
	// AnonymousID is empty, and events may carry a UserID only.
	Durable bool
}
