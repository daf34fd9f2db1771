import { execFileSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { Circumstance } from './case.mjs';
import { aged } from './chromium.mjs';
import { start } from './process.mjs';
import { until } from './wait.mjs';

const PROGRAM = '/usr/bin/firefox-esr';

// The file in the profile into which Firefox writes where it listens.
const LISTENS = 'WebDriverBiDiServer.json';

// Every name leads to the site under test, and the browser asks nobody else. The
// preferences that are recommended for automation stay off: visitors' browsers
// do not have them.
const preferences = (port) => ({
  'remote.prefs.recommended': false,
  'network.dns.forceResolve': '127.0.0.1',
  'network.socket.forcePort': `443=${port}`,
  'app.normandy.enabled': false,
  'app.update.disabledForTesting': true,
  'browser.aboutwelcome.enabled': false,
  'browser.region.network.url': '',
  'browser.safebrowsing.downloads.remote.enabled': false,
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.search.update': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.homepage_override.mstone': 'ignore',
  'browser.startup.page': 0,
  'datareporting.healthreport.uploadEnabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'dom.push.connection.enabled': false,
  'extensions.getAddons.cache.enabled': false,
  'extensions.systemAddon.update.enabled': false,
  'extensions.update.enabled': false,
  'media.gmp-manager.updateEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,#remote-settings-dummy/v1',
  'toolkit.telemetry.server': '',
});

/** Stock Firefox over WebDriver BiDi, with a profile on disk for each visitor. */
export class Firefox {
  static title = 'Firefox';

  static version() {
    return execFileSync(PROGRAM, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString().match(/[\d.]+/)[0];
  }

  constructor(stack) {
    this.stack = stack;
  }

  /** Makes the profile that every visitor begins with. It trusts Caddy's own authority. */
  async start() {
    this.template = await mkdtemp(join(this.stack.dir, 'firefox-'));
    const root = `${this.stack.dir}/caddy/pki/authorities/local/root.crt`;
    execFileSync('certutil', ['-N', '-d', `sql:${this.template}`, '--empty-password']);
    execFileSync('certutil', ['-A', '-d', `sql:${this.template}`, '-n', 'e2e', '-t', 'C,,', '-i', root]);
    // A profile's first start costs twice as much as the later ones.
    const first = new Visitor(this.stack, this.template);
    await first.open('about:blank');
    await first.leave();
  }

  async stop() {}

  async visitor() {
    const profile = await mkdtemp(join(this.stack.dir, 'firefox-'));
    await cp(this.template, profile, { recursive: true });
    return new Visitor(this.stack, profile);
  }
}

class Visitor {
  constructor(stack, profile, { hidden = false } = {}) {
    this.stack = stack;
    this.profile = profile;
    this.hidden = hidden;
  }

  async #start() {
    if (this.browser) return;
    const prefs = { ...preferences(this.stack.port), 'browser.privatebrowsing.autostart': this.hidden };
    const lines = Object.entries(prefs).map((pref) => `user_pref(${pref.map((part) => JSON.stringify(part)).join(', ')});\n`);
    await writeFile(join(this.profile, 'user.js'), lines.join(''));
    await rm(join(this.profile, LISTENS), { force: true });
    this.process = start(PROGRAM, ['--headless', '--no-remote', '--profile', this.profile, '--remote-debugging-port', '0'], {
      env: { HOME: this.profile, XDG_RUNTIME_DIR: this.profile, MOZ_CRASHREPORTER_DISABLE: '1' },
    });
    // Until it listens it has asked the site for nothing.
    const address = await until('Firefox to listen', () => this.#address(), { seconds: 30, what: this.process.output })
      .catch((err) => { throw new Circumstance(err.message); });
    this.browser = await puppeteer.connect({ browserWSEndpoint: address, protocol: 'webDriverBiDi', defaultViewport: null });
  }

  async #address() {
    if (!this.process.alive()) throw new Error(`Firefox ended: ${this.process.output()}`);
    try {
      const { ws_host: host, ws_port: port } = JSON.parse(await readFile(join(this.profile, LISTENS), 'utf8'));
      return `ws://${host}:${port}/session`;
    } catch {
      return undefined; // not there yet, or half written
    }
  }

  /** Opens the URLs in tabs of their own, all at once. */
  async open(...urls) {
    await this.#start();
    return Promise.all(urls.map(async (url) => {
      const tab = new Tab(await this.browser.newPage());
      await tab.go(url);
      return tab;
    }));
  }

  /** Closes the browser, which writes its cookies; the profile stays. */
  async leave() {
    if (!this.process) return;
    // A signal would cut short what it writes. A browser that failed to start gets one.
    if (this.browser) {
      await this.browser.close().catch(() => {}); // it may have crashed
      await until('Firefox to end', () => !this.process.alive(), { what: this.process.output });
    }
    await this.process.stop();
    this.browser = this.process = undefined;
  }

  async cookies() {
    if (this.hidden) throw new Error('the driver sees the cookies of normal windows only');
    const found = this.browser ? await this.browser.cookies()
      : this.#sql('SELECT name, value, host AS domain, expiry / 1000.0 AS expires, isHttpOnly AS httpOnly FROM moz_cookies');
    const now = Date.now() / 1000;
    // Firefox has expired cookies around for a while, but sends them to nobody.
    return found.filter(({ expires }) => expires === -1 || expires > now).map(({ name, value, domain, httpOnly, expires }) => ({
      name, value, domain, httpOnly: Boolean(httpOnly), days: (expires - now) / 86400,
    }));
  }

  /** Makes the profile look as if `days` had passed; cap as in Chromium. */
  async away(days, { cap } = {}) {
    await this.leave();
    for (const cookie of await this.cookies()) {
      if (cookie.name !== 'intilery_keeper') continue;
      this.#sql(`UPDATE moz_cookies SET value = '${aged(this.stack.key, cookie, days)}' WHERE name = '${cookie.name}' AND host = '${cookie.domain}'`);
    }
    // Firefox has expiries in milliseconds and the other times in microseconds.
    const week = Date.now() + 7 * 86_400_000;
    if (cap) this.#sql(`UPDATE moz_cookies SET expiry = min(expiry, ${week}) WHERE name = '${cap}'`);
    const past = days * 86_400_000;
    this.#sql(`UPDATE moz_cookies SET expiry = expiry - ${past}`
      + ['lastAccessed', 'creationTime', 'updateTime'].map((name) => `, ${name} = ${name} - ${past * 1000}`).join(''));
  }

  /** A private window, in a process of its own with the same files, which two cannot share. */
  async privately() {
    await this.leave();
    return new Visitor(this.stack, this.profile, { hidden: true });
  }

  #sql(statement) {
    const out = execFileSync('sqlite3', ['-json', `${this.profile}/cookies.sqlite`, statement]).toString();
    return out ? JSON.parse(out) : [];
  }
}

