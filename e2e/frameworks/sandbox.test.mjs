import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { start } from '../lib/process.mjs';
import { suite } from './lib/suite.mjs';
import { binary } from './lib/stack.mjs';

const own = {
  page: 'sandbox.md',
  dir: new URL('apps/plain', import.meta.url).pathname,
  places: ({ port }) => ({ 'localhost:3000': `localhost:${port}` }),
  start: async ({ dir, port }) => [start('node', ['app.mjs'], { cwd: dir, env: { PORT: String(port) } })],
  ready: '/',
  home: '/',
  solo: true,
};

/** What doctor says of a site, and its exit code. */
const doctor = (url) => new Promise((resolve) => {
  execFile(binary, ['intilery', 'doctor', url], (err, stdout, stderr) => resolve({ code: err?.code ?? 0, said: stdout + stderr }));
});

suite({ ...own, title: 'an app of one\'s own' }, [
  {
    name: 'from the first page to the first identify, and out again',
    async run(app, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/?utm_source=newsletter&utm_campaign=autumn');
      assert.deepEqual((await visitor.pageEvent('/')).campaign, { source: 'newsletter', name: 'autumn' });
      await visitor.submit({ press: 'button' });
      const { anonymousId, userId, traits } = await visitor.identify();
      assert.deepEqual([anonymousId, userId, traits], [id, 'ada', { email: 'ada@example.com' }]);
      await visitor.submit({ press: 'button' });
      assert.notEqual(await visitor.open('/'), id);
    },
  },
  {
    name: 'doctor finds nothing wrong with the site on localhost',
    async run(app, c) {
      const { code, said } = await doctor(`${c.stack.home}/`);
      assert.equal(code, 0, said);
    },
  },
]);

suite({ ...own, title: 'sites below localhost', caddyfile: 'Caddyfile.names', ready: undefined }, [
  {
    name: 'have visitors of their own, and nothing that doctor would find wrong',
    async run(app, c) {
      const visitor = await c.visitor();
      const ids = new Set();
      for (const site of ['shop', 'blog']) {
        const home = c.stack.home.replace('//', `//${site}.`);
        await visitor.page.goto(`${home}/`);
        const [cookie] = await visitor.context.cookies(home);
        ids.add(cookie?.value);
        const { code, said } = await doctor(`${home}/`);
        assert.equal(code, 0, said);
      }
      assert.equal(ids.size, 2);
    },
  },
]);
