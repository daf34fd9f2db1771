import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { start } from '../lib/process.mjs';
import { fragments, ownSite } from './lib/fragments.mjs';
import { shop } from './lib/shop.mjs';
import { suite } from './lib/suite.mjs';

const run = promisify(execFile);

const rails = {
  ...shop({ field: (name) => `[name="user[${name}]"]` }),
  page: 'rails.md',
  dir: new URL('apps/rails', import.meta.url).pathname,
  places: ({ port }) => ({ 'localhost:3000': `localhost:${port}` }),
};

const starts = (AUTH) => async ({ dir, port }) => {
  const env = { AUTH, RAILS_ENV: 'production' };
  await run('ruby', ['db/install.rb'], { cwd: dir, env: { ...process.env, ...env } });
  return [start('puma', ['-b', `tcp://127.0.0.1:${port}`, 'config.ru'], { cwd: dir, env })];
};

const stream = {
  name: 'a stream to a signed-in user is whole',
  async run(app, c) {
    const visitor = await c.visitor();
    await visitor.open(app.home);
    await visitor.submit(app.forms.signUp, c.person());
    const { userId } = await visitor.identify();
    await visitor.open('/stream');
    assert.equal(await visitor.page.textContent('#end'), 'The end of the stream');
    assert.ok(!/header already sent|IllegalStateError|FrozenError/.test(c.stack.output()), c.stack.output());
    const events = await visitor.all(app.home);
    assert.equal(events.filter((e) => e.type === 'identify').length, 1);
    assert.equal(events.at(-1).userId, userId);
  },
};

const shown = [
  'auth/devise/controllers/application_controller.rb', 'config/routes.rb', 'app/controllers/shop_controller.rb',
  ...['application', 'sessions', 'users'].map((name) => `auth/generated/controllers/${name}_controller.rb`), 'auth/generated/models/user.rb',
];

suite({ ...rails, title: 'Rails 6.1 with authentication as Rails 8 generates it', start: starts('generated') },
  [fragments('ruby', ...shown), ownSite, stream]);
// Devise refuses to sign in over somebody else.
suite({ ...rails, title: 'Rails 6.1 with Devise', start: starts('devise'), over: false }, [stream]);
