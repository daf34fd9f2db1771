// Package doctor looks at a site from outside, as a browser does that opens it
// for the first time, and reports what browsers will do to its identity cookies
// and how to fix what is wrong.
//
// It opens a page as a new visitor, as the same visitor again and as another new
// visitor, and once over plain HTTP. These visits are real: a site that works
// counts two visitors and three pages, and one more of each where it serves
// pages over plain HTTP. From the answers, and from the addresses of the site, it
// judges what the module in the site's server cannot see: what proxies and
// caches in front of it do to the host, the scheme, the cookies and the caching
// of its answers.
//
// It knows the site's cookie options and nothing else of its configuration. A
// finding is a problem if identities are lost or mixed up by it, and a note if
// that depends on something that cannot be seen from outside.
//
// It assumes that the site treats it as a browser. It does not run scripts, so it
// says nothing about a tag in the page, and it looks at one page only.
//
// Everything that a site or a name server sends is hostile until it is printed:
// [Report.Write] and the errors of [Doctor.Examine] replace what a terminal could
// obey, and values are cut to a bounded length. No cookie value and no value of
// an Intilery-* header is printed.
package doctor
