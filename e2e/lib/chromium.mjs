import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Circumstance } from './case.mjs';
import { ageKeeper } from './keeper.mjs';
import { until } from './wait.mjs';

// Those of Chromium's reasons not to restore a page that a response can give.
const RESPONSE = /NoStore|Cookie|MainResource|HTTP/i;

const PROGRAM = '/usr/bin/chromium';

/** Chromium with a profile on disk for each visitor. */
export class Chromium {
  static title = 'Chromium';

  static version() {
    return execFileSync(PROGRAM, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString().match(/[\d.]+/)[0];
  }

  constructor(stack) {
    this.stack = stack;
  }

  /**
   * Learns which key vouches for the sites. Chromium caches nothing of a site
   * whose certificate it merely tolerates.
   */
  async start() {
    const certificate = await readFile(`${this.stack.dir}/caddy/pki/authorities/local/intermediate.crt`);
    const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
    this.authority = createHash('sha256').update(key).digest('base64');
  }

  async stop() {}

  async visitor() {
    return new Visitor(this, await mkdtemp(join(this.stack.dir, 'profile-')));
  }
}

class Visitor {
  constructor(browser, profile) {
    this.browser = browser;
    this.stack = browser.stack;
    this.profile = profile;
  }

  async #start() {
    this.context ??= await chromium.launchPersistentContext(this.profile, {
      executablePath: PROGRAM,
      args: [
        '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync',
        `--ignore-certificate-errors-spki-list=${this.browser.authority}`,
        `--host-resolver-rules=MAP *.test 127.0.0.1:${this.stack.port}`,
      ],
      // Its own reasons to turn the back/forward cache off are not ours.
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
    });
  }

  /** Opens the URLs in tabs of their own, all at once. */
  async open(...urls) {
    await this.#start();
    return openTabs(this.context, urls);
  }

  /** Closes the browser; the profile stays. */
  async leave() {
    await this.context?.close();
    this.context = undefined;
  }

  async cookies() {
    await this.#start();
    return readCookies(this.context);
  }

  /**
   * Makes the profile look as if `days` had passed. cap names a cookie that the
   * browser is taken to cap at seven days, as browsers with ITP or Brave do.
   */
  async away(days, { cap } = {}) {
    await this.#start();
    const now = Date.now() / 1000;
    for (const cookie of await this.context.cookies()) {
      if (cookie.name === cap) cookie.expires = Math.min(cookie.expires, now + 7 * 86400);
      cookie.expires -= days * 86400;
      if (cookie.name === 'intilery_keeper') cookie.value = aged(this.stack.key, cookie, days);
      await this.context.clearCookies({ name: cookie.name, domain: cookie.domain });
      if (cookie.expires > now) await this.context.addCookies([cookie]);
    }
    await this.leave();
  }

  /** A private window beside the normal ones. */
  async privately() {
    await this.#start();
    const context = await this.context.browser().newContext();
    return {
      open: (...urls) => openTabs(context, urls),
      cookies: () => readCookies(context),
      leave: () => context.close(),
    };
  }
}

/** Returns the value of a keeper cookie, `days` older. */
export function aged(key, cookie, days) {
  return ageKeeper(cookie.value, {
    key, name: cookie.name, site: cookie.domain.replace(/^\./, ''), seconds: days * 86400,
  });
}

const openTabs = (context, urls) => Promise.all(urls.map(async (url) => {
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Page.enable');
  const tab = new Tab(page, session);
  await tab.go(url);
  return tab;
}));

async function readCookies(context) {
  const days = (expires) => (expires - Date.now() / 1000) / 86400;
  return (await context.cookies()).map(({ name, value, domain, expires, httpOnly }) => ({
    name, value, domain, httpOnly, days: days(expires),
  }));
}

class Tab {
  constructor(page, session) {
    this.page = page;
    this.session = session;
    session.on('Page.backForwardCacheNotUsed', ({ notRestoredExplanations: reasons }) => {
      this.notRestored = reasons;
    });
  }

  /** Goes to url, which may redirect. */
  async go(url) {
    await this.page.goto(url, { waitUntil: 'load' });
  }

  /**
   * Runs a function in the page and returns what it returns. By the protocol
   * itself, since playwright loses pages that come from the back/forward cache.
   */
  async run(fn, argument) {
    const { result, exceptionDetails } = await this.session.send('Runtime.evaluate', {
      expression: `(${fn})(${JSON.stringify(argument)})`, awaitPromise: true, returnByValue: true, userGesture: true,
    });
    if (exceptionDetails) throw new Error(`in the page: ${exceptionDetails.exception?.description ?? exceptionDetails.text}`);
    return result.value;
  }

  /** Takes the network away, or gives it back. */
  offline(is) {
    return this.page.context().setOffline(is);
  }

  /** Follows a link, as a person does. Speculation rules serve no other navigation. */
  async follow(url) {
    await this.run((href) => {
      document.body.append(Object.assign(document.createElement('a'), { href, id: 'onwards', textContent: 'onwards' }));
    }, url);
    await Promise.all([this.#arrival(url), this.page.click('#onwards')]);
  }

  /** Runs a function that leaves the page for the one at landing. */
  async depart(fn, argument, landing) {
    await Promise.all([this.#arrival(landing), this.run(fn, argument)]);
  }

  async #arrival(url) {
    await this.page.waitForURL(({ href }) => href === url);
    await this.page.waitForLoadState('load');
  }

  /**
   * Goes back to url and says whether the page came from the back/forward cache.
   * Throws Circumstance when the browser had a reason of its own not to keep it.
   */
  async back(url) {
    const { currentIndex, entries } = await this.session.send('Page.getNavigationHistory');
    this.notRestored = undefined;
    await this.session.send('Page.navigateToHistoryEntry', { entryId: entries[currentIndex - 1].id });
    const arrived = (href) => location.href === href && document.readyState === 'complete';
    await until(`the page ${url}`, () => this.run(arrived, url).catch(() => false));
    const restored = await this.run(() => window.restored);
    const reasons = (this.notRestored ?? []).map((r) => r.reason);
    if (!restored && reasons.length > 0 && !reasons.some((r) => RESPONSE.test(r))) {
      throw new Circumstance(`Chromium did not keep ${url}: ${reasons.join(', ')}`);
    }
    return restored;
  }
}
