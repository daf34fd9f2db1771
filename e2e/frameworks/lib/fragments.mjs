import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { binary } from './stack.mjs';

// Stands in a fragment for lines of the reader's own.
const ELLIPSIS = /^\s*(?:#|\/\/) \.\.\.\n/m;

/** A case: the app has in these files, line for line, what the page says to write in them. */
export const fragments = (language, ...files) => ({
  name: `${files.join(', ')}: the lines of the page are there`,
  async run(app, { stack }) {
    const sources = await Promise.all(files.map((file) => readFile(join(stack.dir, file), 'utf8')));
    const shown = stack.recipe.fragments.filter((f) => f.language === language).flatMap((f) => f.block.split(ELLIPSIS));
    assert.ok(shown.length > 0, 'the page shows some');
    for (const lines of shown) {
      for (const part of lines.split(/\n{2,}/)) assert.ok(sources.some((s) => s.includes(part.trimEnd())), `no file has:\n${part}`);
    }
  },
});

/** A case: Caddy understands the page's Caddyfile for the reader's own site. */
export const ownSite = {
  name: 'the Caddyfile of your own site is understood',
  run(app, { stack }) {
    const whole = stack.recipe.fragments.filter((f) => f.language === 'caddyfile' && f.block.startsWith('{\n'));
    assert.ok(whole.length > 0, 'the page shows one');
    for (const { block } of whole) {
      execFileSync(binary, ['adapt', '--adapter', 'caddyfile', '--config', '-'], { input: block, stdio: ['pipe', 'ignore', 'pipe'] });
    }
  },
};
