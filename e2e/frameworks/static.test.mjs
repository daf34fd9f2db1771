import assert from 'node:assert/strict';
import { aged } from './lib/stack.mjs';
import { suite } from './lib/suite.mjs';

suite({
  title: 'static site',
  page: 'static.md',
  dir: new URL('apps/static', import.meta.url).pathname,
  start: ({ dir }) => aged(dir),
  ready: '/',
  home: '/',
  other: '/contact.html',
}, [
  {
    name: 'each view of a page is counted, though the browser has it already, with the name that Caddy gives it',
    async run(app, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/');
      for (const link of ['#to-pricing', '#to-home', '#to-pricing']) {
        await Promise.all([visitor.page.waitForEvent('load'), visitor.page.click(link)]);
      }
      const pages = (await visitor.all('/contact.html')).map((e) => [e.page.path, e.name, e.anonymousId]);
      assert.deepEqual(pages, [
        ['/', undefined, id], ['/pricing.html', 'Pricing', id], ['/', undefined, id],
        ['/pricing.html', 'Pricing', id], ['/contact.html', undefined, id],
      ]);
    },
  },
]);
