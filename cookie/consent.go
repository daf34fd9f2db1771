package cookie

// Consent is what is known of a visitor's consent.
type Consent uint8

const (
	// ConsentUnknown says that nobody said anything.
	ConsentUnknown Consent = iota
	// ConsentGranted says that the visitor agreed.
	ConsentGranted
	// ConsentDenied says that the visitor refused or withdrew.
	ConsentDenied
)

// refusal weighs what the request says against the app's last word. It returns
// None if this visitor may be identified, else Denied or NoConsent.
//
// A denial of the request, such as a browser's privacy signal, beats
// everything. The app's denial beats a grant of the request: the app knows its
// visitor, and a consent manager's cookie may be older.
func refusal(request, app Consent, required bool) Reason {
	switch {
	case request == ConsentDenied, app == ConsentDenied:
		return Denied
	case request == ConsentGranted, app == ConsentGranted, !required:
		return None
	default:
		return NoConsent
	}
}

// readsAsConsent reports that a visitor of whom nothing is remembered would be
// identified: there, a denial is lost unless it is remembered.
func readsAsConsent(r Request) bool {
	return !r.ConsentRequired || r.Consent == ConsentGranted
}
