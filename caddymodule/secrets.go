package caddymodule

import "strings"

// secretNames are the query parameters that are removed from page URLs and
// referrers by default: what signs in, resets a password or signs a link.
var secretNames = []string{
	"token", "code", "password", "passwd", "pwd", "pass", "secret", "signature", "sig", "hmac", "hash_signature",
	"key", "api_key", "apikey", "auth", "authorization", "session", "session_id", "sessionid", "sid", "jwt",
	"otp", "ticket", "credential", "assertion", "saml_response", "samlresponse", "state", "nonce",
}

// secretEndings mark families of names: reset_password_token, X-Amz-Signature,
// client_secret.
var secretEndings = []string{"token", "password", "secret", "signature", "credential"}

// secrets is the set of query parameters whose values must not be stored.
type secrets map[string]struct{}

func newSecrets(extra []string) secrets {
	s := make(secrets, len(secretNames)+len(extra))
	for _, name := range secretNames {
		s[name] = struct{}{}
	}
	for _, name := range extra {
		s[normalName(name)] = struct{}{}
	}
	return s
}

// redact removes secret parameters from a raw query and leaves the rest as it
// was spelled. It returns its argument when there is nothing to remove.
func (s secrets) redact(query string) string {
	if query == "" {
		return ""
	}
	clean := true
	for pair := range strings.SplitSeq(query, "&") {
		if s.secret(pair) {
			clean = false
			break
		}
	}
	if clean {
		return query
	}
	var kept strings.Builder
	kept.Grow(len(query))
	for pair := range strings.SplitSeq(query, "&") {
		if s.secret(pair) {
			continue
		}
		if kept.Len() > 0 {
			kept.WriteByte('&')
		}
		kept.WriteString(pair)
	}
	return kept.String()
}

// redactURL removes secret parameters, user information and the fragment from
// a URL such as a referrer, without changing the rest.
func (s secrets) redactURL(raw string) string {
	raw, _, _ = strings.Cut(raw, "#")
	base, query, found := strings.Cut(raw, "?")
	if scheme, rest, ok := strings.Cut(base, "://"); ok {
		authority, path, slash := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			base = scheme + "://" + authority[at+1:]
			if slash {
				base += "/" + path
			}
		}
	}
	if !found {
		return base
	}
	if query = s.redact(query); query == "" {
		return base
	}
	return base + "?" + query
}

// secret reports whether a key=value pair must go. Names are compared decoded,
// without case, brackets and with underscores for hyphens.
func (s secrets) secret(pair string) bool {
	key, _, _ := strings.Cut(pair, "=")
	name := normalName(key)
	if _, ok := s[name]; ok {
		return true
	}
	for _, ending := range secretEndings {
		if strings.HasSuffix(name, ending) {
			return true
		}
	}
	return false
}

// normalName also takes the last part of user[password] and user.password.
func normalName(key string) string {
	if strings.ContainsAny(key, "%+") {
		key = unescape(key)
	}
	key = strings.TrimSuffix(strings.ToLower(key), "[]")
	key = strings.TrimSuffix(key, "]")
	if i := strings.LastIndexAny(key, "[."); i >= 0 {
		key = key[i+1:]
	}
	return strings.ReplaceAll(key, "-", "_")
}
