// The operator's page in Chromium: a queue that is well, one whose destination is
// paused, dead letters by keyboard, on a desk and on a phone, light and dark.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { accessible } from './lib/axe.mjs';
import { startCaddy, startSandbox } from './lib/caddy.mjs';
import { freePorts } from './lib/ports.mjs';
import { start } from './lib/process.mjs';
import { screenshot } from './lib/screenshots.mjs';
import { until } from './lib/wait.mjs';

const here = new URL('.', import.meta.url).pathname;
const BINARY = process.env.E2E_CADDY ?? `${here}../caddy`;
const AGENT = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36';
const REFUSED = 'properties.price must be a number';
const EVIL = '<img src=x onerror=alert(1)>';

/** An app whose answers have the response headers that the query gives. */
const app = createServer((req, res) => {
  for (const [name, value] of new URL(req.url, 'http://app').searchParams) res.setHeader(name, value);
  res.setHeader('Content-Type', 'text/html');
  res.end('<!doctype html><title>Shop</title>');
});

/** Intilery, in front of the sandbox: refuses for good what is named Refused. */
const receiver = (port) => createServer((req, res) => {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
    const body = Buffer.concat(chunks);
    if (body.includes('"event":"Refused')) {
      res.writeHead(400, { 'Content-Type': 'application/json' }).end(JSON.stringify({ success: false, message: REFUSED }));
      return;
    }
    const onwards = request({ port, host: 'localhost', path: req.url, method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      answer.pipe(res);
    });
    onwards.on('error', () => res.destroy());
    onwards.end(body);
  });
});

/** Sends a request as it is: fetch adds fields of a browser, which the admin endpoint refuses. */
const send = (url, { method = 'GET', headers = {}, body = '' } = {}) => new Promise((resolve, reject) => {
  request(url, { method, headers }, (answer) => {
    answer.resume();
    answer.on('end', () => resolve(answer.statusCode));
  }).on('error', reject).end(body);
});

const listen = (server) => new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(server.address().port)); });

