// Visits from another site: forms that it posts, and a frame that it shows the shop in.
import assert from 'node:assert/strict';
import { cookieOf, ELSEWHERE, idIn, KEEPER, ours, READABLE } from '../lib/case.mjs';
import { until } from '../lib/wait.mjs';
import { WebKit } from '../lib/webkit.mjs';
import { agree } from './consent.mjs';

const paid = { 'Intilery-User-Id': 'A', 'Intilery-Track': 'Order Completed' };

/** Posts a form, as a bank does that sends the visitor back. */
const post = (action) => {
  const form = Object.assign(document.createElement('form'), { action, method: 'post' });
  document.body.append(form);
  form.submit();
};

/** Asserts that the answer to the form minted nothing, and that the order is the user's. */
async function assertPaid(c) {
  const request = await c.request('paid');
  assert.equal(request.method, 'POST');
  assert.deepEqual([READABLE, KEEPER].filter((name) => request.cookies.includes(`${name}=`)), [], 'the browser sent Lax cookies');
  assert.deepEqual(ours(request), [], 'the answer to the form set an ID');
  const order = await c.serverEvent('paid', (e) => e.event === 'Order Completed');
  assert.deepEqual([order.userId, order.anonymousId ?? ''], ['A', '']);
}

/** Asserts that server and tag have one ID on the page, that an identify names it, and that it stays. */
async function assertLinked(c, tab, visitor, id, page) {
  assert.equal(await c.oneID(page), id);
  await until('the identify with both IDs', async () => (await c.events())
    .some((e) => e.type === 'identify' && e.userId === 'A' && e.anonymousId === id));
  await tab.follow(c.url('last'));
  assert.equal(await c.oneID('last'), id);
  assert.equal(idIn(await cookieOf(visitor, READABLE)), id);
  const ghosts = (await c.events()).filter((e) => e.anonymousId && e.anonymousId !== id);
  assert.deepEqual(ghosts, []);
}

export const crossSites = [
  {
    name: 'another site\'s form, answered with a redirect: the same ID, the user\'s order',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await tab.go(c.url('bank', ELSEWHERE));
      await tab.depart(post, c.url('paid', { say: paid, to: c.url('thanks') }), c.url('thanks'));
      await assertPaid(c);
      await assertLinked(c, tab, visitor, id, 'thanks');
    },
  },
  {
    name: 'another site\'s form, answered with a page: the same ID, the user\'s order',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await tab.go(c.url('bank', ELSEWHERE));
      const action = c.url('paid', { say: paid });
      await tab.depart(post, action, action);
      assert.equal((await c.tagCall('paid')).anonymousId, id);
      await assertPaid(c);
      await tab.follow(c.url('thanks'));
      await assertLinked(c, tab, visitor, id, 'thanks');
    },
  },
  {
    name: 'another site\'s form without the strict consent cookie: the same ID, the order with the next page',
    async run(c) {
      c.host = 'shop.strict.test';
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('before', { tag: 'plain' }));
      await tab.run(agree, 'yes; SameSite=Strict');
      await tab.go(c.url('first'));
      const id = await c.oneID('first');
      await tab.go(c.url('bank', ELSEWHERE));
      await tab.depart(post, c.url('paid', { say: paid, to: c.url('thanks') }), c.url('thanks'));
      await c.tagCall('thanks');
      for (const page of ['paid', 'thanks']) {
        const request = await c.request(page);
        assert.ok(!request.cookies.includes('agreed='), `the browser sent a strict cookie with ${page}`);
        assert.deepEqual(ours(request), [], `${page} touched our cookies`);
      }
      await tab.follow(c.url('next'));
      assert.equal(await c.oneID('next'), id);
      const order = await c.serverEvent('paid', (e) => e.event === 'Order Completed');
      assert.deepEqual([order.userId, order.anonymousId], ['A', id]);
      await assertLinked(c, tab, visitor, id, 'thanks');
    },
  },
  {
    name: 'the shop in another site\'s frame: its fetches mint nothing',
    skip: (browser) => browser === WebKit && 'does not say that a frame has no storage',
    async run(c) {
      const visitor = await c.visitor();
      const framed = (name) => c.url(`${name}-frame`, {
        tag: 'plain', fetch: [
          c.url(`${name}-seen.json`, { tag: 'plain', say: { 'Intilery-Track': 'Seen' } }),
          c.url(`${name}-paid.json`, { tag: 'plain', say: paid }),
        ],
      });
      const assertNoGhosts = async (name, ...known) => {
        const order = await until('the order of the frame', async () => (await c.events())
          .find((e) => e.event === 'Order Completed' && e.path.split('/')[3].startsWith(name)));
        assert.deepEqual([order.userId, order.anonymousId ?? ''], ['A', '']);
        for (const page of ['frame', 'seen.json', 'paid.json']) {
          const request = await c.request(`${name}-${page}`);
          assert.ok(!request.cookies.includes(READABLE), 'the browser gave the frame the visitor\'s cookies');
          assert.deepEqual(request.set, [], `${request.path} set cookies`);
        }
        const ghosts = (await c.events()).filter((e) => e.anonymousId && !known.includes(e.anonymousId));
        assert.deepEqual(ghosts, []);
      };

      const [tab] = await visitor.open(c.url('embed', { ...ELSEWHERE, frame: framed('new') }));
      await assertNoGhosts('new');
      await tab.go(c.url('first'));
      const id = await c.oneID('first');
      await tab.go(c.url('embed-again', { ...ELSEWHERE, frame: framed('known') }));
      await assertNoGhosts('known', id);
      await tab.go(c.url('last'));
      assert.equal(await c.oneID('last'), id);
      await assertNoGhosts('known', id);
    },
  },
];
