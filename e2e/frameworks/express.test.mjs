import { start } from '../lib/process.mjs';
import { fragments } from './lib/fragments.mjs';
import { suite } from './lib/suite.mjs';

const send = '#send';

const express = {
  page: 'express.md',
  dir: new URL('apps/express', import.meta.url).pathname,
  places: ({ port }) => ({ 'localhost:3000': `localhost:${port}` }),
  start: async ({ dir, port }) => [start('node', ['app.js'], { cwd: dir, env: { PORT: String(port) } })],
  ready: '/',
  home: '/',
  homeName: 'Home',
  other: '/products/teapot',
  public: '/prices',
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
express.admin = {
  person: { email: 'grace@example.com', name: 'Grace Hopper', password: 'cobol-1959' },
  signIn: express.forms.signIn,
  pages: ['/admin'],
  logOut: { press: '#log-out' },
};

suite({ ...express, title: 'Express 5' }, [fragments('js', 'app.js')]);
suite({ ...express, title: 'Express 4', modules: { express: 'express-4' } });
