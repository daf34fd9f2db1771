import { start } from '../lib/process.mjs';
import { fragments } from './lib/fragments.mjs';
import { shop } from './lib/shop.mjs';
import { suite } from './lib/suite.mjs';

const express = {
  ...shop(),
  page: 'express.md',
  dir: new URL('apps/express', import.meta.url).pathname,
  places: ({ port }) => ({ 'localhost:3000': `localhost:${port}` }),
  start: async ({ dir, port }) => [start('node', ['app.js'], { cwd: dir, env: { PORT: String(port) } })],
};

suite({ ...express, title: 'Express 5' }, [fragments('js', 'app.js')]);
suite({ ...express, title: 'Express 4', modules: { express: 'express-4' } });
