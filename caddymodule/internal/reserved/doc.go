// Package reserved has the rules for the header names that begin with
// Intilery-: which names these are, how they are removed from requests and
// responses, and what the values that an app sends in them mean.
//
// It promises that
//
//   - nothing under a reserved name is left in a header or trailer map that was
//     stripped, whatever the spelling of the name;
//   - every value is accepted, or reported with one of the fixed reasons of this
//     package, which never contain any part of it;
//   - a refused event never affects the other events of the same response;
//   - what is accepted is bounded, valid UTF-8 and, where it is JSON, a valid
//     compact object;
//   - the work is linear in the size of the headers.
//
// # Joined headers
//
// Some runtimes, proxies and CDNs join a repeated header into one line with
// commas, as RFC 9110, section 5.3, permits: Headers.append of the Fetch standard,
// and so of Node, does. A line of Intilery-Track is therefore read as a list
// wherever that is unambiguous:
//
//   - A JSON value or the base64 of one ends at the comma that follows it.
//   - A plain name ends at a comma that is followed by what can only be another
//     event: the beginning of a JSON object, of an array of objects or strings,
//     or the base64 of one. Any other comma is a part of the name, because
//     "Signed up, at last" cannot be told from two names. A name with a brace or
//     a bracket reaches to the end of the line.
//   - Empty members are skipped.
//
// In the headers that may be sent once, a repetition that changes nothing (true,
// off, granted, denied) counts as one, and a repeated ID, name or JSON value is
// refused as a duplicate. Where such tokens contradict each other, the one that
// keeps less about the visitor counts (a reset, a denial, no page event), and the
// header is reported as a duplicate all the same. A user ID with a comma is one
// ID, "Smith, John", unless it repeats itself, "42, 42".
//
// # What it does not do
//
// It does not decide whether an app's headers count on a response (cache hits,
// bots, consent), and it does not check the size of the resulting event.
package reserved
