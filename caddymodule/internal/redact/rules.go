package redact

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

const (
	// mark stands for what was removed from a path or a host. No rule matches it.
	mark = "redacted"

	// maxBytes bounds a path, a query and a URL. Common servers refuse longer
	// request lines by default, so a longer one is hardly a page's.
	maxBytes = 8 << 10

	maxName       = 100  // bytes of a name for the option redact
	maxExpression = 1000 // bytes of an expression for the option redact_path
)

// Rules says what is removed from the URLs of events. The zero value has the
// built-in rules alone. Rules may be used by several goroutines.
//
// A parameter is removed for its name if the name, or a part of it as in
// user[password] or user.password,
//   - is one of a list: auth, csrf, otp, pass, session, sid, sig, state, ticket, ...;
//   - ends in code, credential, key, mail, nonce, password, secret, signature,
//     token and a few more. Case, underscores at either end and digits at the end
//     do not matter: oobCode, _wpnonce, password2. There are no exceptions, so
//     postcode, country_code and promo_code are removed too;
//   - was given to New.
//
// Only New's names apply to names that begin with utm_: campaign parameters stay.
// A name without a value, such as ?preview, stays as well.
//
// A parameter of any name is removed if it contains an e-mail address, or another
// parameter that would be removed: next=%2Freset%3Ftoken%3D5.
type Rules struct {
	extra map[string]struct{} // names in normal form
	paths []*regexp.Regexp
}

// New returns the built-in rules and more: names of parameters, for the option
// redact, and expressions in RE2 syntax of up to 1000 bytes for parts of paths,
// for the option redact_path. Names are compared like the built-in ones, but
// whole: order-ref is Order_Ref as well.
func New(parameters []string, paths []string) (*Rules, error) {
	r := &Rules{extra: make(map[string]struct{}, len(parameters))}
	for _, p := range parameters {
		name := strings.TrimSpace(p)
		if name == "" || len(name) > maxName || strings.ContainsAny(name, "&=;?#/,%@") || strings.ContainsFunc(name, unicode.IsControl) {
			return nil, fmt.Errorf("redact: %q is not accepted; use names of query parameters, up to %d bytes each", p, maxName)
		}
		r.extra[string(appendNormal(nil, name))] = struct{}{}
	}
	for _, p := range paths {
		if p == "" || len(p) > maxExpression {
			return nil, fmt.Errorf("redact_path: %q is not accepted; use a regular expression of 1 to %d bytes", p, maxExpression)
		}
		re, err := regexp.Compile(p)
		if err != nil {
			return nil, fmt.Errorf("redact_path: %q is not accepted; use a regular expression in RE2 syntax: %w", p, err)
		}
		r.paths = append(r.paths, re)
	}
	return r, nil
}
