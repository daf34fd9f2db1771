// The first visits, alone and many at once.
import assert from 'node:assert/strict';
import { cookieOf, idIn, KEEPER, ours, READABLE } from '../lib/case.mjs';
import { until } from '../lib/wait.mjs';

export const visits = [
  {
    name: 'first visit: one ID on the server\'s and the tag\'s events',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await tab.go(c.url('second'));
      assert.equal(await c.oneID('second'), id);
      await c.onlyID('first', 'second');
      const told = c.stack.requests.filter((r) => r.path.startsWith(`/${c.tag}/${c.id}/`));
      assert.deepEqual(told.map((r) => r.anonymousId), [id, id], 'the app was told the ID');
      const readable = await cookieOf(visitor, READABLE);
      const keeper = await cookieOf(visitor, KEEPER);
      assert.equal(idIn(readable), id);
      assert.deepEqual([readable.httpOnly, keeper.httpOnly], [false, true]);
      assert.ok(keeper.days > 364, `the keeper lives ${keeper.days} days`);
    },
  },
  {
    name: 'first load with parallel requests: one mint',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first', { parallel: 1 }));
      await tab.run(async () => { await window.fetched; });
      const id = await c.oneID('first');
      const fetched = async () => (await c.events('first')).filter((e) => e.event === 'Fetched');
      await until('the four events of the page\'s fetches', async () => (await fetched()).length === 4);
      assert.deepEqual([...new Set((await fetched()).map((e) => e.anonymousId))], [id]);
      await tab.go(c.url('second'));
      assert.equal(await c.oneID('second'), id);
      const setters = (await c.traffic()).filter((r) => ours(r).length && r.path !== c.path('second'));
      assert.deepEqual(setters.map((r) => r.path), [c.path('first')], 'only the document set cookies');
      assert.deepEqual((await c.events()).filter((e) => e.path.includes('frame')), [], 'a frame is no page');
    },
  },
  {
    name: 'new visitor in two tabs at once: both settle on one ID',
    async run(c) {
      const visitor = await c.visitor();
      const [left, right] = await visitor.open(c.url('left', { together: 2 }), c.url('right', { together: 2 }));
      await Promise.all(['left', 'right'].flatMap((page) => [c.serverEvent(page), c.tagCall(page)]));
      const [a, b] = [await c.track(left, 'left', 'Settled'), await c.track(right, 'right', 'Settled')];
      assert.equal(a.anonymousId, b.anonymousId, 'the tags differ');
      // Two tags that probe the domains at once may each write the ID on its own.
      const readable = (await visitor.cookies()).filter((k) => k.name === READABLE);
      assert.deepEqual([...new Set(readable.map(idIn))], [a.anonymousId]);
      await left.go(c.url('left-again'));
      assert.equal(await c.oneID('left-again'), a.anonymousId);
      await right.go(c.url('right-again'));
      assert.equal(await c.oneID('right-again'), a.anonymousId);
      assert.equal(idIn(await cookieOf(visitor, READABLE)), a.anonymousId);
    },
  },
  {
    name: 'twins on narrower domains: gone with the next page, the same ID',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await tab.run((value) => {
        for (const domain of ['', '; domain=shop.example.test']) {
          document.cookie = `ajs_anonymous_id=${value}; path=/; max-age=86400${domain}`;
        }
      }, '%226f1c2b9e-3d54-4a77-9a51-0c8f1e2d3b4a%22');
      await tab.go(c.url('second'));
      assert.equal(await c.oneID('second'), id);
      const readable = await cookieOf(visitor, READABLE);
      assert.deepEqual([idIn(readable), readable.domain], [id, '.example.test']);
    },
  },
  {
    name: 'known visitor in two tabs at once: the same ID in both',
    async run(c) {
      const visitor = await c.visitor();
      await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await visitor.leave();
      await visitor.open(c.url('left', { together: 2 }), c.url('right', { together: 2 }));
      assert.equal(await c.oneID('left'), id);
      assert.equal(await c.oneID('right'), id);
    },
  },
  {
    name: 'subdomains: one ID, no twin cookies',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await tab.go(c.url('second', { host: 'www.example.test' }));
      assert.equal(await c.oneID('second'), id);
      await tab.go(c.url('third'));
      assert.equal(await c.oneID('third'), id);
      for (const name of [READABLE, KEEPER]) {
        assert.equal((await cookieOf(visitor, name)).domain, '.example.test');
      }
    },
  },
  {
    name: 'private window: an ID of its own, gone with the window',
    async run(c) {
      const visitor = await c.visitor();
      await visitor.open(c.url('normal'));
      const id = await c.oneID('normal');
      const hidden = await visitor.privately();
      c.visitors.unshift(hidden);
      const [tab] = await hidden.open(c.url('hidden'));
      const other = await c.oneID('hidden');
      assert.notEqual(other, id);
      await tab.go(c.url('hidden-again'));
      assert.equal(await c.oneID('hidden-again'), other);
      await hidden.leave();
      assert.equal(idIn(await cookieOf(visitor, READABLE)), id);
      await visitor.leave();
      await visitor.open(c.url('normal-again'));
      assert.equal(await c.oneID('normal-again'), id);
    },
  },
];
