// Pages that browsers and shared caches may store, and pages from the disk.
import assert from 'node:assert/strict';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { html } from '../lib/app.mjs';
import { ours } from '../lib/case.mjs';
import { until } from '../lib/wait.mjs';
import { WebKit } from '../lib/webkit.mjs';

const SHARED = /public|s-maxage/;

/**
 * Puts a page onto the disk, where file_server finds it. It was last changed a
 * year ago, so that a browser that is told nothing else takes it for fresh.
 */
async function put(c, page, body) {
  const file = join(c.stack.dir, 'static', c.path(page));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, html({ tag: c.tag, id: c.id, page, remote: c.browser instanceof WebKit, body }));
  const lastYear = new Date(Date.now() - 365 * 86_400_000);
  await utimes(file, lastYear, lastYear);
}

const named = (header, request) => (request.headers[header] ?? []).join(', ');

export const cachings = [
  {
    name: 'pages that the site makes public beside the module: no cookies on them',
    async run(c) {
      c.host = 'shop.public.test';
      const visitor = await c.visitor();
      await visitor.open(c.url('first'));
      const request = await c.request('first');
      assert.match(named('Cache-Control', request), SHARED);
      assert.deepEqual(ours(request), []);
    },
  },
  {
    name: 'pages that the site makes public, with `cacheable private`: no longer public, one ID',
    async run(c) {
      c.host = 'shop.private.test';
      const visitor = await c.visitor();
      await visitor.open(c.url('first'));
      await c.oneID('first');
      const request = await c.request('first');
      assert.doesNotMatch(named('Cache-Control', request), SHARED);
      assert.equal(ours(request).length, 2);
    },
  },
  {
    name: 'a page of templates with three includes: one page event, one ID',
    async run(c) {
      c.host = 'shop.templates.test';
      await put(c, 'part.html', 'a part');
      await put(c, 'whole.html', `{{httpInclude "${c.path('part.html')}"}}`.repeat(3));
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url('whole.html'));
      const id = await c.oneID('whole.html');
      assert.equal(await tab.run(() => document.body.innerText.match(/a part/g).length), 3, 'the parts were included');
      assert.deepEqual(await c.events('part.html'), [], 'an include was counted as a page');
      await tab.follow(c.url('part.html'));
      assert.equal(await c.oneID('part.html'), id);
      const pages = (await c.events()).map((e) => [e.path.split('/')[3], e.anonymousId]);
      assert.deepEqual(pages, [['whole.html', id], ['part.html', id]]);
    },
  },
  {
    name: 'pages from the disk, seen seven times by links: seven page events',
    async run(c) {
      c.host = 'shop.static.test';
      const pages = ['one.html', 'two.html'];
      for (const page of pages) await put(c, page);
      const visitor = await c.visitor();
      const [tab] = await visitor.open(c.url(pages[0]));
      const id = await c.oneID(pages[0]);
      for (let view = 2; view <= 7; view++) {
        await tab.follow(c.url(pages[(view + 1) % 2]));
        await until(`the tag's call of view ${view}`, () => c.calls().length >= view);
      }
      await until('seven page events', async () => (await c.events()).length >= 7);
      const events = await c.events();
      assert.deepEqual(pages.map((page) => events.filter((e) => e.path === c.path(page)).length), [4, 3]);
      assert.deepEqual([...new Set(events.map((e) => e.anonymousId))], [id]);
    },
  },
];
