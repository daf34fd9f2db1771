// Package navigation tells from a request alone what it loads, and which
// clients are bots.
//
// [Of] classifies a request by its headers: whether it is a top-level
// navigation, whether that navigation may count as a page, whether the browser
// withholds cookies on it. [LoadsPage] asks whether a tag may run in what the
// request loads, [IsPage] whether a response is a page, and [Bots] holds the
// list of bots and the options on it.
//
// # Sources
//
// Browsers describe each request to a trustworthy origin in Sec-Fetch-* headers
// (W3C Fetch Metadata Request Headers; the destinations are those of the Fetch
// standard). Chromium sends them since version 80, Firefox since 90, Safari
// since 16.4. Where they are absent, on plain HTTP and from older browsers, the
// Accept header decides, and fetches by libraries are recognized by the headers
// that those libraries document.
//
// # Assumptions
//
//   - Header names are canonical, as net/http makes them.
//   - The headers may be forged. A client can only make its own requests count
//     or not count; nothing here grants access to anything.
//   - The caller has decided which host and scheme the browser sees.
//
// # What it does not do
//
// It does not look at cookies, at the path or at addresses, and does not verify
// that a crawler is the one it claims to be. HTTP libraries and headless
// browsers are not bots here: a site's own clients and tests use them. A frame
// whose request went through a service worker cannot be told from a top-level
// navigation: both carry the same headers.
package navigation
