import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { start } from '../lib/process.mjs';
import { fragments } from './lib/fragments.mjs';
import { suite } from './lib/suite.mjs';

// Debian's, which has Debian's Django; another Python may come first on the PATH.
const PYTHON = '/usr/bin/python3';

const send = '#send';
const admin = { username: 'grace', email: 'grace@example.com', firstName: 'Grace', lastName: 'Hopper', password: 'cobol-1959' };

function prepare(dir) {
  const manage = (args, env) => execFileSync(PYTHON, ['manage.py', ...args], { cwd: dir, env: { ...process.env, ...env }, stdio: 'pipe' });
  manage(['migrate']);
  manage(['shell', '-c', `from django.contrib.auth.models import User; User.objects.create_superuser(
    "${admin.username}", "${admin.email}", "${admin.password}", first_name="${admin.firstName}", last_name="${admin.lastName}")`]);
}

const django = {
  page: 'django.md',
  dir: new URL('apps/django', import.meta.url).pathname,
  places: ({ port }) => ({ 'localhost:8000': `localhost:${port}` }),
  ready: '/',
  home: '/',
  homeName: 'Home',
  other: '/products/teapot',
  public: '/prices',
  person: (n) => ({ username: `ada${n}`, email: `ada${n}@example.com`, firstName: 'Ada', lastName: `Ƀyron ${n}`, password: `engine-${n}` }),
  nameless: { firstName: '', lastName: '' },
  changed: { lastName: 'King 🫖' },
  traits: ({ email, firstName, lastName }) => ({ email, ...(firstName && { name: `${firstName} ${lastName}` }) }),
  over: true,
  forms: {
    signUp: {
      at: '/sign-up',
      fill: {
        '[name=username]': 'username', '[name=email]': 'email', '[name=first_name]': 'firstName', '[name=last_name]': 'lastName',
        '[name=password1]': 'password', '[name=password2]': 'password',
      },
      press: send,
    },
    signIn: { at: '/sign-in', fill: { '[name=username]': 'username', '[name=password]': 'password' }, press: send },
    profile: { at: '/profile', fill: { '[name=first_name]': 'firstName', '[name=last_name]': 'lastName' }, press: send },
    logOut: { press: '#log-out' },
    guestLogOut: { press: '#log-out' },
    order: { press: '#order' },
    ajax: { press: '#newsletter button', shows: '#subscribed' },
  },
  tracks: {
    signUp: ['Signed Up'],
    order: ['Order Completed', 'Coupon Used'],
    ajax: ['Newsletter Subscribed'],
  },
  admin: {
    person: admin,
    signIn: { at: '/admin/login/?next=/admin/', fill: { '[name=username]': 'username', '[name=password]': 'password' }, press: '[type=submit]' },
    pages: ['/admin/', '/admin/auth/user/'],
    logOut: { press: '#user-tools a[href="/admin/logout/"]' },
  },
};

const unvaried = {
  name: 'a page that caches may share is the same for all sessions',
  async run(app, { stack }) {
    const { headers } = await fetch(stack.home + app.public);
    assert.doesNotMatch(headers.get('Vary') ?? '', /cookie/i);
  },
};

const version = execFileSync(PYTHON, ['-m', 'django', '--version']).toString().trim();

suite({
  ...django,
  title: `Django ${version}, WSGI`,
  async start({ dir, port }) {
    prepare(dir);
    return [start('/usr/bin/gunicorn', ['--bind', `127.0.0.1:${port}`, 'shop.wsgi'], { cwd: dir })];
  },
}, [fragments('python', 'shop/views.py'), unvaried]);

suite({
  ...django,
  title: `Django ${version}, ASGI`,
  async start({ dir, port }) {
    prepare(dir);
    return [start('/usr/bin/uvicorn', ['--port', String(port), 'shop.asgi:application'], { cwd: dir })];
  },
});
