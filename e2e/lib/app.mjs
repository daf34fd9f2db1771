// The site's app, the receiver of the tags' calls and the remote control's
// other end, as one HTTP server behind Caddy.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';

const BARRIER_SECONDS = 5;

// The browser that is driven by its pages. Chromium claims to be WebKit as well.
const WEBKIT = /AppleWebKit\/(?!.*Chrome\/)/;

/**
 * Pages are /<tag>/<case>/<page>. A page's query tells the app what to answer:
 *
 *   say=<header>:<value>  a response header, repeatable
 *   to=<url>              a redirect (303)
 *   parallel              a page with many subresources, frames and fetches
 *   together=<n>          answer only when n requests of this case are waiting
 *   fetch=<url>           a page that fetches the URL, repeatable
 *   frame=<url>           a page with the URL in a frame
 *   delivery=<json>       the deliveryStrategy that the page has the tag of its site use
 *
 * On a site that serves its tag the pages have the two lines for that one.
 */
export async function startApp({ tags, remote }) {
  const calls = []; // what the tags sent
  const requests = []; // what the app was told
  const waiting = new Map(); // by case

  async function answer(req, res) {
    const url = new URL(req.url, `https://${req.headers.host}`);
    if (url.hostname === 'tracker.test') return receive(req, res, calls);
    if (url.hostname === 'remote.test') return remote.answer(req, res);
    if (url.pathname === '/remote.js') return script(res, remote.script);
    if (url.pathname === '/worker.js') return script(res, worker(url.search === '?init'));
    const [, tag, id, page] = url.pathname.split('/');
    if (tag === 'tag') {
      const source = tags[id?.replace('.js', '')];
      return source === undefined ? send(res, 404, '') : script(res, source);
    }
    if (!page) return send(res, 404, '');
    requests.push({
      path: url.pathname, host: url.hostname,
      anonymousId: req.headers['intilery-anonymous-id'], userId: req.headers['intilery-user-id'],
    });
    for (const line of url.searchParams.getAll('say')) {
      const [name, value] = line.split(/:(.*)/);
      res.setHeader(name, value);
    }
    const together = Number(url.searchParams.get('together'));
    if (together) await gather(waiting, id, together);
    if (url.searchParams.has('to')) {
      res.setHeader('Location', url.searchParams.get('to'));
      return send(res, 303, '');
    }
    if (page.endsWith('.json')) return send(res, 200, '{}', 'application/json');
    if (page.endsWith('.svg')) return send(res, 200, '<svg xmlns="http://www.w3.org/2000/svg"/>', 'image/svg+xml');
    const body = url.searchParams.getAll('frame').map((src) => `<iframe src="${escaped(src)}"></iframe>`).join('\n');
    send(res, 200, html({
      tag, id, page, remote: WEBKIT.test(req.headers['user-agent']), body,
      served: url.hostname === `shop.${tag}.test`, delivery: url.searchParams.get('delivery'),
      parallel: url.searchParams.has('parallel'), fetches: url.searchParams.getAll('fetch'),
    }), 'text/html; charset=utf-8');
  }

  const server = createServer((req, res) => {
    answer(req, res).catch((err) => { res.writeHead(500).end(String(err)); });
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    port: server.address().port,
    calls,
    requests,
    stop: () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }),
  };
}

/** Reads the tags' source from the bundles. */
export async function loadTags(dir) {
  const entries = ['classic', 'next', 'plain'].map(async (name) => [name, await readFile(`${dir}/${name}.js`, 'utf8')]);
  return Object.fromEntries(await Promise.all(entries));
}

/** A page with the tag; remote is whether it drives its browser, served whether the tag is the site's. */
export function html({ tag, id, page, remote, served = false, delivery, body = '', parallel = false, fetches = [] }) {
  const part = (name) => `/${tag}/${id}/${name}`;
  const many = [...Array(8).keys()];
  // Firefox sends Sec-Fetch-Storage-Access only with requests that include credentials.
  const all = parallel ? [1, 2, 3, 4].map((n) => part(`fetch${n}.json?say=Intilery-Track:Fetched`)) : fetches;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${part(page)}</title>
<link rel="icon" href="data:,">
<script>
  addEventListener('pageshow', (e) => { window.restored = e.persisted; });
  window.violations = [];
  addEventListener('securitypolicyviolation', (e) => { window.violations.push(e.blockedURI); });
  window.fetched = Promise.all(${JSON.stringify(all)}.map((url) => fetch(url, { credentials: 'include' })));
</script>
${remote ? '<script src="/remote.js"></script>' : ''}
${delivery ? `<script>window.analytics = Object.assign([], { _loadOptions: { integrations: { 'Segment.io': { deliveryStrategy: ${delivery} } } } })</script>` : ''}
${served ? '{{placeholder "http.intilery.snippet"}}' : `<script src="/tag/${tag}.js"></script>`}
<h1>${part(page)}</h1>
${body}
${parallel ? many.map((n) => `<img src="${part(`image${n}.svg`)}" alt="">`).join('\n') : ''}
${parallel ? `<iframe src="/plain/${id}/frame1"></iframe><iframe src="/plain/${id}/frame2"></iframe>` : ''}
</html>
`;
}

/** A service worker through which the site's pages pass, forwarded as they are or with an init object. */
const worker = (init) => `
addEventListener('install', () => skipWaiting());
addEventListener('activate', (e) => e.waitUntil(clients.claim()));
addEventListener('fetch', (e) => {
  if (e.request.mode === 'navigate') e.respondWith(fetch(e.request${init ? ", { credentials: 'include' }" : ''}));
});
`;

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;');

async function receive(req, res, calls) {
  const body = JSON.parse((await read(req)) || '{}');
  for (const call of body.batch ?? (body.messageId ? [body] : [])) {
    calls.push({
      type: call.type, event: call.event, anonymousId: call.anonymousId, userId: call.userId,
      path: call.context?.page?.path, messageId: call.messageId,
    });
  }
  res.setHeader('Access-Control-Allow-Origin', '*');
  res.setHeader('Access-Control-Allow-Headers', '*, content-type, authorization');
  send(res, 200, '{"success":true}', 'application/json');
}

/** Waits until n requests of a case are here, so that they are surely in flight at once. */
function gather(waiting, id, n) {
  const group = waiting.get(id) ?? [];
  waiting.set(id, group);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(reject, BARRIER_SECONDS * 1000, new Error(`fewer than ${n} requests came together`));
    group.push(() => { clearTimeout(timer); resolve(); });
    if (group.length >= n) for (const go of group.splice(0)) go();
  });
}

export async function read(req) {
  let body = '';
  for await (const chunk of req) body += chunk;
  return body;
}

export function send(res, status, body, type = 'text/plain') {
  res.setHeader('Content-Type', type);
  res.writeHead(status).end(body);
}

const script = (res, source) => send(res, 200, source, 'text/javascript; charset=utf-8');
