// Package tag serves a browser tag from below a site's own path: the script, its
// settings and its chunks. The script that is served sends its events to the path
// that it came from, so that a page works with every other host out of reach.
//
// It promises:
//
//   - No visitor waits for another host. What comes from a URL is fetched in the
//     background and kept; while its source is down, the last copy is served.
//   - The built-in tags are those of the npm packages, of the versions named in
//     assets/build.mjs, with the changes listed there.
//   - What it answers is the same for all visitors, sets no cookie, and may be
//     cached as its headers say.
//
// It does not check the key in a path: a script with a made-up key is served, and
// the endpoint refuses its events. It knows nothing of Caddy. It does not set CORS
// headers and does not answer preflights; who calls Serve does.
//
// The tags of packages that load chunks from their vendor (analytics-next) can be
// had as Next only: of a URL, one script is served.
package tag
