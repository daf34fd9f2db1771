import assert from 'node:assert/strict';
import { start } from '../lib/process.mjs';
import { until } from '../lib/wait.mjs';
import { aged } from './lib/stack.mjs';
import { suite } from './lib/suite.mjs';

const app = (name) => new URL(`apps/${name}`, import.meta.url).pathname;

const site = {
  page: 'single-page.md',
  choices: { '<your path>': 'x7' },
  start: ({ dir }) => aged(dir),
  ready: '/',
  home: '/',
};

const views = (events) => events.filter((e) => e.type === 'page').map((e) => [e.page.path, e.page.title]);

suite({ ...site, title: 'single-page app', dir: app('single-page'), other: '/contact' }, [
  {
    name: 'the router\'s pages are counted, once each, under the ID of the first',
    async run(_, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/');
      await visitor.page.click('#to-pricing');
      const event = await visitor.pageEvent('/pricing');
      assert.equal(event.anonymousId, id);
      assert.equal(event.page.referrer, `${c.stack.home}/`);
      await visitor.page.goBack();
      await visitor.event('the page event of the way back', (e) => e.page?.path === '/' && e.page.title);
      assert.deepEqual(views(await visitor.all('/contact')),
        [['/', undefined], ['/pricing', 'Pricing'], ['/', 'Tea'], ['/contact', undefined]]);
    },
  },
  {
    name: 'a track of the browser is the visitor\'s',
    async run(_, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/');
      await visitor.page.click('#call');
      const event = await visitor.track('Call Requested');
      assert.deepEqual([event.anonymousId, event.properties], [id, { hours: 'morning' }]);
    },
  },
]);

/** The Caddyfile with the page's lines for an API in place of those for files alone. */
function withApi(caddyfile, { fragments }) {
  const { block } = fragments.find((f) => f.block.startsWith('handle /api/'));
  const files = '\troot site\n\ttry_files {path} /index.html\n\tfile_server\n';
  assert.ok(caddyfile.includes(files));
  return caddyfile.replace(files, () => block.replace(/^/gm, '\t'));
}

const API = `require('node:http').createServer((req, res) => {
  res.setHeader('Intilery-User-Id', '42');
  res.end(req.url);
}).listen(process.env.PORT)`;

suite({
  ...site,
  title: 'single-page app with an API',
  dir: app('single-page'),
  solo: true,
  edit: withApi,
  places: ({ port }) => ({ 'localhost:3000': `localhost:${port}` }),
  start: async ({ dir, port }) => {
    await aged(dir);
    return [start('node', ['-e', API], { env: { PORT: String(port) } })];
  },
  ready: '/api/',
}, [
  {
    name: 'the API\'s answers identify, and all other paths are pages',
    async run(_, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/pricing');
      await visitor.pageEvent('/pricing');
      assert.equal(await visitor.page.evaluate(async () => (await fetch('/api/me')).text()), '/api/me');
      const { anonymousId, userId } = await visitor.identify();
      assert.deepEqual([anonymousId, userId], [id, '42']);
    },
  },
]);

suite({ ...site, title: 'single-page app with the tag', caddyfile: 'Caddyfile.tag', dir: app('tagged'), solo: true }, [
  {
    name: 'the tag and the server count each page once, the tag\'s with its title',
    async run(_, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/');
      await visitor.pageEvent('/', (e) => e.page.title === 'Tea');
      await visitor.page.click('#to-pricing');
      const event = await visitor.pageEvent('/pricing', (e) => e.page.title === 'Pricing');
      assert.equal(event.anonymousId, id);
      await until('the server to have given up its page event', async () => (
        (await c.stack.metric('pages_withheld_total')).some((line) => !line.endsWith(' 0'))));
      assert.deepEqual(views(await visitor.events()), [['/', 'Tea'], ['/pricing', 'Pricing']]);
    },
  },
]);

suite({ ...site, title: 'fetched pages', caddyfile: 'Caddyfile.fetched', dir: app('fetched'), solo: true }, [
  {
    name: 'a fetched page that names itself is counted, a fragment is not',
    async run(_, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/');
      await visitor.page.click('#to-pricing');
      await visitor.page.waitForSelector('#basket');
      await visitor.page.click('#to-home');
      await visitor.page.waitForSelector('#to-pricing');
      const pages = (await visitor.all('/pricing.html')).map((e) => [e.page.path, e.name, e.anonymousId]);
      assert.deepEqual(pages, [['/', 'Home', id], ['/pricing.html', 'Pricing', id], ['/', 'Home', id], ['/pricing.html', 'Pricing', id]]);
    },
  },
]);