class Tab {
  constructor(page) {
    this.page = page;
  }

  /** Goes to url, which may redirect. */
  async go(url) {
    await this.page.goto(url, { waitUntil: 'load' });
  }

  /** Runs a function in the page and returns what it returns. */
  run(fn, argument) {
    return this.page.evaluate(fn, argument);
  }

  /** Takes the network away, or gives it back. */
  offline(is) {
    return this.page.setOfflineMode(is);
  }

  /** Follows a link. */
  async follow(url) {
    await this.run((href) => {
      document.body.append(Object.assign(document.createElement('a'), { href, id: 'onwards', textContent: 'onwards' }));
    }, url);
    await this.page.click('#onwards');
    await this.#arrival(url);
  }

  /** Runs a function that leaves the page for the one at landing. */
  async depart(fn, argument, landing) {
    await this.run(fn, argument);
    await this.#arrival(landing);
  }

  /** Goes back to url and says whether the page came from the back/forward cache. */
  async back(url) {
    await this.depart(() => { history.back(); }, undefined, url);
    return this.run(() => window.restored);
  }

  /** Waits until the page at url is loaded. The page before it may go while it is asked. */
  #arrival(url) {
    const arrived = (href) => location.href === href && document.readyState === 'complete';
    return until(`the page ${url}`, () => this.run(arrived, url).catch(() => false));
  }
}
