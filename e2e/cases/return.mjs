// Coming back: after days, by the back button, and as nobody or somebody else.
import assert from 'node:assert/strict';
import { cookieOf, idIn, ours, READABLE } from '../lib/case.mjs';
import { WebKit } from '../lib/webkit.mjs';

const logout = { 'Intilery-Reset': 'true', 'Intilery-Track': 'Signed Out' };

/** Asserts that the logout's own event is that of who leaves. */
async function leftAs(c, page, id, user) {
  const event = await c.serverEvent(page, (e) => e.event === 'Signed Out');
  assert.deepEqual([event.anonymousId, event.userId], [id, user]);
}

export const returns = [
  {
    name: '8 days away: the same ID',
    async run(c) {
      const visitor = await c.visitor();
      await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await visitor.leave();
      const { days } = await cookieOf(visitor, READABLE);
      const capped = c.browser instanceof WebKit;
      assert.ok(capped ? days <= 7 : days > 350, `the tag's own write left the readable cookie ${days} days`);
      await visitor.away(8);
      await visitor.open(c.url('back'));
      assert.equal(await c.oneID('back'), id);
      const request = await c.request('back');
      assert.equal(request.identity, capped ? 'restored' : 'kept');
      assert.equal(request.cookies.includes(READABLE), !capped);
      assert.equal(ours(request).length, 2, 'both cookies were renewed');
    },
  },
  {
    name: '8 days away with scripts\' cookies capped at 7: the same ID',
    skip: (browser) => browser === WebKit && 'as the case above',
    async run(c) {
      const visitor = await c.visitor();
      await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await visitor.leave();
      await visitor.away(8, { cap: READABLE });
      await visitor.open(c.url('back'));
      assert.equal(await c.oneID('back'), id);
      assert.equal((await c.request('back')).identity, 'restored');
    },
  },
  {
    name: 'the tag\'s reset(): a new ID',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await tab.run(() => window.tag.reset());
      await tab.go(c.url('second'));
      const next = await c.oneID('second');
      assert.notEqual(next, id);
      await tab.go(c.url('third'));
      assert.equal(await c.oneID('third'), next);
    },
  },
  {
    name: 'the tag\'s reset(), then a call on the same page: the call\'s ID goes on',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await tab.run(() => window.tag.reset());
      const { anonymousId } = await c.track(tab, 'first', 'After Reset');
      assert.notEqual(anonymousId, id);
      await tab.go(c.url('second'));
      assert.equal(await c.oneID('second'), anonymousId);
    },
  },
  {
    name: 'the app\'s Intilery-Reset on a redirect: a new ID at the next page',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first', { say: { 'Intilery-User-Id': 'A' } }));
      const id = await c.oneID('first');
      await tab.go(c.url('logout', { say: logout, to: c.url('second') }), c.url('second'));
      await leftAs(c, 'logout', id, 'A');
      const next = await c.oneID('second');
      assert.notEqual(next, id);
      assert.equal((await c.serverEvent('second')).userId ?? '', '');
    },
  },
  {
    name: 'the app\'s Intilery-Reset on a page with the tag: a new ID at the next page',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first', { say: { 'Intilery-User-Id': 'A' } }));
      const id = await c.oneID('first');
      await tab.go(c.url('logout', { say: logout }));
      await leftAs(c, 'logout', id, 'A');
      await c.tagCall('logout');
      await tab.go(c.url('second'));
      const next = await c.oneID('second');
      assert.notEqual(next, id);
      assert.equal((await c.serverEvent('second')).userId ?? '', '');
    },
  },
  {
    name: 'the app\'s Intilery-Reset beside Clear-Site-Data of cookies and storage: a new ID at the next page',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first', { say: { 'Intilery-User-Id': 'A' } }));
      const id = await c.oneID('first');
      await tab.go(c.url('logout', { say: { ...logout, 'Clear-Site-Data': '"cookies", "storage"' } }));
      await leftAs(c, 'logout', id, 'A');
      await c.tagCall('logout');
      await tab.go(c.url('second'));
      const next = await c.oneID('second');
      assert.notEqual(next, id);
      assert.equal((await c.serverEvent('second')).userId ?? '', '');
      await tab.go(c.url('third'));
      assert.equal(await c.oneID('third'), next);
    },
  },
  {
    name: 'identify A, then B: a new ID for B, also in the tag',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await tab.go(c.url('a', { say: { 'Intilery-User-Id': 'A' } }));
      assert.equal(await c.oneID('a'), id, 'who signs up keeps the ID');
      await tab.go(c.url('b', { say: { 'Intilery-User-Id': 'B' } }));
      const other = await c.oneID('b');
      assert.notEqual(other, id);
      await tab.go(c.url('last'));
      assert.equal(await c.oneID('last'), other);
      const users = {};
      for (const e of await c.events()) (users[e.anonymousId] ??= new Set()).add(e.userId ?? '');
      assert.deepEqual([...users[id]].sort(), ['', 'A']);
      assert.deepEqual([...users[other]], ['B']);
      assert.equal((await c.events()).filter((e) => e.type === 'identify').length, 2);
    },
  },
  {
    name: 'the tag identifies A, then B: its new ID is taken over',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      for (const user of ['A', 'B']) {
        await tab.run((name) => window.tag.identify(name), user);
        await c.tagCall('first', (call) => call.type === 'identify' && call.userId === user);
      }
      const other = c.calls('first').find((call) => call.userId === 'B').anonymousId;
      assert.notEqual(other, id);
      await tab.go(c.url('second'));
      assert.equal(await c.oneID('second'), other);
    },
  },
  {
    name: 'back/forward cache: no needless Set-Cookie, the page is restored',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await c.answered(tab, 'first');
      await tab.go(c.url('second'));
      assert.equal(await c.oneID('second'), id);
      await c.answered(tab, 'second');
      await tab.go(c.url('third'));
      assert.equal(await c.oneID('third'), id);
      assert.equal(await tab.back(c.url('second')), true, 'the page was loaded again');
      assert.equal((await c.track(tab, 'second', 'Restored')).anonymousId, id);
      assert.equal(await tab.back(c.url('first')), true, 'the page that set the cookies was loaded again');
      assert.equal((await c.track(tab, 'first', 'Restored')).anonymousId, id);
      const [first, ...later] = await c.traffic();
      assert.deepEqual(later.map((r) => r.path), [c.path('second'), c.path('third')], 'no page was asked for again');
      assert.equal(ours(first).length, 2);
      for (const request of later) {
        // analytics-next leaves the ID without its quotes: script wrote the
        // cookie, and the server writes it again.
        const rewritten = !request.cookies.includes(`${READABLE}=%22`);
        assert.equal(ours(request).length, rewritten ? 1 : 0, `Set-Cookie on ${request.path}`);
      }
      assert.equal(idIn(await cookieOf(visitor, READABLE)), id);
    },
  },
];
