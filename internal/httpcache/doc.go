// Package httpcache reads the header of a response the way the HTTP caches on
// both sides of the server read and write it.
//
// It answers two questions. May a shared cache between us and the browser store
// this response, and with it the cookies that we add (SharingOf)? And did a cache
// between the app and us send it, so that it was made for another visitor (Hit)?
// KeepPrivate, MakePrivate, DropTargeted and Revalidate change the header
// accordingly.
//
// Both mistakes are expensive: to take a stored response for a fresh one gives a
// visitor the identity of another, to take a fresh one for a stored one loses a
// login or a logout. Where caches are known to disagree, SharingOf assumes the
// cache that stores more. Hit needs evidence.
//
// Header keys must be in canonical form, as net/http writes them. The functions
// do not allocate for a response that has none of the rarer fields.
//
// The package does not decide which responses get cookies, does not look at the
// request beyond its method (a response to a request with Authorization is judged
// like any other), and does not see a cache that leaves no trace in the header.
package httpcache
