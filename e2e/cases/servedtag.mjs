// The tag that the site serves from below its own endpoint, in each of its modes.
import assert from 'node:assert/strict';
import { cookieOf, idIn, KEEPER, READABLE } from '../lib/case.mjs';
import { until } from '../lib/wait.mjs';
import { WebKit } from '../lib/webkit.mjs';

const ENDPOINT = '/x7/';
const COUNTED = 40; // calls, over almost a second

// How analytics-next sends: each call by itself, in batches, or so that a request
// outlives its page.
const modes = {
  'each call by itself': undefined,
  'in batches': { strategy: 'batching', config: { size: 4, timeout: 500 } },
  'with keepalive': { strategy: 'standard', config: { keepalive: true } },
};

// Every other host is out of reach, but for the one that drives WebKit, by eval.
const ALONE = { 'Content-Security-Policy': "default-src 'self' 'unsafe-inline' 'unsafe-eval'; img-src data:; connect-src 'self' https://remote.test" };

/** A case for each mode, which run is given. */
const inEachMode = (name, run) => Object.keys(modes).map((mode) => ({
  name: `the site's tag, ${mode}: ${name}`,
  skip: (browser, tag) => (modes[mode] && tag === 'classic' && 'sends each call by itself') || false,
  run: (c) => run(c, mode),
}));

/** The URL of a page on the site that serves the case's tag. */
function page(c, name, { mode, ...query } = {}) {
  if (modes[mode]) query.delivery = JSON.stringify(modes[mode]);
  return c.url(name, { host: `shop.${c.tag}.test`, ...query });
}

/** Opens a page and waits for its tag. */
async function open(visitor, url) {
  const [tab] = await visitor.open(url);
  await until('the tag', () => tab.run(() => !Array.isArray(window.analytics)));
  return tab;
}

/** The events of the case as type:what, oldest first, once they are n. All have the visitor's ID. */
async function received(c, visitor, n) {
  const events = await until(`${n} events`, async () => {
    const got = await c.events();
    return got.length >= n && got;
  }, { what: () => `in ${c.id}` });
  const id = idIn(await cookieOf(visitor, READABLE));
  assert.deepEqual([...new Set(events.map((e) => e.anonymousId))], [id]);
  const what = { page: (e) => e.path.split('/')[3], track: (e) => e.event, identify: (e) => e.userId };
  return events.map((e) => `${e.type}:${what[e.type](e)}`);
}

/** Has the classic tag take over at once what the page before has left in the browser, not after ten seconds. */
const takeOver = () => {
  for (const key of Object.keys(localStorage)) if (/^segmentio\..*\.ack$/.test(key)) localStorage.setItem(key, '0');
};

const visits = inEachMode('each call once, under the server\'s ID, and no other host', async (c, mode) => {
  const visitor = await c.visitor();
  // The event in the query has analytics-next load a chunk.
  const tab = await open(visitor, page(c, 'first', { mode, say: ALONE, ajs_event: 'Linked' }));
  await tab.run(() => { window.analytics.identify('42'); window.analytics.track('Clicked'); });
  const events = await received(c, visitor, 4);
  assert.deepEqual(events.toSorted(), ['identify:42', 'page:first', 'track:Clicked', 'track:Linked']);
  // Calls by themselves may be on their way together.
  if (mode === 'in batches') assert.ok(events.indexOf('identify:42') < events.indexOf('track:Clicked'));

  assert.deepEqual(await tab.run(() => window.violations), []);
  const asked = (await c.stack.traffic()).filter((r) => r.path.startsWith(ENDPOINT) && r.referer?.includes(`/${c.id}/`));
  assert.deepEqual(asked.filter((r) => r.status !== 200), []);
  assert.ok(asked.some((r) => r.path === `${ENDPOINT}hello.js`));
  assert.equal(asked.some((r) => r.path.includes('/bundles/')), c.tag === 'next', 'a chunk from the site');
});

const departures = inEachMode('a page that is left at once', async (c, mode) => {
  const visitor = await c.visitor();
  const tab = await open(visitor, page(c, 'first', { mode }));
  await received(c, visitor, 1);
  const second = page(c, 'second', { mode });
  await tab.depart((href) => { window.analytics.track('Left'); window.location.href = href; }, second, second);
  if (c.tag === 'classic') await tab.run(takeOver);
  assert.deepEqual((await received(c, visitor, 3)).toSorted(), ['page:first', 'page:second', 'track:Left']);
});

