// Consent given and withdrawn, by a consent manager's cookie and by the app.
import assert from 'node:assert/strict';
import { cookieOf, ELSEWHERE, idIn, KEEPER, ours, READABLE } from '../lib/case.mjs';

/** Writes the consent manager's cookie: an answer, which attributes may follow. */
export const agree = (answer) => { document.cookie = `agreed=${answer}; path=/; max-age=86400`; };

export async function assertNothing(c, visitor, page) {
  const request = await c.request(page);
  assert.deepEqual(ours(request), [], `${page} set cookies`);
  assert.deepEqual([await cookieOf(visitor, READABLE), await cookieOf(visitor, KEEPER)], [undefined, undefined]);
}

export const consents = [
  {
    name: 'a link from another site without the strict consent cookie: nothing touched, counted once it shows',
    async run(c) {
      c.host = 'shop.strict.test';
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('before', { tag: 'plain' }));
      await tab.run(agree, 'yes; SameSite=Strict');
      await tab.go(c.url('given'));
      const id = await c.oneID('given');
      const keeper = (await cookieOf(visitor, KEEPER)).value;

      await tab.go(c.url('mail', ELSEWHERE));
      await tab.follow(c.url('landing', { utm_source: 'mail' }));
      assert.equal((await c.tagCall('landing')).anonymousId, id);
      const request = await c.request('landing');
      assert.ok(!request.cookies.includes('agreed='), 'the browser sent the strict cookie');
      assert.ok(request.cookies.includes(READABLE) && request.cookies.includes(KEEPER), 'the browser withheld our cookies');
      assert.deepEqual(request.set, [], 'the landing page set cookies');
      assert.equal(idIn(await cookieOf(visitor, READABLE)), id);
      assert.equal((await cookieOf(visitor, KEEPER)).value, keeper);

      await tab.follow(c.url('next'));
      assert.equal(await c.oneID('next'), id);
      assert.equal(await c.oneID('landing'), id);
      assert.equal((await c.serverEvent('landing')).campaign?.source, 'mail');
      const pages = (await c.events()).map((e) => e.path.split('/')[3]).sort();
      assert.deepEqual(pages, ['given', 'landing', 'next']);
    },
  },
  {
    name: 'consent by cookie: nothing before, one ID while given, nothing after',
    async run(c) {
      c.host = 'shop.consent.test';
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('before', { tag: 'plain' }));
      await assertNothing(c, visitor, 'before');

      await tab.run(agree, 'yes');
      await tab.go(c.url('given'));
      const id = await c.oneID('given');
      await tab.go(c.url('given-again'));
      assert.equal(await c.oneID('given-again'), id);

      await tab.run(agree, 'no');
      await tab.go(c.url('withdrawn', { tag: 'plain' }));
      assert.ok(ours(await c.request('withdrawn')).every((line) => line.includes('Max-Age=0')));
      await tab.go(c.url('after', { tag: 'plain' }));
      await assertNothing(c, visitor, 'after');

      await tab.run(agree, 'yes');
      await tab.go(c.url('regiven'));
      assert.notEqual(await c.oneID('regiven'), id, 'a new start');
      assert.deepEqual((await c.events()).map((e) => e.path.split('/')[3]), ['given', 'given-again', 'regiven']);
    },
  },
  {
    name: 'consent by the app: nothing before, one ID while given, nothing after',
    async run(c) {
      c.host = 'shop.consent.test';
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('before', { tag: 'plain' }));
      await assertNothing(c, visitor, 'before');
      await tab.go(c.url('given', { say: { 'Intilery-Consent': 'granted' } }));
      const id = await c.oneID('given');
      await tab.go(c.url('given-again'));
      assert.equal(await c.oneID('given-again'), id);
      await tab.go(c.url('withdrawn', { tag: 'plain', say: { 'Intilery-Consent': 'denied' } }));
      await c.request('withdrawn');
      await tab.go(c.url('after', { tag: 'plain' }));
      await assertNothing(c, visitor, 'after');
      await tab.go(c.url('regiven', { say: { 'Intilery-Consent': 'granted' } }));
      assert.notEqual(await c.oneID('regiven'), id, 'a new start');
      assert.deepEqual((await c.events()).map((e) => e.path.split('/')[3]), ['given', 'given-again', 'regiven']);
    },
  },
  {
    name: 'the app\'s denial on a site without a consent rule lasts',
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      await c.oneID('first');
      await tab.go(c.url('denied', { tag: 'plain', say: { 'Intilery-Consent': 'denied' } }));
      await c.request('denied');
      assert.equal(await cookieOf(visitor, READABLE), undefined);
      await visitor.leave();
      const [later] = await visitor.open(c.url('later', { tag: 'plain' }));
      assert.equal((await c.request('later')).identity, 'denied');
      assert.equal(await cookieOf(visitor, READABLE), undefined);
      await later.go(c.url('granted', { say: { 'Intilery-Consent': 'granted' } }));
      await c.oneID('granted');
      assert.deepEqual((await c.events()).map((e) => e.path.split('/')[3]), ['first', 'granted']);
    },
  },
];
