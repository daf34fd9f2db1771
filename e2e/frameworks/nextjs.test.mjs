import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { start } from '../lib/process.mjs';
import { fragments } from './lib/fragments.mjs';
import { shop } from './lib/shop.mjs';
import { suite } from './lib/suite.mjs';

const run = promisify(execFile);
const NEXT = 'node_modules/next/dist/bin/next';

const nextjs = {
  ...shop(),
  title: 'Next.js 16',
  page: 'nextjs.md',
  dir: new URL('apps/nextjs', import.meta.url).pathname,
  places: ({ port, more }) => ({ 'localhost:3000': `localhost:${port}`, 'localhost:8090': `localhost:${more}` }),
  choices: { '<your path>': 'x7' },
  async start({ dir, port, more }) {
    const env = { NEXT_TELEMETRY_DISABLED: '1', INTILERY_RELAY: `http://localhost:${more}/track/demo/demo/DEMO` };
    await run('node', [NEXT, 'build'], { cwd: dir, env: { ...process.env, ...env } });
    return [start('node', [NEXT, 'start', '--port', String(port)], { cwd: dir, env })];
  },
  public: '/about',
  admin: undefined,
};

suite(nextjs, [
  {
    name: 'a visit that begins on a prerendered page has an ID that stays',
    async run(app, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/about');
      assert.ok(id);
      assert.equal((await visitor.pageEvent('/about')).name, 'About us');
      assert.equal(await visitor.open('/'), id);
    },
  },
  {
    name: 'what the router shows is counted once, under the same ID',
    async run(app, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/');
      await visitor.page.click('#to-teapot');
      await visitor.page.waitForSelector('text=teapot');
      const event = await visitor.pageEvent('/products/teapot');
      assert.equal(event.anonymousId, id);
      assert.equal(event.page.referrer, `${c.stack.home}/`);
      await visitor.page.click('#to-home');
      await visitor.event('the page event of the way back', (e) => e.page?.path === '/' && e.page.title);
      const paths = (await visitor.all('/about')).map((e) => e.page.path);
      assert.deepEqual(paths, ['/', '/products/teapot', '/', '/about']);
    },
  },
  {
    name: 'a Server Action tracks',
    async run(app, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/');
      await visitor.page.click('#brochure');
      const event = await visitor.track('Brochure Requested');
      assert.deepEqual([event.anonymousId, event.properties], [id, { season: 'autumn' }]);
    },
  },
  fragments('js', 'proxy.js', 'app/order/route.js', 'app/actions.js'),
]);