const signUps = inEachMode('a sign-up that redirects at once', async (c, mode) => {
  const visitor = await c.visitor();
  const tab = await open(visitor, page(c, 'form', { mode }));
  await received(c, visitor, 1);
  const welcome = page(c, 'welcome', { mode });
  await tab.depart((action) => {
    const form = Object.assign(document.createElement('form'), { action, method: 'post' });
    document.body.append(form);
    form.submit();
  }, page(c, 'done', { say: { 'Intilery-Track': 'Signed Up' }, to: welcome }), welcome);
  assert.deepEqual(await received(c, visitor, 3), ['page:form', 'track:Signed Up', 'page:welcome']);
});

const outages = inEachMode('the receiver fails, and Caddy is killed: each call once', async (c, mode) => {
  const visitor = await c.visitor();
  const tab = await open(visitor, page(c, 'first', { mode }));
  await received(c, visitor, 1);
  let killed, serving;
  try {
    await c.stack.receiver('503');
    await tab.run((counted) => {
      let n = 0;
      const timer = setInterval(() => {
        window.analytics.track('Counted', { n: n++ });
        if (n === counted) clearInterval(timer);
      }, 20);
    }, COUNTED);
    killed = Date.now();
    await c.stack.killAndRestart();
    serving = Date.now();
  } finally {
    await c.stack.receiver('none');
  }
  await received(c, visitor, COUNTED + 1);
  const events = (await c.events()).filter((e) => e.event === 'Counted');
  const numbers = events.map((e) => e.properties.n);
  // Batches are sent one after another, a failed one before all others.
  if (mode !== 'in batches') numbers.sort((a, b) => a - b);
  assert.deepEqual(numbers, [...Array(COUNTED).keys()]);
  assert.equal(new Set(events.map((e) => e.messageId)).size, COUNTED, 'one messageId each');
  const times = events.map((e) => Date.parse(e.timestamp));
  assert.ok(times.some((time) => time > killed && time < serving), 'a call was made during the outage');
});

export const servedTags = [
  ...visits,
  ...departures,
  ...signUps,
  ...outages,
  {
    name: 'the site\'s tag: the answer to its call has script\'s cookie live a year, and 8 days later it is there',
    async run(c) {
      const visitor = await c.visitor();
      const tab = await open(visitor, page(c, 'first'));
      await received(c, visitor, 1);
      const id = idIn(await cookieOf(visitor, READABLE));
      const write = (value) => {
        document.cookie = `ajs_anonymous_id=${value}; path=/; domain=${location.hostname.replace('shop', '')}; max-age=31536000`;
      };
      const capped = c.browser instanceof WebKit;
      await until('script\'s cookie', async () => {
        await tab.run(write, id);
        const { value, days } = await cookieOf(visitor, READABLE);
        return value === id && (!capped || days <= 7);
      });

      await tab.run(() => { window.analytics.track('Renewed'); });
      await until('the server\'s cookie', async () => {
        const { value, days } = await cookieOf(visitor, READABLE);
        return value === `%22${id}%22` && days > 364;
      });
      assert.ok((await cookieOf(visitor, KEEPER)).days > 364);
      await received(c, visitor, 2);

      await visitor.leave();
      await visitor.away(8);
      await open(visitor, page(c, 'back'));
      assert.deepEqual(await received(c, visitor, 3), ['page:first', 'track:Renewed', 'page:back']);
      assert.equal((await c.events('back'))[0].anonymousId, id);
      assert.equal((await c.request('back')).identity, 'kept');
    },
  },
  {
    name: 'the site\'s tag: offline, then online',
    async run(c) {
      const visitor = await c.visitor();
      const tab = await open(visitor, page(c, 'first'));
      await received(c, visitor, 1);
      try {
        await tab.offline(true);
        assert.equal(await tab.run(() => fetch('/remote.js', { cache: 'no-store' }).then(() => 'there', () => 'out of reach')), 'out of reach');
        if (c.tag === 'next') {
          // It does not try where the browser says that it is offline.
          await tab.run(async () => {
            const tried = window.analytics.track('Offline');
            if (navigator.onLine) await tried;
          });
        } else {
          await tab.run(() => { window.analytics.track('Offline'); });
          await until('a retry to be due', () => tab.run(() => Object.entries(localStorage)
            .some(([key, value]) => /^segmentio\..*\.queue$/.test(key) && value.includes('"attemptNumber":1'))));
        }
      } finally {
        await tab.offline(false);
      }
      assert.deepEqual(await received(c, visitor, 2), ['page:first', 'track:Offline']);
    },
  },
];
