package cookie

// Consent is what is known of a visitor's consent.
type Consent uint8

const (
	// ConsentUnknown says that nobody has granted or refused yet.
	ConsentUnknown Consent = iota
	// ConsentGranted says that the visitor agreed.
	ConsentGranted
	// ConsentDenied says that the visitor refused or withdrew, by the browser's
	// signal or through the app.
	ConsentDenied
	// ConsentRefused says that a consent manager's cookie refuses. Unlike
	// ConsentDenied it ends when such a cookie agrees. Where consent is not
	// required the keeper remembers it, because a request that comes from
	// another site may lack the consent manager's cookie.
	ConsentRefused
)

// consentReason weighs what the request shows against what the keeper or the
// app's answer says. It returns None if this visitor may be identified, Denied
// after a refusal, and NoConsent if consent is required and unknown.
//
// A refusal in the request beats everything. The app's denial beats a grant in
// the request: the app knows its visitor, and a consent manager's cookie may be
// older.
func consentReason(request, app Consent, required bool) Reason {
	switch {
	case request == ConsentDenied, request == ConsentRefused, app == ConsentDenied:
		return Denied
	case request == ConsentGranted, app == ConsentGranted:
		return None
	case app == ConsentRefused:
		return Denied
	case required:
		return NoConsent
	default:
		return None
	}
}

// keptRefusal returns the refusal that the keeper must remember because a
// visitor of whom nothing is remembered would be identified, or ConsentUnknown. A
// refusal by a cookie is remembered in place of an identity only: where there was
// none, nothing is set.
func keptRefusal(r Request, s Response, stored Consent, identity bool) Consent {
	readsAsConsent := !r.ConsentRequired || r.Consent == ConsentGranted
	switch {
	case stored == ConsentDenied, s.Consent == ConsentDenied && readsAsConsent:
		return ConsentDenied
	case r.Consent == ConsentRefused && !r.ConsentRequired && identity,
		stored == ConsentRefused && !r.ConsentRequired:
		return ConsentRefused
	}
	return ConsentUnknown
}
