// The tag that the site serves, in Chromium: two lines on the page, no other host,
// each view once, and nothing lost to a page that is left at once.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { startStack } from './clients/stack.mjs';
import { UNSTEADY } from './lib/table.mjs';
import { until } from './lib/wait.mjs';

/** A case that is tried anew once, and told of if it passes then: a browser is not ours to steady. */
const steadily = (name, run) => test(name, { timeout: 120_000 }, async (t) => {
  try {
    await run();
  } catch (err) {
    t.diagnostic(`${UNSTEADY}: ${err.message}`);
    await run();
  }
});

describe('the tag from the site', () => {
  let stack, browser;
  before(async () => {
    stack = await startStack();
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  });
  after(async () => {
    await browser?.close();
    await stack?.stop();
  });

  for (const tag of ['next', 'classic']) {
    describe(tag, () => {
      /** A visitor's page, and what the server knows of the visitor. */
      const visit = async (prepare = () => {}) => {
        const context = await browser.newContext();
        const page = await context.newPage();
        const hosts = new Set();
        page.on('request', (r) => hosts.add(new URL(r.url()).origin));
        await prepare(page);
        const open = (path) => page.goto(stack.shops[tag] + path);
        const id = async () => {
          const cookie = (await context.cookies(stack.shops[tag])).find((c) => c.name === 'ajs_anonymous_id');
          return decodeURIComponent(cookie.value).replaceAll('"', '');
        };
        const ready = () => page.waitForFunction(() => window.analytics?.user?.()?.anonymousId || typeof window.analytics?.user === 'function' && !Array.isArray(window.analytics));
        const events = async (n) => {
          const visitor = await id();
          return until(`${n} events`, async () => {
            const got = await stack.of(visitor);
            return got.length >= n && got;
          }, { what: stack.output });
        };
        return { context, page, hosts, open, ready, events };
      };

      steadily('a visit: each once, in order, under the server\'s ID, from this host alone', async () => {
        const v = await visit();
        await v.open('/one');
        await v.ready();
        await v.page.evaluate(() => { window.analytics.identify('42'); window.analytics.track('Clicked'); });
        await v.events(3);
        // The page is left while the call is on its way.
        await v.page.evaluate(() => { window.analytics.track('Left'); window.location.href = '/two'; });
        await v.page.waitForURL('**/two');
        assert.deepEqual((await v.events(5)).toSorted(), ['identify:42', 'page:/one', 'page:/two', 'track:Clicked', 'track:Left']);
        assert.deepEqual([...v.hosts], [stack.shops[tag]]);
        const cookies = await v.context.cookies();
        for (const name of ['ajs_anonymous_id', 'intilery_keeper']) {
          assert.ok(cookies.find((c) => c.name === name).expires > Date.now() / 1000 + 300 * 86400, `${name} lives a year`);
        }
        await v.context.close();
      });

      steadily('a sign-up that redirects at once', async () => {
        const v = await visit();
        await v.open('/form');
        await v.events(1);
        await v.open('/sign-up');
        assert.deepEqual(await v.events(3), ['page:/form', 'track:Signed Up', 'page:/welcome']);
        await v.context.close();
      });

      steadily('the tag blocked: the server counts the view', async () => {
        const v = await visit((page) => page.route('**/x7/**', (route) => route.abort()));
        await v.open('/blocked');
        assert.deepEqual(await v.events(1), ['page:/blocked']);
        await v.context.close();
      });

      steadily('a slow tag: the view is not counted twice', async () => {
        let load;
        const loaded = new Promise((resolve) => { load = resolve; });
        const v = await visit((page) => page.route('**/hello.js', async (route) => { await loaded; await route.continue(); }));
        await v.page.goto(`${stack.shops[tag]}/slow`, { waitUntil: 'commit' });
        assert.deepEqual(await v.events(1), ['page:/slow']);
        const answered = v.page.waitForResponse((r) => r.request().method() === 'POST');
        load();
        assert.equal((await answered).status(), 200);
        await v.page.evaluate(() => window.analytics.track('After'));
        assert.deepEqual(await v.events(2), ['page:/slow', 'track:After']);
        await v.context.close();
      });

      steadily('offline, then online', async () => {
        const v = await visit();
        await v.open('/offline');
        await v.ready();
        await v.events(1);
        await v.context.setOffline(true);
        const failed = v.page.waitForEvent('requestfailed').catch(() => {});
        await v.page.evaluate(() => window.analytics.track('Offline'));
        if (tag === 'classic') await failed; // the other waits for the browser to be online
        await v.context.setOffline(false);
        assert.deepEqual(await v.events(2), ['page:/offline', 'track:Offline']);
        await v.context.close();
      });
    });
  }
});
