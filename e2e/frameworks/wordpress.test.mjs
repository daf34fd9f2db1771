import assert from 'node:assert/strict';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { fragments, ownSite } from './lib/fragments.mjs';
import { startMariaDB } from './lib/mariadb.mjs';
import { SOCKET, php, socketOf, startFPM } from './lib/php.mjs';
import { suite } from './lib/suite.mjs';

const CORE = '/usr/share/wordpress';

/** A copy of Debian's WordPress, whose wp-content is the folder that has the recipe's plugin. */
async function unpack(dir) {
  await cp(CORE, `${dir}/wordpress`, {
    recursive: true, dereference: true, filter: (path) => ![`${CORE}/wp-content`, `${CORE}/wp-config.php`].includes(path),
  });
  await cp(`${CORE}/wp-content/themes/twentytwentythree`, `${dir}/wp-content/themes/twentytwentythree`, { recursive: true });
  await mkdir(`${dir}/wp-content/plugins`);
  await symlink(`${dir}/wp-content`, `${dir}/wordpress/wp-content`);
  const [site] = (await readFile(`${dir}/Caddyfile`, 'utf8')).match(/(?<=^http:\/\/)localhost:\d+/m);
  const config = await readFile(`${dir}/wp-config.php`, 'utf8');
  await writeFile(`${dir}/wordpress/wp-config.php`, config.replaceAll('localhost:8080', site));
}

const signIn = {
  at: '/wp-login.php?redirect_to=%2Fabout%2F',
  fill: { '#user_login': 'login', '#user_pass': 'password' },
  press: '#wp-submit',
};

const app = {
  title: 'WordPress 6.1',
  page: 'wordpress.md',
  dir: new URL('apps/wordpress', import.meta.url).pathname,
  places: ({ dir }) => ({ '/srv/wordpress': `${dir}/wordpress`, [SOCKET]: socketOf(dir) }),
  async start({ dir }) {
    await unpack(dir);
    const mariadb = await startMariaDB(dir, 'wordpress');
    await php(dir, 'install.php');
    return [mariadb, await startFPM(dir)];
  },
  ready: '/',
  home: '/',
  homeName: 'Home',
  other: '/about/',
  person: (n) => ({
    login: `tea${n}`, email: `tea${n}@example.com`, password: `a long password ${n}`, first: 'Zoë', last: `Müller-${n}`,
  }),
  changed: { first: 'Grace', last: 'Hopper' },
  nameless: { first: '', last: '' },
  traits({ login, email, first, last }) {
    return { email, name: login, ...first && { firstName: first }, ...last && { lastName: last } };
  },
  forms: {
    signUp: {
      at: '/',
      fill: {
        '#sign-up [name=login]': 'login', '#sign-up [name=email]': 'email', '#sign-up [name=password]': 'password',
        '#sign-up [name=first]': 'first', '#sign-up [name=last]': 'last',
      },
      press: '#sign-up button',
    },
    signIn,
    profile: { at: '/wp-admin/profile.php', fill: { '#first_name': 'first', '#last_name': 'last' }, press: '#submit' },
    logOut: { press: '#log-out' },
    guestLogOut: { at: '/wp-login.php?action=logout', press: 'a[href*="action=logout"]' },
    order: { press: '#order button' },
    ajax: { press: '#newsletter button', shows: '#newsletter output' },
  },
  over: true,
  tracks: {
    signUp: ['Signed Up'], signIn: ['Signed In'], logOut: ['Signed Out'],
    order: ['Order Completed', 'Coupon Used'], ajax: ['Newsletter Joined'],
  },
  admin: {
    person: { login: 'admin', email: 'admin@example.com', password: 'admin-password' },
    signIn: { ...signIn, at: '/wp-login.php' },
    pages: ['/wp-admin/', '/wp-admin/users.php'],
    logOut: { hover: '#wp-admin-bar-my-account', press: '#wp-admin-bar-logout a' },
  },
};

suite(app, [
  fragments('php', 'wp-config.php', 'wp-content/mu-plugins/shop.php'), ownSite,
  {
    name: 'a registration by WordPress\' own form, with a password from the mail, is one user',
    async run(app, c) {
      const visitor = await c.visitor();
      const id = await visitor.open(app.home);
      const person = c.person();
      await visitor.submit({
        at: '/wp-login.php?action=register', fill: { '#user_login': 'login', '#user_email': 'email' }, press: '#wp-submit',
      }, person);
      const identify = await visitor.identify();
      assert.equal(identify.anonymousId, id);
      assert.deepEqual(identify.traits, { email: person.email, name: person.login });
      await visitor.track('Signed Up');
      const mail = await readFile(`${c.stack.dir}/mail.txt`, 'utf8');
      const [link] = mail.match(new RegExp(`http://\\S+action=rp\\S+login=${person.login}\\b`)) ?? [];
      assert.ok(link, `a link in the mail: ${mail}`);
      await visitor.open(link.slice(c.stack.home.length));
      await visitor.submit({ fill: { '#pass1': 'password' }, press: '#wp-submit' }, person);
      await visitor.submit(signIn, person);
      const events = await visitor.all(app.home);
      assert.equal(events.filter((e) => e.type === 'identify').length, 1, 'one identify');
      const [, key] = link.match(/[?&]key=(\w+)/);
      assert.ok(!JSON.stringify(events).includes(key), 'the secret of the link is in no event');
      await c.profile(identify.userId, { anonymousIds: [id] });
    },
  },
  {
    name: 'a guest\'s comment is the visitor\'s',
    async run(app, c) {
      const visitor = await c.visitor();
      const id = await visitor.open('/hello-world/');
      const person = c.person();
      await visitor.submit({
        fill: { '#comment': 'password', '#author': 'login', '#email': 'email' }, press: '#commentform [type=submit]',
      }, person);
      const event = await visitor.track('Comment Posted');
      assert.deepEqual([event.anonymousId, event.userId, event.properties.approved], [id, undefined, true]);
      assert.deepEqual((await visitor.all(app.home)).filter((e) => e.type === 'identify'), [], 'a commenter is not signed in');
    },
  },
  {
    name: 'a page\'s name is its title, and a page without a title has none',
    async run(app, c) {
      const visitor = await c.visitor();
      await visitor.open('/about/');
      assert.equal((await visitor.pageEvent('/about/')).name, 'Café "Zoë" & tea');
      await visitor.open('/untitled/');
      const { name } = await visitor.pageEvent('/untitled/');
      assert.ok(!name, `no name, not ${name}`);
    },
  },
  {
    name: 'who an administrator adds is not the administrator',
    async run(app, c) {
      const visitor = await c.visitor();
      const { person, signIn: enter } = app.admin;
      await visitor.open(app.home);
      await visitor.submit(enter, person);
      const { userId } = await visitor.identify();
      const added = c.person();
      await visitor.submit({
        at: '/wp-admin/user-new.php', fill: { '#user_login': 'login', '#email': 'email' }, press: '#createusersub',
      }, added);
      const events = await visitor.all(app.home);
      assert.deepEqual(new Set(events.filter((e) => e.userId).map((e) => e.userId)), new Set([userId]));
      assert.ok(!events.some((e) => e.name === 'Signed Up'));
    },
  },
]);
