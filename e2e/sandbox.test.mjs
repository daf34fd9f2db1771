// The sandbox's page, and the demo shop beside it, in Chromium: on a desk and on a
// phone, light and dark.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, afterEach, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { accessible } from './lib/axe.mjs';
import { startCaddy, startSandbox } from './lib/caddy.mjs';
import { freePorts } from './lib/ports.mjs';
import { screenshot } from './lib/screenshots.mjs';
import { until } from './lib/wait.mjs';

const screens = [
  { screen: '1280-light', width: 1280, height: 800, colorScheme: 'light' },
  { screen: '1280-dark', width: 1280, height: 800, colorScheme: 'dark' },
  { screen: '360-light', width: 360, height: 740, colorScheme: 'light' },
  { screen: '360-dark', width: 360, height: 740, colorScheme: 'dark' },
];

const count = (locator, n) => until(`${n} of them`, async () => await locator.count() === n);

describe('the sandbox in a browser', () => {
  let dir, caddy, shop, sandbox, browser;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'intilery-sandbox-'));
    process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
    const [port, sandboxPort] = await freePorts(2);
    shop = `http://localhost:${port}`;
    sandbox = `http://localhost:${sandboxPort}`;
    caddy = await startCaddy('Demo.caddyfile', {
      dir, env: { E2E_PORT: port, E2E_SANDBOX_PORT: sandboxPort },
      serving: () => fetch(`${sandbox}/api/stats`).then((r) => r.ok, () => false),
    });
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  });
  after(async () => {
    await browser?.close();
    await caddy?.stop();
  });

  /** Sends a call to the Tracking API. */
  const post = (type, call) => fetch(`${sandbox}/track/demo/demo/DEMO/v1/${type}`, {
    method: 'POST', headers: { 'Auth-Token': 'sandbox-token', 'Content-Type': 'application/json' }, body: JSON.stringify(call),
  });
  /** Sends calls, each with its type, which are accepted. */
  const send = async (...calls) => {
    for (const { type, ...call } of calls) {
      const answer = await post(type, { event: type, ...call });
      assert.equal(answer.status, 200, await answer.text());
    }
  };
  const view = (anonymousId, path, name) => ({
    type: 'page', anonymousId, name, messageId: `${anonymousId}${path}`, context: { page: { path } },
  });
  const fault = async () => (await (await fetch(`${sandbox}/faults`)).json()).fault;
  const setFault = (name) => fetch(`${sandbox}/faults`, { method: 'POST', body: JSON.stringify({ fault: name }) });

  for (const { screen, width, height, colorScheme } of screens) {
    describe(screen, () => {
      let context, page, problems;
      const open = async (hash = '') => {
        await page.goto(`${sandbox}/${hash}`);
        await page.getByText('Live', { exact: true }).waitFor();
      };
      beforeEach(async () => {
        await setFault('none');
        await fetch(`${sandbox}/api/events`, { method: 'DELETE' });
        context = await browser.newContext({ viewport: { width, height }, colorScheme });
        context.setDefaultTimeout(10_000);
        page = await context.newPage();
        problems = [];
        page.on('pageerror', (err) => problems.push(err.message));
        page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
      });
      afterEach(async () => {
        await context.close();
        assert.deepEqual(problems, []);
      });

      test('an empty page leads to the shop', async () => {
        await open();
        const link = page.locator('#no-events a');
        await until('the link', async () => await link.getAttribute('href') === shop);
        await accessible(page, 'no events');
        await screenshot(page, `sandbox-empty-${screen}`);
        const [tab] = await Promise.all([context.waitForEvent('page'), link.click()]);
        await tab.getByRole('heading', { name: 'Tea & Teapots' }).waitFor();
        await count(page.locator('#events > li'), 1);
        assert.equal(await page.locator('#no-events').isVisible(), false);
        assert.ok(await page.locator('#events .open').first().isVisible());
      });

      test('the first event is seen without scrolling, and opens', async () => {
        await post('track', { event: 'Refused' }); // it has no ID
        await send(view('a-1', '/products/teapot', 'Product'));
        await open();
        await count(page.locator('#events > li'), 1);
        const row = page.locator('#events > li').first();
        assert.equal(await row.locator('.name').textContent(), 'Product');
        assert.equal(await row.locator('.path').textContent(), '/products/teapot');
        const box = await row.boundingBox();
        assert.ok(box.y + box.height <= height, `the first event ends at ${Math.round(box.y + box.height)} of ${height} px`);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.equal(wide, width, 'nothing is cut off at the side');

        const button = row.locator('.open');
        assert.equal(await button.getAttribute('aria-expanded'), 'false');
        // Anywhere on the row.
        const time = await row.locator('time').boundingBox();
        await page.mouse.click(time.x + 2, time.y + 2);
        assert.equal(await button.getAttribute('aria-expanded'), 'true');
        await row.getByText('"/products/teapot"').first().waitFor();
        await accessible(page, 'an open event and a rejected request');
        await screenshot(page, `sandbox-open-${screen}`);
        await button.focus();
        await page.keyboard.press('Enter');
        assert.equal(await button.getAttribute('aria-expanded'), 'false');
        assert.equal(await row.locator('.detail').isVisible(), false);
      });

      test('a fault is chosen by Enter or a click, and not on the way to it', async () => {
        await open();
        const asked = [];
        page.on('request', (r) => r.url().endsWith('/faults') && asked.push(r.postData()));
        await page.getByRole('button', { name: 'None' }).focus();
        for (const key of ['ArrowRight', 'ArrowDown', 'ArrowRight', 'End', 'Tab', 'Tab']) await page.keyboard.press(key);
        assert.equal(await page.evaluate(() => document.activeElement.textContent), '503');
        await page.keyboard.press('Enter');
        await page.getByText('Fault on: 503').waitFor();
        assert.equal(await fault(), '503');
        assert.deepEqual(asked, ['{"fault":"503"}']);
        assert.equal(await page.evaluate(() => document.activeElement.textContent), '503');
        assert.equal(await page.getByRole('button', { name: '503' }).getAttribute('aria-pressed'), 'true');
        await accessible(page, 'a fault');
        await screenshot(page, `sandbox-fault-${screen}`);
        await page.getByRole('button', { name: 'Slow' }).click();
        await page.getByText('Fault on: slow').waitFor();
        // The button goes, and the focus does not get lost.
        await page.getByRole('button', { name: 'Switch off' }).focus();
        await page.keyboard.press('Enter');
        await page.locator('#fault-banner').waitFor({ state: 'hidden' });
        assert.equal(await fault(), 'none');
        assert.equal(await page.evaluate(() => document.activeElement.textContent), 'None');
      });

      test('the focus stays where it was when events arrive', async () => {
        await send(view('a-1', '/one'));
        await open();
        await count(page.locator('#events > li'), 1);
        const focused = () => page.evaluate(() => document.activeElement === window.before && window.before.isConnected);
        const keep = () => page.evaluate(() => { window.before = document.activeElement; });

        await page.locator('#events .open').click();
        await page.getByRole('button', { name: 'Show only this visitor' }).focus();
        await keep();
        // A new event, and the open one once more.
        await send(view('b-1', '/two'), view('a-1', '/one'));
        await count(page.locator('#events > li'), 2);
        await page.locator('.delivered', { hasText: '2 times' }).waitFor();
        assert.ok(await focused(), 'the focus has left the open event');

        await page.getByRole('tab', { name: 'Profiles' }).click();
        await count(page.locator('.card'), 2);
        const card = page.locator('.card', { hasText: 'a-1' });
        await card.locator('.chip').first().focus();
        await keep();
        // The visitor signs up, so the card changes and comes first.
        await send({ type: 'identify', anonymousId: 'a-1', userId: 'ada', traits: { plan: 'tea-club' } });
        await page.locator('.card:first-child h2', { hasText: 'ada' }).waitFor();
        await page.locator('.card:first-child .traits', { hasText: 'tea-club' }).waitFor();
        await send(view('b-1', '/three'));
        await page.locator('.card:first-child h2', { hasText: 'Anonymous' }).waitFor();
        assert.ok(await focused(), 'the focus has left the profile');

        // What has the focus goes; the focus does not get lost.
        await page.getByRole('tab', { name: 'Events' }).click();
        await page.locator('#events .open').first().focus();
        await fetch(`${sandbox}/api/events`, { method: 'DELETE' });
        await count(page.locator('#events > li'), 0);
        assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-events');
      });

      test('a profile\'s timeline has all its events', async () => {
        const views = Array.from({ length: 120 }, (_, i) => view('a-1', `/page-${i}`, i % 2 ? 'Product' : ''));
        await send(...views);
        await send({ type: 'identify', anonymousId: 'a-1', userId: 'ada', messageId: 'id', traits: { email: 'ada@example.com' } });
        await open('#profiles');
        const items = page.locator('.timeline li:not(.link)');
        await count(items, 121);
        await page.getByText('121 events').waitFor();
        const paths = new Set(await page.locator('.timeline li').evaluateAll((all) => all.map((li) => li.textContent.match(/\/page-\d+/)?.[0])));
        for (const v of views) assert.ok(paths.has(v.context.page.path), `${v.context.page.path} is missing`);
        const cut = await page.locator('.timeline ol').evaluate((list) => list.scrollHeight - list.clientHeight);
        assert.ok(cut <= 1, `${cut} px of the timeline are hidden`);
        await accessible(page, 'profiles');
        await screenshot(page, `sandbox-profiles-${screen}`);
      });

      test('the shop welcomes back who signed up', async () => {
        await page.goto(`${shop}/products/kettle?utm_source=newsletter&utm_campaign=autumn`);
        await page.getByRole('button', { name: 'Add to basket' }).click();
        await page.goto(`${shop}/`);
        assert.equal(await page.getByText('Welcome back').count(), 0);
        await page.getByRole('link', { name: 'Sign up' }).first().click();
        await page.getByLabel('Your e-mail').fill('ada@example.com');
        await page.getByRole('button', { name: 'Sign up' }).click();
        const welcome = page.getByText(/Welcome back, customer-[0-9a-f]{8}\./);
        await welcome.waitFor();
        await page.goto('about:blank');
        await page.goto(`${shop}/`);
        await welcome.waitFor();
        assert.equal(await page.getByText(/signed in/i).count(), 0);
        await page.getByRole('link', { name: 'Stoneware teapot' }).click();
        await page.getByRole('button', { name: 'Add to basket' }).click();
        await page.getByRole('button', { name: 'Buy now' }).click();
        await welcome.waitFor();

        const events = await context.newPage();
        await events.goto(sandbox);
        await count(events.locator('#events > li'), 14); // up to the page after the order
        await events.locator('#connection[data-state="live"]').waitFor();
        await screenshot(events, `sandbox-${screen}`, { inDocs: screen === '1280-light' ? 'sandbox' : undefined });
        await events.close();

        await page.getByRole('button', { name: 'Sign out' }).click();
        await page.getByText('for ten percent off').waitFor();
        assert.equal(await page.getByText('Welcome back').count(), 0);
        // All of the visit has come before the next test begins. The page after the
        // sign-out is another visitor's, so it may come first.
        await until('the end of the visit', async () => {
          const all = await (await fetch(`${sandbox}/api/events`)).json();
          const left = all.find((e) => e.name === 'Signed Out');
          return left && all.some((e) => e.anonymousId !== left.anonymousId);
        });
      });
    });
  }

  test('a sandbox that knows no site says so in general', async () => {
    const alone = await startSandbox(dir);
    try {
      const page = await browser.newPage();
      await page.goto(`http://localhost:${alone.port}`);
      await page.getByText('Open your site in another tab').waitFor();
      assert.equal(await page.locator('#no-events a[href]').count(), 0);
      await page.close();
    } finally {
      await alone.stop();
    }
  });

  test('a foreign site that points its name at this machine sees nothing', async () => {
    await send(view('a-1', '/secret'));
    const rebound = await chromium.launch({
      executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--host-resolver-rules=MAP evil.test 127.0.0.1'],
    });
    try {
      const page = await rebound.newPage();
      const { port } = new URL(sandbox);
      const answer = await page.goto(`http://evil.test:${port}/`);
      assert.equal(answer.status(), 403);
      const seen = await page.evaluate(() => fetch('/api/events').then(async (r) => `${r.status} ${await r.text()}`));
      assert.match(seen, /^403 .*localhost/);
      assert.doesNotMatch(seen, /secret/);
    } finally {
      await rebound.close();
    }
  });
});
