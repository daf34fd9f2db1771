// A visitor in Chromium of a site that serves the tag, and what was sent and received.
import { until } from '../lib/wait.mjs';

/**
 * The tags, and the ways in which analytics-next sends: each call by itself, in
 * batches, or so that a request outlives its page. A page chooses by load options.
 */
export const modes = {
  'next': { tag: 'next' },
  'next, batching': { tag: 'next', delivery: { strategy: 'batching', config: { size: 4, timeout: 500 } } },
  'next, keepalive': { tag: 'next', delivery: { strategy: 'standard', config: { keepalive: true } } },
  'classic': { tag: 'classic' },
};

/** Sets load options as a script does that a page has before the tag's. */
const setOptions = (options) => { window.analytics = Object.assign([], { _loadOptions: options }); };

/** A page of a new visitor; prepare may change it before it is opened. */
export async function visit(browser, stack, { tag, delivery }, prepare = () => {}) {
  const site = stack.shops[tag];
  const context = await browser.newContext();
  if (delivery) await context.addInitScript(setOptions, { integrations: { 'Segment.io': { deliveryStrategy: delivery } } });
  const page = await context.newPage();
  const hosts = new Set();
  page.on('request', (r) => hosts.add(new URL(r.url()).origin));
  await prepare(page);

  /** What the receiver has of the visitor, once that is n events. */
  const received = async (n, options) => {
    const cookie = (await context.cookies(site)).find((c) => c.name === 'ajs_anonymous_id');
    const visitor = decodeURIComponent(cookie.value).replaceAll('"', '');
    return until(`${n} events`, async () => {
      const got = await stack.of(visitor);
      return got.length >= n && got;
    }, { what: stack.output, ...options });
  };

  return {
    site, context, page, hosts, received,
    open: (path) => page.goto(site + path),

    /** Waits until the tag is there. */
    ready: () => page.waitForFunction(() => !Array.isArray(window.analytics)),

    /** The visitor's events, oldest first, as type:what, once they are n. */
    async events(n) {
      const what = { page: (e) => e.context.page.path, track: (e) => e.event, identify: (e) => e.userId };
      return (await received(n)).map((e) => `${e.type}:${what[e.type](e)}`);
    },
  };
}

/**
 * Notes each call that the page sends: when it was first on its way and when it was
 * first taken, as the ordinal of the browser's own events.
 */
export function notes(page) {
  const calls = new Map(); // by messageId
  let ordinal = 0, failed = 0;
  const note = (request, what) => {
    if (request.method() !== 'POST') return;
    ordinal++;
    const body = request.postDataJSON();
    for (const { messageId } of body.batch ?? [body]) {
      const call = calls.get(messageId) ?? {};
      calls.set(messageId, { [what]: ordinal, ...call });
    }
  };
  page.on('request', (r) => note(r, 'sent'));
  page.on('response', (r) => { if (r.ok()) note(r.request(), 'taken'); });
  page.on('requestfailed', () => { failed++; });
  return { calls, failed: () => failed };
}
