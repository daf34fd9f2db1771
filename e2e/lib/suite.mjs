// Registers every case for one browser, with each of the tags.
import { after, before, describe, test } from 'node:test';
import { cachings } from '../cases/caching.mjs';
import { consents } from '../cases/consent.mjs';
import { crossSites } from '../cases/crosssite.mjs';
import { returns } from '../cases/return.mjs';
import { servedTags } from '../cases/servedtag.mjs';
import { serviceWorkers } from '../cases/serviceworker.mjs';
import { speculations } from '../cases/speculation.mjs';
import { visits } from '../cases/visit.mjs';
import { Case, ours } from './case.mjs';
import { startStack } from './stack.mjs';
import { steadily } from './steady.mjs';

const cases = [...visits, ...returns, ...speculations, ...consents, ...crossSites, ...serviceWorkers, ...cachings, ...servedTags];

async function once(t, run, c) {
  try {
    await run(c);
  } catch (err) {
    // Enough to see from the report alone what passed on the wire.
    for (const r of await c.traffic()) {
      t.diagnostic(JSON.stringify({ path: r.path, status: r.status, identity: r.identity, purpose: r.purpose, cookies: r.cookies, set: ours(r) }));
    }
    t.diagnostic(`server: ${JSON.stringify(await c.events())}`);
    t.diagnostic(`tag: ${JSON.stringify(c.calls())}`);
    throw err;
  } finally {
    await c.end();
  }
}

export function suite(Browser) {
  describe(`${Browser.title} ${Browser.version()}`, () => {
    let stack, browser;
    before(async () => {
      stack = await startStack();
      browser = new Browser(stack);
      await browser.start();
    });
    after(async () => {
      await browser?.stop();
      await stack?.stop();
    });
    for (const tag of ['classic', 'next']) {
      describe(tag, () => {
        for (const { name, run, skip } of cases) {
          test(name, { skip: skip?.(Browser, tag) || false, timeout: 90_000 },
            (t) => steadily(t, () => once(t, run, new Case({ stack, browser, tag }))));
        }
      });
    }
  });
}
