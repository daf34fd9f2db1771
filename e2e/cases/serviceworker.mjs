// Sites with a service worker, through which every navigation passes.
import assert from 'node:assert/strict';
import { ours } from '../lib/case.mjs';
import { agree, assertNothing } from './consent.mjs';

/** Registers the worker and waits until it has the page. */
const register = async (script) => {
  const container = navigator.serviceWorker;
  await container.register(script);
  if (container.controller) return;
  await new Promise((resolve) => { container.addEventListener('controllerchange', resolve, { once: true }); });
};

const workers = { 'as they are': '/worker.js', 'with an init object': '/worker.js?init' };

export const serviceWorkers = Object.entries(workers).map(([how, script]) => ({
  name: `a service worker that forwards navigations ${how}: counted, one ID, expired on withdrawal`,
  async run(c) {
    c.host = 'shop.consent.test';
    const visitor = await c.visitor();
    const [tab] = await visitor.open(c.url('before', { tag: 'plain' }));
    await tab.run(register, script);
    await tab.run(agree, 'yes');
    const pages = ['first', 'second', 'third'];
    await tab.go(c.url('first'));
    const id = await c.oneID('first');
    for (const page of pages.slice(1)) {
      await tab.follow(c.url(page));
      assert.equal(await c.oneID(page), id);
    }
    for (const page of pages) {
      assert.equal((await c.request(page)).dest, 'empty', `${page} did not pass the worker`);
    }

    await tab.run(agree, 'no');
    await tab.go(c.url('withdrawn', { tag: 'plain' }));
    const set = ours(await c.request('withdrawn'));
    assert.ok(set.length > 0 && set.every((line) => line.includes('Max-Age=0')), `withdrawal set ${set}`);
    await tab.go(c.url('after', { tag: 'plain' }));
    await assertNothing(c, visitor, 'after');
    assert.deepEqual((await c.events()).map((e) => e.path.split('/')[3]), pages);
  },
}));