describe('operator', () => {
  let dir, sandbox, site, page, browser, caddy, tab, url, adminPort, sitePort, intilery;
  const problems = [];

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'intilery-operator-'));
    process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
    const appPort = await listen(app);
    sandbox = await startSandbox(dir);
    intilery = receiver(sandbox.port);
    const receiverPort = await listen(intilery);
    let pagePort;
    [adminPort, sitePort, pagePort] = await freePorts(3);
    site = {
      env: {
        E2E_ADMIN_PORT: adminPort, E2E_PORT: sitePort, E2E_APP_PORT: appPort, E2E_SANDBOX_PORT: sandbox.port, E2E_RECEIVER_PORT: receiverPort,
      },
    };
    caddy = await startSite();
    page = start(BINARY, ['intilery', 'page', '--address', `localhost:${adminPort}`, '--listen', `localhost:${pagePort}`], { env: { HOME: dir } });
    url = `http://localhost:${pagePort}/intilery/`;
    await until('the page', () => fetch(url).then((r) => r.ok, () => false), { what: page.output });
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
    tab = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
    tab.on('pageerror', (error) => problems.push(`error: ${error}`));
    tab.on('console', (message) => {
      // What the server refuses while it is away is logged by the browser itself.
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) problems.push(message.text());
    });
  });

  after(async () => {
    await browser?.close();
    await page?.stop();
    await caddy?.stop();
    await sandbox?.stop();
    app.close();
    intilery?.close();
  });

  const startSite = () => startCaddy('Operator.caddyfile', {
    dir, env: site.env, serving: () => send(`http://localhost:${adminPort}/intilery/status`).then((status) => status === 200, () => false),
  });

  /** Visits a page of a shop, as another visitor each time. */
  async function visit(path = '/', { host = 'localhost', headers = {} } = {}) {
    const status = await send(`http://${host}:${sitePort}${path}?${new URLSearchParams(headers)}`, {
      headers: {
        'User-Agent': AGENT, Accept: 'text/html', 'Accept-Language': 'en', 'Sec-Fetch-Dest': 'document', 'Sec-Fetch-Mode': 'navigate',
      },
    });
    assert.equal(status, 200);
  }

  const text = (selector) => tab.locator(selector).innerText();
  const sees = (selector, pattern) => {
    let seen = '';
    return until(`${selector} to be ${pattern}`, async () => {
      seen = await tab.locator(selector).isVisible() ? await text(selector) : 'not in sight';
      return pattern.test(seen);
    }, { seconds: 30, what: () => seen });
  };

  /** Looks at a state on both screens, light and dark. */
  async function everywhere(state, inDocs) {
    for (const width of [1280, 360]) {
      for (const colorScheme of ['light', 'dark']) {
        await tab.setViewportSize({ width, height: width === 360 ? 780 : 900 });
        await tab.emulateMedia({ colorScheme });
        await accessible(tab, `${state} at ${width} px, ${colorScheme}`);
        const wide = await tab.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${state}: the page is ${wide} px wide on ${width}`);
        const screen = `${width}-${colorScheme}`;
        await screenshot(tab, `operator-${state.replaceAll(' ', '-')}-${screen}`, {
          fullPage: true, inDocs: inDocs && screen === '1280-light' ? inDocs : undefined,
        });
      }
    }
    await tab.setViewportSize({ width: 1280, height: 900 });
    await tab.emulateMedia({ colorScheme: 'light' });
  }

  /** Presses Tab until the focus is on a control with this name. */
  async function tabTo(name) {
    for (let n = 0; n < 60; n++) {
      const on = await tab.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '');
      if (name.test(on)) return;
      await tab.keyboard.press('Tab');
    }
    assert.fail(`Tab does not lead to ${name}`);
  }

  test('a queue that is well', { timeout: 120_000 }, async () => {
    for (let n = 0; n < 12; n++) await visit(`/products/${n}`);
    await visit('/basket', { headers: { 'Intilery-Track': 'Basket Viewed' } });
    await visit('/', { host: '127.0.0.1' });
    await tab.goto(url);
    await sees('#verdict-title', /All is well/);
    await sees('#destinations', /shop-uk[^]*Sending[^]*/);
    await until('a rate', async () => (await text('#captured')) !== '–', { seconds: 30 });
    assert.match(await tab.locator('#plots svg').first().getAttribute('aria-label'), /Waiting in the last 15 minutes: events waiting: now \d+, highest/);
    await everywhere('well');
  });

  test('captures, without what they say until asked', { timeout: 60_000 }, async () => {
    await visit('/search', { headers: { 'Intilery-User-Id': 'customer-4711', 'Intilery-Track': EVIL } });
    await tab.getByRole('tab', { name: 'Captures' }).click();
    await sees('#captures', /<img src=x/);
    assert.doesNotMatch(await tab.locator('body').innerText(), /customer-4711/);
    const row = tab.locator('#captures li').filter({ hasText: EVIL });
    await row.getByRole('button', { name: 'Show event' }).click();
    await sees('#captures', /customer-4711/);
    assert.equal(await tab.locator('#captures img').count(), 0);
    await everywhere('captures');
    await row.getByRole('button', { name: 'Hide event' }).click();
    assert.doesNotMatch(await tab.locator('body').innerText(), /customer-4711/);
  });

  test('an event that somebody reads stays until its visitor is erased', { timeout: 90_000 }, async () => {
    await visit('/search', { headers: { 'Intilery-User-Id': 'customer-4712', 'Intilery-Track': 'Read' } });
    const row = tab.locator('#captures li').filter({ hasText: 'Read' });
    const button = row.getByRole('button', { name: 'Show event' });
    await until('the capture', async () => (await row.count()) === 1, { seconds: 30 });
    await button.focus();
    await tab.keyboard.press('Enter');
    await sees('#captures', /customer-4712/);
    for (let n = 0; n < 60; n++) await visit(`/young/${n}`); // which take its place
    await until('younger ones', async () => (await tab.locator('#captures li').count()) === 51, { seconds: 30 });
    assert.match(await text('#captures'), /customer-4712/);
    assert.ok(await row.getByRole('button', { name: 'Hide event' }).evaluate((node) => node === document.activeElement));
    assert.equal(await send(`http://localhost:${adminPort}/intilery/erase`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"user_id": "customer-4712"}',
    }), 200);
    await until('it to go', async () => (await row.count()) === 0, { seconds: 30 });
    assert.doesNotMatch(await tab.locator('body').innerText(), /customer-4712/);
    assert.equal(await tab.evaluate(() => document.activeElement.id), 'tab-captures');
  });

  test('dead letters, by keyboard alone', { timeout: 120_000 }, async () => {
    for (const n of [1, 2, 3]) await visit(`/import/${n}`, { headers: { 'Intilery-Track': `Refused ${n}` } });
    await tab.goto(url);
    await sees('#verdict-title', /something to look at/);
    await sees('#tab-letters', /3/);
    await tabTo(/^Destinations/);
    await tab.keyboard.press('ArrowRight');
    await sees('#letters-list', new RegExp(REFUSED));
    assert.doesNotMatch(await text('#letters-list'), /anonymousId/);
    await tabTo(/^Show event: Refused 3/);
    await tab.keyboard.press('Enter');
    await sees('#letters-list', /anonymousId/);
    await everywhere('dead letters');

    await tabTo(/^Replay: Refused 3/);
    await tab.keyboard.press('Enter');
    await sees('#letters-note', /1 dead letter replayed/);
    await sees('#tab-letters', /3/); // since it is refused again

    await tabTo(/^Purge: Refused 2/);
    await tab.keyboard.press('Enter');
    await sees('#confirm', /gone for good/);
    await accessible(tab, 'the question');
    await tab.keyboard.press('Escape');
    assert.equal(await tab.locator('#letters-list li').count(), 3);
    await tabTo(/^Purge: Refused 2/);
    await tab.keyboard.press('Enter');
    await tabTo(/^Purge$/);
    await tab.keyboard.press('Enter');
    await sees('#letters-note', /1 dead letter purged/);
    await until('the letter to go', async () => (await tab.locator('#letters-list li').count()) === 2);
    assert.notEqual(await tab.evaluate(() => document.activeElement.tagName), 'BODY');
  });

  test('a paused destination and its backlog', { timeout: 120_000 }, async () => {
    await visit('/', { headers: { 'Intilery-User-Id': '{' + 'x'.repeat(2000) } }); // which is refused
    const traffic = setInterval(() => visit('/sale').catch(() => {}), 120);
    try {
      await tab.goto(url);
      await until('traffic', async () => Number(await text('#delivered')) > 5, { seconds: 40 });
      await sandbox.fail('403');
      await sees('#verdict-title', /paused/);
      await sees('#destinations', /Paused: misconfigured[^]*check the token/);
      await until('the backlog', async () => Number(await text('#waiting')) >= 120, { seconds: 40 });
      await everywhere('paused', 'operator');
    } finally {
      clearInterval(traffic);
    }
    await tab.getByRole('tab', { name: 'Sites' }).click();
    await sees('#sites', /minted/);
    await everywhere('sites');
    await tab.getByRole('tab', { name: 'Losses' }).click();
    await everywhere('losses');
    await tab.getByRole('tab', { name: 'Destinations' }).click();
  });

  test('a node of a fleet', { timeout: 60_000 }, async () => {
    const gone = new Date().toISOString();
    await tab.route('**/live*', async (route) => {
      const answer = await route.fetch();
      const live = await answer.json();
      live.queues[0].fleet = {
        name: 'shop', node: 'a', session: true, handed_over: 1200, taken_back: 0, backlog: 3, kept: 20, lag_seconds: 1.5,
        nodes: { a: { lanes: 9, backlog: 3 }, b: { lanes: 7, backlog: 0 } }, lost_nodes: { c: { backlog: 12, since: gone, said_at: gone } },
        lanes: { 'shop-uk/0': { owner: 'a', backlog: 4 }, 'shop-uk/1': { owner: 'b' }, 'shop-uk/2': {} },
        pauses: { 'shop-uk': { node: 'b', reason: 'misconfigured' } },
      };
      await route.fulfill({ response: answer, json: live });
    });
    await sees('#problems', /Node c is gone, and has 12 events/);
    await tab.getByRole('tab', { name: 'Fleet' }).click();
    await sees('#fleet', /a \(this one\)[^]*nobody/);
    await everywhere('fleet');
    await tab.unroute('**/live*');
    await tab.getByRole('tab', { name: 'Destinations' }).click();
  });

  test('asks nothing while nobody looks', { timeout: 60_000 }, async () => {
    let asked = 0;
    const count = (request) => { if (/\/live/.test(request.url())) asked++; };
    tab.on('request', count);
    const hide = (hidden) => tab.evaluate((is) => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => is });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
    await hide(true);
    await sees('#connection', /Not updating/);
    // As long as two answers would take, by the page's own clock.
    const before = asked;
    await tab.evaluate(() => new Promise((resolve) => { setTimeout(resolve, 11_000); }));
    assert.equal(asked, before);
    await hide(false);
    await sees('#connection', /Live/);
    tab.off('request', count);
  });

  test('says that Caddy is gone, and that no queue is configured', { timeout: 90_000 }, async () => {
    assert.equal(await send(`http://localhost:${adminPort}/load`, {
      method: 'POST', headers: { 'Content-Type': 'text/caddyfile' }, body: `{\nadmin localhost:${adminPort}\npersist_config off\n}\n`,
    }), 200);
    await sees('#no-queue', /No queue is in use/);
    await everywhere('no queue');
    await caddy.stop();
    await sees('#gone', /no Caddy answers|does not answer/);
    await sees('#connection', /No answer/);
    await everywhere('gone');
    caddy = await startSite();
    await sees('#connection', /Live/);
    await sees('#destinations', /shop-uk/);
    assert.equal(await tab.locator('#gone').isVisible(), false);
  });

  test('the page has not stumbled', () => {
    assert.deepEqual(problems, []);
  });
});
