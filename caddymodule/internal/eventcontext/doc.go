// Package eventcontext makes the context of events from what a browser sent.
//
// It promises texts without secrets, each of at most MaxText bytes: they are
// redacted first and truncated then. Of a page that the app serves, URL, path and
// query are as the browser shows them and as Intilery's tag tells them, whatever a
// proxy or the site's configuration made of the request. An ordinary context
// costs one allocation.
//
// It assumes that its caller has decided what the browser sees (scheme and host
// behind proxies), which client IP may be told, and whether the request is a
// document.
//
// It does not know a page's title, nor anything else that only a script sees.
package eventcontext
