// Pages that the browser loads ahead of the visitor, by speculation rules.
import assert from 'node:assert/strict';
import { ELSEWHERE, ours } from '../lib/case.mjs';
import { Chromium } from '../lib/chromium.mjs';
import { until } from '../lib/wait.mjs';

const skip = (browser) => browser !== Chromium && 'no speculation rules';

const speculate = ([kind, url]) => {
  const rules = { [kind]: [{ source: 'list', urls: [url], eagerness: 'immediate' }] };
  document.head.append(Object.assign(document.createElement('script'), {
    type: 'speculationrules', textContent: JSON.stringify(rules),
  }));
};

/** Lets the page speculate about another and waits for that request. */
async function speculated(c, tab, kind, page, url) {
  await tab.run(speculate, [kind, url]);
  const request = await until(`the ${kind} of ${page}`, async () => (await c.traffic(page)).find((r) => r.purpose));
  assert.deepEqual(ours(request), [], `the ${kind} set cookies`);
  return request;
}

export const speculations = [
  {
    name: 'prefetch of a known visitor: not counted, the same ID',
    skip,
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      await speculated(c, tab, 'prefetch', 'ahead', c.url('ahead'));
      assert.deepEqual(c.calls('ahead'), []);
      await tab.follow(c.url('ahead'));
      assert.equal((await c.tagCall('ahead')).anonymousId, id);
      await tab.go(c.url('last'));
      assert.equal(await c.oneID('last'), id);
      assert.deepEqual(await c.events('ahead'), [], 'the server counted the prefetch');
      assert.equal((await c.traffic('ahead')).length, 1, 'the prefetch was not used');
    },
  },
  {
    name: 'prefetch from another site of a new visitor: mints nothing, then one ID',
    skip,
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('links', ELSEWHERE));
      const request = await speculated(c, tab, 'prefetch', 'ahead', c.url('ahead'));
      assert.equal(request.cookies, '');
      assert.deepEqual((await visitor.cookies()).map((k) => k.name), []);
      await tab.follow(c.url('ahead'));
      const { anonymousId } = await c.tagCall('ahead');
      await tab.go(c.url('last'));
      assert.equal(await c.oneID('last'), anonymousId);
      assert.deepEqual(await c.events('ahead'), [], 'the server counted the prefetch');
    },
  },
  {
    name: 'prerender of a known visitor: not counted, the same ID',
    skip,
    async run(c) {
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('first'));
      const id = await c.oneID('first');
      const request = await speculated(c, tab, 'prerender', 'ahead', c.url('ahead'));
      assert.match(request.purpose, /prerender/);
      await tab.follow(c.url('ahead'));
      assert.equal((await c.tagCall('ahead')).anonymousId, id);
      await tab.go(c.url('last'));
      assert.equal(await c.oneID('last'), id);
      assert.deepEqual(await c.events('ahead'), [], 'the server counted the prerender');
      assert.equal((await c.traffic('ahead')).length, 1, 'the prerendered page was not used');
    },
  },
];
