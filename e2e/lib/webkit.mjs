import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { aged } from './chromium.mjs';
import { start } from './process.mjs';
import { startProxy } from './proxy.mjs';
import { until } from './wait.mjs';

const PROGRAM = execFileSync('sh', ['-c', 'ls /usr/lib/*/webkit2gtk-4.*/MiniBrowser | tail -n 1']).toString().trim();

/**
 * WebKitGTK's MiniBrowser with Intelligent Tracking Prevention. Its automation
 * mode runs a session that has neither, so the pages are driven by Remote.
 */
export class WebKit {
  static title = 'WebKit with ITP';

  static version() {
    // MiniBrowser tells its version only to a display.
    return execFileSync('dpkg-query', ['-W', '-f', '${Version}', 'webkit2gtk-driver']).toString().match(/[\d.]+/)[0];
  }

  constructor(stack) {
    this.stack = stack;
  }

  async start() {
    this.proxy = await startProxy(this.stack.port);
    this.screen = start('Xvfb', ['-displayfd', '3', '-screen', '0', '1024x768x24', '-nolisten', 'tcp'], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    let display = '';
    this.screen.child.stdio[3].on('data', (data) => { display += data; });
    await until('Xvfb', () => /\d\n/.test(display), { what: this.screen.output });
    this.display = `:${display.trim()}`;
  }

  async stop() {
    await this.screen?.stop();
    await this.proxy?.stop();
  }

  async visitor() {
    return new Visitor(this, await mkdtemp(join(this.stack.dir, 'webkit-')));
  }
}

class Visitor {
  constructor(browser, dir) {
    this.browser = browser;
    this.stack = browser.stack;
    this.dir = dir;
    this.jar = `${dir}/cookies.sqlite`;
  }

  /** Opens the URLs in tabs of their own, all at once. Only the first call after leave() can. */
  async open(...urls) {
    if (this.process) throw new Error('MiniBrowser opens tabs at its start only');
    const dirs = { XDG_CONFIG_HOME: 'config', XDG_CACHE_HOME: 'cache', XDG_DATA_HOME: 'data', XDG_RUNTIME_DIR: 'run' };
    const env = { DISPLAY: this.browser.display, HOME: this.dir, GDK_BACKEND: 'x11', NO_AT_BRIDGE: '1', GSETTINGS_BACKEND: 'memory' };
    for (const [name, sub] of Object.entries(dirs)) {
      env[name] = `${this.dir}/${sub}`;
      await mkdir(env[name], { recursive: true, mode: 0o700 });
    }
    // Now and then MiniBrowser starts on a busy machine and never asks for
    // anything. Nothing has happened then, and it may start again.
    for (let attempt = 1; ; attempt++) {
      const began = Date.now();
      const { connections } = this.browser.proxy;
      const before = connections();
      this.process = start(PROGRAM, [
        '--enable-itp', ...(this.private ? ['--private'] : []), `--cookies-file=${this.jar}`, '--ignore-tls-errors',
        `--proxy=http://127.0.0.1:${this.browser.proxy.port}`, ...urls,
      ], { env });
      try {
        return await Promise.all(urls.map(async (url) => new Tab(this.browser, await this.stack.remote.page(url, began))));
      } catch (err) {
        if (attempt === 2 || connections() > before) throw new Error(`${err.message}; MiniBrowser said: ${this.process.output()}`);
        await this.leave();
      }
    }
  }

  /** Closes the browser; the profile stays. */
  async leave() {
    await this.process?.stop();
    this.process = undefined;
  }

  async cookies() {
    return this.#sql('SELECT name, value, host, expiry, isHttpOnly FROM moz_cookies').map((row) => ({
      name: row.name, value: row.value, domain: row.host, httpOnly: row.isHttpOnly === 1,
      days: (row.expiry - Date.now() / 1000) / 86400,
    }));
  }

  /** Makes the profile look as if `days` had passed, which includes that ITP deletes what script stored. */
  async away(days) {
    await this.leave();
    for (const cookie of await this.cookies()) {
      if (cookie.name !== 'intilery_keeper') continue;
      this.#sql(`UPDATE moz_cookies SET value = '${aged(this.stack.key, cookie, days)}' WHERE name = '${cookie.name}' AND host = '${cookie.domain}'`);
    }
    this.#sql(`UPDATE moz_cookies SET expiry = expiry - ${days * 86400}`);
    if (days > 7) {
      for (const name of await readdir(`${this.dir}/data`)) {
        await rm(`${this.dir}/data/${name}`, { recursive: true });
      }
    }
  }

  /** A private window, in a process of its own as MiniBrowser has it, with the same files. */
  async privately() {
    const visitor = new Visitor(this.browser, this.dir);
    visitor.private = true;
    return visitor;
  }

  #sql(statement) {
    const out = execFileSync('sqlite3', ['-json', this.jar, statement]).toString();
    return out ? JSON.parse(out) : [];
  }
}

class Tab {
  constructor({ stack, proxy }, page) {
    this.remote = stack.remote;
    this.proxy = proxy;
    this.page = page;
  }

  /** Puts the site out of reach, or back. The browser goes on to say that it is online. */
  offline(is) {
    const { hostname } = new URL(this.page.url);
    if (is) this.proxy.close(hostname);
    else this.proxy.open(hostname);
  }

  /** Goes to url, which may redirect to landing. */
  go(url, landing = url) {
    return this.depart((href) => { location.href = href; }, url, landing);
  }

  /** Follows a link. */
  follow(url) {
    return this.depart((href) => { Object.assign(document.createElement('a'), { href }).click(); }, url, url);
  }

  /** Runs a function that leaves the page for the one at landing. */
  async depart(fn, argument, landing) {
    const began = Date.now();
    this.remote.depart(this.page, fn, argument);
    this.page = await this.remote.page(landing, began);
  }

  run(fn, argument) {
    return this.remote.run(this.page, fn, argument);
  }

  /** Goes back to url and says whether the page came from the back/forward cache. */
  async back(url) {
    await this.depart(() => { history.back(); }, undefined, url);
    return this.run(() => window.restored);
  }
}
