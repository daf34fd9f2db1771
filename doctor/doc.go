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
// Of a collection endpoint it sees what the tag on a page sees: whether it answers,
// which origins may send, the tag's script and its settings. With a key it sends one
// event, named [TestEvent], which counts too.
//
// It knows the site's cookie options, the endpoint's path and key, and nothing else
// of its configuration. A finding is a problem if identities or events are lost or
// mixed up by it, and a note if that depends on something that cannot be seen from
// outside.
//
// It assumes that the site treats it as a browser. It does not run scripts, so it
// does not see what a tag in the page does, and it looks at one page only.
//
// Everything that a site or a name server sends is hostile until it is printed:
// [Report.Write] and the errors of [Doctor.Examine] replace what a terminal could
// obey, and values are cut to a bounded length. No cookie value and no value of
// an Intilery-* header is printed.
package doctor
