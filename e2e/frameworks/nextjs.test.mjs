import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { start } from '../lib/process.mjs';
import { fragments } from './lib/fragments.mjs';
import { suite } from './lib/suite.mjs';

const run = promisify(execFile);
const NEXT = 'node_modules/next/dist/bin/next';
const send = '#send';

const nextjs = {
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
  ready: '/',
  home: '/',
  homeName: 'Home',
  other: '/products/teapot',
  public: '/about',
  person: (n) => ({ email: `ada${n}@example.com`, name: `Ada Ƀyron ${n}`, password: `engine-${n}` }),
  nameless: { name: '' },
  changed: { name: 'Ada King 🫖' },
  traits: ({ email, name }) => ({ email, ...(name && { name }) }),
  over: true,
  forms: {
    signUp: { at: '/sign-up', fill: { '[name=email]': 'email', '[name=name]': 'name', '[name=password]': 'password' }, press: send },
    signIn: { at: '/sign-in', fill: { '[name=email]': 'email', '[name=password]': 'password' }, press: send },
    profile: { at: '/profile', fill: { '[name=name]': 'name' }, press: send },
    logOut: { press: '#log-out' },
    guestLogOut: { press: '#log-out' },
    order: { press: '#order' },
    ajax: { press: '#newsletter button', shows: '#subscribed' },
  },
  tracks: {
    signUp: ['Signed Up'],
    logOut: ['Signed Out'],
    order: ['Order Completed', 'Coupon Used'],
    ajax: ['Newsletter Subscribed'],
  },
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
