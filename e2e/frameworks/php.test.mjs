import assert from 'node:assert/strict';
import { fragments, ownSite } from './lib/fragments.mjs';
import { SOCKET, php, socketOf, startFPM } from './lib/php.mjs';
import { suite } from './lib/suite.mjs';

const send = '#send';
const signIn = { at: '/sign-in.php', fill: { '[name=email]': 'email', '[name=password]': 'password' }, press: send };

const app = {
  title: 'Plain PHP 8.2',
  page: 'php.md',
  dir: new URL('apps/php', import.meta.url).pathname,
  places: ({ dir }) => ({ '/srv/shop/public': `${dir}/public`, [SOCKET]: socketOf(dir) }),
  async start({ dir }) {
    await php(dir, 'install.php');
    return [await startFPM(dir)];
  },
  ready: '/',
  home: '/',
  homeName: 'Home',
  other: '/product.php',
  public: '/prices.php',
  person: (n) => ({ email: `ada${n}@example.com`, name: `Ada Ƀyron ${n}`, password: `engine-${n}` }),
  nameless: { name: '' },
  changed: { name: 'Ada King 🫖' },
  traits: ({ email, name }) => ({ email, ...name && { name } }),
  over: true,
  forms: {
    signUp: { at: '/sign-up.php', fill: { '[name=email]': 'email', '[name=name]': 'name', '[name=password]': 'password' }, press: send },
    signIn,
    profile: { at: '/profile.php', fill: { '[name=name]': 'name' }, press: send },
    logOut: { press: '#log-out' },
    guestLogOut: { press: '#log-out' },
    order: { press: '#order' },
    ajax: { press: '#newsletter button', shows: '#subscribed' },
  },
  tracks: {
    signUp: ['Signed Up'], signIn: ['Signed In'], logOut: ['Signed Out'],
    order: ['Order Completed', 'Coupon Used'], ajax: ['Newsletter Subscribed'],
  },
  admin: {
    person: { email: 'grace@example.com', name: 'Grace Hopper', password: 'cobol-1959' },
    signIn, pages: ['/admin/'], logOut: { press: '#log-out' },
  },
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
