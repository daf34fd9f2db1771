package redact

import "bytes"

// isSecret reports whether a name of the built-in list is a secret: what signs
// in, resets a password, signs a link or is bound to one session.
func isSecret(name []byte) bool {
	switch string(name) {
	case "assertion", "auth", "authorization", "csrf", "hmac", "id_token_hint", "intilery_handoff", "oauth_verifier",
		"otp", "pass", "samlresponse", "saml_response", "session", "sid", "sig", "state", "ticket", "xsrf":
		return true
	}
	return false
}

// secretEndings are the endings of names of secrets and of e-mail addresses.
var secretEndings = [][]byte{
	[]byte("code"), []byte("credential"), []byte("jwt"), []byte("key"), []byte("mail"), []byte("mailaddress"),
	[]byte("mail_address"), []byte("nonce"), []byte("passwd"), []byte("password"), []byte("pwd"), []byte("secret"),
	[]byte("sessid"), []byte("sessionid"), []byte("session_id"), []byte("signature"), []byte("token"),
}

// text is what is searched: a part of a URL, or its decoded copy.
type text interface{ string | []byte }

// secretName reports whether a parameter's value is a secret. Apps write arrays
// and forms as user[password], password[first], user.password and tokens as
// token[], so that each part counts.
func secretName[T text](r *Rules, name T) bool {
	var stack [64]byte
	normal := appendNormal(stack[:0], name)
	start := 0
	for i, c := range normal {
		if c == '[' || c == ']' || c == '.' {
			if r.secretPart(normal[start:i]) {
				return true
			}
			start = i + 1
		}
	}
	if r.secretPart(normal[start:]) {
		return true
	}
	_, ok := r.extra[string(normal)] // an extra name may have brackets itself
	return ok
}

func (r *Rules) secretPart(part []byte) bool {
	if _, ok := r.extra[string(part)]; ok {
		return true
	}
	if bytes.HasPrefix(part, []byte("utm_")) {
		return false
	}
	for len(part) > 0 && part[0] == '_' {
		part = part[1:]
	}
	for len(part) > 0 && (part[len(part)-1] == '_' || isDigit(part[len(part)-1])) {
		part = part[:len(part)-1]
	}
	if isSecret(part) {
		return true
	}
	for _, ending := range secretEndings {
		if bytes.HasSuffix(part, ending) {
			return true
		}
	}
	return false
}

// appendNormal appends a name in lower case, with underscores for the hyphens and
// spaces that PHP and others turn into them.
func appendNormal[T text](dst []byte, name T) []byte {
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '-' || c == '+' || c == ' ':
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
