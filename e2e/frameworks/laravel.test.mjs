import assert from 'node:assert/strict';
import { start } from '../lib/process.mjs';
import { fragments, ownSite } from './lib/fragments.mjs';
import { php } from './lib/php.mjs';
import { shop } from './lib/shop.mjs';
import { suite } from './lib/suite.mjs';

const app = {
  ...shop(),
  title: 'Laravel 8.83',
  page: 'laravel.md',
  dir: new URL('apps/laravel', import.meta.url).pathname,
  places: ({ port }) => ({ 'localhost:8000': `localhost:${port}` }),
  async start({ dir, port }) {
    await php(dir, 'install.php');
    return [start('php', ['artisan', 'serve', '--host=localhost', `--port=${port}`], { cwd: dir })];
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
