// Package redact removes secrets and e-mail addresses from the URLs that events
// carry.
//
// It promises that what it returns names no secret parameter with a value and
// contains nothing that looks like an e-mail address, in plain text or
// percent-encoded up to three times. Redacting twice equals redacting once, unless
// an expression of redact_path matches the replacement. A text without anything to
// remove is returned as it is, without an allocation. The work is linear in the
// length of the text, and texts over 8 KiB are removed whole.
//
// It assumes that secrets are recognisable by the name of a parameter. A secret
// that is a part of a path, such as /reset/3f9a, is removed only where
// redact_path says so.
//
// It does not change what it keeps, and it does not shorten: truncate after
// redacting, never before.
package redact
