// The tag that the site serves, in Chromium: two lines on the page, no other host,
// each view once, and nothing lost to a page that is left at once or to an outage.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { startStack } from './clients/stack.mjs';
import { modes, notes, visit } from './clients/visitor.mjs';
import { UNSTEADY } from './lib/table.mjs';

/** A case that is tried anew once, and told of if it passes then: a browser is not ours to steady. */
const steadily = (name, run) => test(name, { timeout: 120_000 }, async (t) => {
  try {
    await run();
  } catch (err) {
    t.diagnostic(`${UNSTEADY}: ${err.message}`);
    await run();
  }
});

const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

/** Makes a call for each number, all at once. */
const count = (ns) => { for (const n of ns) window.analytics.track('Counted', { n }); };

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

  for (const [name, mode] of Object.entries(modes)) {
    describe(name, () => {
      steadily('a visit: each once, under the server\'s ID, from this host alone', async () => {
        const v = await visit(browser, stack, mode);
        await v.open('/one');
        await v.ready();
        await v.page.evaluate(() => { window.analytics.identify('42'); window.analytics.track('Clicked'); });
        await v.events(3);
        // The page is left while the call is on its way.
        await v.page.evaluate(() => { window.analytics.track('Left'); window.location.href = '/two'; });
        await v.page.waitForURL('**/two');
        assert.deepEqual((await v.events(5)).toSorted(), ['identify:42', 'page:/one', 'page:/two', 'track:Clicked', 'track:Left']);
        assert.deepEqual([...v.hosts], [v.site]);
        const cookies = await v.context.cookies();
        for (const name of ['ajs_anonymous_id', 'intilery_keeper']) {
          assert.ok(cookies.find((c) => c.name === name).expires > Date.now() / 1000 + 300 * 86400, `${name} lives a year`);
        }
        await v.context.close();
      });

      steadily('a sign-up that redirects at once: the server\'s event and the tag\'s', async () => {
        const v = await visit(browser, stack, mode);
        await v.open('/form');
        await v.ready();
        await v.events(1);
        await v.page.evaluate(() => {
          const form = Object.assign(document.createElement('form'), { action: '/sign-up', method: 'post' });
          document.body.append(form);
          window.analytics.track('Submitted');
          form.submit();
        });
        await v.page.waitForURL('**/welcome');
        const events = await v.events(4);
        // The tag's call and the form are on their way together.
        assert.deepEqual(events.toSorted(), ['page:/form', 'page:/welcome', 'track:Signed Up', 'track:Submitted']);
        assert.ok(events.indexOf('track:Signed Up') < events.indexOf('page:/welcome'));
        await v.context.close();
      });

      steadily('offline, then online', async () => {
        const v = await visit(browser, stack, mode);
        await v.open('/offline');
        await v.ready();
        await v.events(1);
        await v.context.setOffline(true);
        const failed = v.page.waitForEvent('requestfailed').catch(() => {});
        await v.page.evaluate(() => window.analytics.track('Offline'));
        if (mode.tag === 'classic') await failed; // the other waits for the browser to be online
        await v.context.setOffline(false);
        assert.deepEqual(await v.events(2), ['page:/offline', 'track:Offline']);
        await v.context.close();
      });

      steadily('the receiver fails and Caddy is killed: each once, in the order in which the tag sent', async () => {
        const v = await visit(browser, stack, mode);
        const sent = notes(v.page);
        await v.open('/outage');
        await v.ready();
        await v.events(1);
        try {
          await stack.receiver('503');
          await v.page.evaluate(count, numbers(0, 10));
          const restarted = stack.killAndRestart();
          await v.page.evaluate(count, numbers(10, 20));
          await restarted;
        } finally {
          await stack.receiver('none');
        }
        const events = (await v.received(21, { seconds: 45 })).filter((e) => e.type === 'track');
        const ids = events.map((e) => e.messageId);
        assert.ok(sent.failed() > 0, 'the tag met the outage');
        assert.deepEqual(events.map((e) => e.properties.n).toSorted((a, b) => a - b), numbers(0, 20), 'each once');
        for (const id of ids) assert.ok(sent.calls.has(id), `the tag sent ${id}`);
        assert.equal(new Set(ids).size, 20, 'one messageId each');
        // Batches are sent one after another, a failed one before all others. Calls by
        // themselves may be on their way together, and one that failed comes back after
        // a wait of its own, so the tag keeps no order. What it first sent after another
        // was taken stays behind that, and the times tell the rest.
        if (mode.delivery?.strategy === 'batching') assert.deepEqual(events.map((e) => e.properties.n), numbers(0, 20));
        for (const [i, id] of ids.entries()) {
          const { taken } = sent.calls.get(id);
          for (const earlier of ids.slice(0, i)) {
            assert.ok(!(taken < sent.calls.get(earlier).sent), `${earlier} was sent after ${id} was taken`);
          }
        }
        const times = events.toSorted((a, b) => a.properties.n - b.properties.n).map((e) => e.timestamp);
        assert.deepEqual(times, times.toSorted(), 'times in the order of the calls');
        await v.context.close();
      });
    });
  }

  for (const tag of ['next', 'classic']) {
    describe(`${tag}, kept away`, () => {
      steadily('the tag blocked: the server counts the view', async () => {
        const v = await visit(browser, stack, { tag }, (page) => page.route('**/x7/**', (route) => route.abort()));
        await v.open('/blocked');
        assert.deepEqual(await v.events(1), ['page:/blocked']);
        await v.context.close();
      });

      steadily('a slow tag: the view is not counted twice', async () => {
        let load;
        const loaded = new Promise((resolve) => { load = resolve; });
        const v = await visit(browser, stack, { tag }, (page) => page.route('**/hello.js', async (route) => { await loaded; await route.continue(); }));
        await v.page.goto(`${v.site}/slow`, { waitUntil: 'commit' });
        assert.deepEqual(await v.events(1), ['page:/slow']);
        const answered = v.page.waitForResponse((r) => r.request().method() === 'POST');
        load();
        assert.equal((await answered).status(), 200);
        await v.page.evaluate(() => window.analytics.track('After'));
        assert.deepEqual(await v.events(2), ['page:/slow', 'track:After']);
        await v.context.close();
      });
    });
  }
});
