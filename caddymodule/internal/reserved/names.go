package reserved

// The response headers of the contract. An app sends them; they are read and
// removed from every response.
const (
	UserID  = "Intilery-User-Id"
	Traits  = "Intilery-Traits"
	Track   = "Intilery-Track"
	Page    = "Intilery-Page"
	Reset   = "Intilery-Reset"
	Consent = "Intilery-Consent"
)

// AnonymousID and UserID are the request headers that tell the app who the
// visitor is.
const AnonymousID = "Intilery-Anonymous-Id"

// Other stands for every reserved header that is not in the contract. Such a
// name comes from outside, so it is neither logged nor used as a metric label.
const Other = "other"

// Names returns the response headers of the contract. With Other they are all
// the headers that Parse reports.
func Names() []string {
	return []string{UserID, Traits, Track, Page, Reset, Consent}
}

// Is reports whether a header's name is reserved: "Intilery" in any case, then a
// character that is neither a letter nor a digit. The hyphen is not the only one
// because CGI variables (RFC 3875, section 4.1.18) do not keep it apart: FastCGI
// and WSGI write hyphen and underscore alike, and lighttpd and older versions of
// Apache write every such character as an underscore.
func Is(name string) bool {
	const prefix = "intilery"
	if len(name) <= len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if name[i]|0x20 != prefix[i] { // folds the case of ASCII letters
			return false
		}
	}
	return !isAlphanumeric(name[len(prefix)])
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}
