import assert from 'node:assert/strict';
import { start } from '../lib/process.mjs';
import { fragments, ownSite } from './lib/fragments.mjs';
import { php } from './lib/php.mjs';
import { suite } from './lib/suite.mjs';

const send = '#send';
const signIn = { at: '/sign-in', fill: { '[name=email]': 'email', '[name=password]': 'password' }, press: send };

const app = {
  title: 'Laravel 8.83',
  page: 'laravel.md',
  dir: new URL('apps/laravel', import.meta.url).pathname,
  places: ({ port }) => ({ 'localhost:8000': `localhost:${port}` }),
  async start({ dir, port }) {
    await php(dir, 'install.php');
    return [start('php', ['artisan', 'serve', '--host=localhost', `--port=${port}`], { cwd: dir })];
  },
  ready: '/',
  home: '/',
  homeName: 'Home',
  other: '/products/teapot',
  public: '/prices',
  person: (n) => ({ email: `ada${n}@example.com`, name: `Ada Ƀyron ${n}`, password: `engine-${n}` }),
  nameless: { name: '' },
  changed: { name: 'Ada King 🫖' },
  traits: ({ email, name }) => ({ email, ...name && { name } }),
  over: true,
  forms: {
    signUp: { at: '/sign-up', fill: { '[name=email]': 'email', '[name=name]': 'name', '[name=password]': 'password' }, press: send },
    signIn,
    profile: { at: '/profile', fill: { '[name=name]': 'name' }, press: send },
    logOut: { press: '#log-out' },
    guestLogOut: { press: '#log-out' },
    order: { press: '#order' },
    ajax: { press: '#newsletter button', shows: '#subscribed' },
  },
  tracks: {
    signUp: ['Signed Up'], logOut: ['Signed Out'], order: ['Order Completed', 'Coupon Used'], ajax: ['Newsletter Subscribed'],
  },
  admin: {
    person: { email: 'grace@example.com', name: 'Grace Hopper', password: 'cobol-1959' },
    signIn, pages: ['/admin'], logOut: { press: '#log-out' },
  },
};

suite(app, [
  fragments('php', 'app/Providers/AppServiceProvider.php', 'app/Http/Controllers/ShopController.php'), ownSite,
  {
    name: 'an error of the app is served as it is, to the same user',
    async run(_, c) {
      const visitor = await c.visitor();
      await visitor.open(app.home);
      await visitor.submit(app.forms.signUp, c.person());
      const { userId } = await visitor.identify();
      const answer = await visitor.page.goto(`${c.stack.home}/fail`);
      assert.equal(answer.status(), 500);
      const events = await visitor.all(app.home);
      assert.equal(events.filter((e) => e.type === 'identify').length, 1);
      assert.equal(events.at(-1).userId, userId);
    },
  },
]);
