import assert from 'node:assert/strict';
import { fragments, ownSite } from './lib/fragments.mjs';
import { SOCKET, php, socketOf, startFPM } from './lib/php.mjs';
import { shop } from './lib/shop.mjs';
import { suite } from './lib/suite.mjs';

const common = shop({ suffix: '.php' });

const app = {
  ...common,
  title: 'Plain PHP 8.2',
  page: 'php.md',
  dir: new URL('apps/php', import.meta.url).pathname,
  places: ({ dir }) => ({ '/srv/shop/public': `${dir}/public`, [SOCKET]: socketOf(dir) }),
  async start({ dir }) {
    await php(dir, 'install.php');
    return [await startFPM(dir)];
  },
  other: '/product.php',
  tracks: { ...common.tracks, signIn: ['Signed In'] },
  admin: { ...common.admin, pages: ['/admin/'] },
};

suite(app, [
  ownSite,
  fragments('php', 'shop.php', ...['index', 'sign-up', 'log-out', 'order', 'newsletter'].map((name) => `public/${name}.php`)),
  {
    name: 'what is called after the page has begun does nothing, and the page is whole',
    async run(_, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/late.php');
      assert.equal(await visitor.page.textContent('#end'), 'The end of the page');
      assert.ok(!c.stack.output().includes('headers already sent'));
      const events = await visitor.all('/');
      assert.equal(await visitor.id(), id);
      assert.ok(!events.some((e) => e.type === 'track'));
    },
  },
]);
