// What a case works with: its visitor, its URLs and what was seen of it.
import assert from 'node:assert/strict';
import { sleep, until } from './wait.mjs';

let count = 0;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** The browser did what nothing of ours can cause, so a case must begin anew. */
export class Circumstance extends Error {}

export class Case {
  constructor({ stack, browser, tag }) {
    this.stack = stack;
    this.browser = browser;
    this.tag = tag;
    this.id = `case${++count}`;
    this.host = 'shop.example.test';
    this.visitors = [];
  }

  async visitor() {
    const visitor = await this.browser.visitor();
    this.visitors.push(visitor);
    return visitor;
  }

  async end() {
    for (const visitor of this.visitors) await visitor.leave();
  }

  path(page, tag = this.tag) {
    return `/${tag}/${this.id}/${page}`;
  }

  /** The URL of a page of this case; say are the app's response headers on it. */
  url(page, { host = this.host, tag = this.tag, say = {}, ...query } = {}) {
    const url = new URL(`https://${host}${this.path(page, tag)}`);
    for (const [name, value] of Object.entries(say)) url.searchParams.append('say', `${name}:${value}`);
    for (const [name, values] of Object.entries(query)) {
      for (const value of [values].flat()) url.searchParams.append(name, value);
    }
    return url.href;
  }

  /** The server's events of this case, or of one page of it. */
  async events(page) {
    return (await this.stack.events()).filter((e) => this.#mine(e, page));
  }

  /** The tag's calls of this case, or of one page of it. */
  calls(page) {
    return this.stack.calls.filter((c) => this.#mine(c, page));
  }

  #mine({ path }, page) {
    return page ? [this.path(page), this.path(page, 'plain')].includes(path) : path?.split('/')[2] === this.id;
  }

  /** The requests of this case, or for one page of it. */
  async traffic(page) {
    return (await this.stack.traffic()).filter((r) => this.#mine(r, page));
  }

  /** Waits for the request of a page to be logged. */
  request(page) {
    return until(`a request for ${page}`, async () => (await this.traffic(page)).at(-1));
  }

  serverEvent(page, match = (e) => e.type === 'page') {
    return until(`the server's event of ${page}`, async () => (await this.events(page)).find(match), {
      what: () => `in ${this.id}`,
    });
  }

  tagCall(page, match = (c) => c.type === 'page') {
    return until(`the tag's call of ${page}`, () => this.calls(page).find(match), {
      what: () => `in ${this.id}; it sent ${JSON.stringify(this.calls(page))}`,
    });
  }

  /** Asserts that server and tag sent the page under one ID, and returns that. */
  async oneID(page) {
    const [server, tag] = await Promise.all([this.serverEvent(page), this.tagCall(page)]);
    assert.match(server.anonymousId, UUID);
    assert.equal(tag.anonymousId, server.anonymousId, `tag and server differ on ${page}`);
    return server.anonymousId;
  }

  /**
   * Asserts that the events of some pages all carry one ID, and returns that.
   * The wait is for a call of the tag that came late.
   */
  async onlyID(...pages) {
    await sleep(300);
    const seen = new Set();
    for (const page of pages) {
      for (const event of [...await this.events(page), ...this.calls(page)]) seen.add(event.anonymousId);
    }
    assert.equal(seen.size, 1, `one ID on ${pages.join(', ')}, not ${JSON.stringify([...seen])}`);
    return [...seen][0];
  }

  /** Waits for the tag to have a track call of this name received, and returns it. */
  async track(tab, page, event) {
    await tab.run((name) => window.tag.track(name), event);
    return this.tagCall(page, (c) => c.type === 'track' && c.event === event);
  }

  /**
   * Waits until the page in the tab has the answers to all that its tag sent.
   * Firefox keeps no page for the back button that still waits for one.
   */
  answered(tab, page) {
    const count = () => performance.getEntriesByType('resource').filter((r) => r.name.includes('//tracker.test/')).length;
    return until(`the answers to the tag's calls of ${page}`, async () => (await tab.run(count)) >= this.calls(page).length);
  }
}

/** Where the pages of another site are, which the module does not touch. */
export const ELSEWHERE = { host: 'links.elsewhere.test', tag: 'plain' };

export const READABLE = 'ajs_anonymous_id';
export const KEEPER = 'intilery_keeper';

/** The one cookie of a name, or undefined. Twins are an error in every case. */
export async function cookieOf(visitor, name) {
  const found = (await visitor.cookies()).filter((c) => c.name === name);
  assert.ok(found.length <= 1, `twins of ${name}: ${JSON.stringify(found.map((c) => c.domain))}`);
  return found[0];
}

/** The ID in a readable cookie, in either dialect. */
export const idIn = (cookie) => cookie && decodeURIComponent(cookie.value).replaceAll('"', '');

/** The cookies of ours that a response set, as name=value. */
export const ours = (request) => request.set
  .filter((line) => line.startsWith(`${READABLE}=`) || line.startsWith(`${KEEPER}=`));
