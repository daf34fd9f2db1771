// A person at a browser of their own, and the events that arrive of them.
import assert from 'node:assert/strict';
import { until } from '../../lib/wait.mjs';

export const READABLE = 'ajs_anonymous_id';

export class Visitor {
  /** A browser that has never been here. */
  static async arrive(stack, chromium) {
    const context = await chromium.newContext({ locale: 'en-GB' });
    context.setDefaultTimeout(20_000);
    return new Visitor(stack, context, await context.newPage());
  }

  constructor(stack, context, page) {
    this.stack = stack;
    this.context = context;
    this.page = page;
    this.ids = new Set(); // every anonymousId that this browser has had
    this.told = []; // names of headers that no browser should see
    context.on('response', async (response) => {
      const headers = await response.allHeaders().catch(() => ({}));
      this.told.push(...Object.keys(headers).filter((name) => /^intilery[^a-z0-9]/i.test(name)));
    });
  }

  async leave() {
    await this.context.close();
  }

  /** The anonymousId in the browser's cookie, or undefined. */
  async id() {
    const found = (await this.context.cookies()).filter((c) => c.name === READABLE);
    assert.ok(found.length <= 1, 'one cookie with an anonymousId');
    const id = found[0] && decodeURIComponent(found[0].value).replaceAll('"', '');
    if (id) this.ids.add(id);
    return id;
  }

  /** Opens a page by its address, and returns the anonymousId. */
  async open(path) {
    await this.page.goto(this.stack.home + path, { waitUntil: 'load' });
    return this.id();
  }

  /** Fills a form as the app describes it and sends it off; what comes next is loaded. */
  async submit(form, person = {}) {
    if (form.at !== undefined) await this.open(form.at);
    for (const [selector, member] of Object.entries(form.fill ?? {})) {
      await this.page.fill(selector, person[member] ?? '');
    }
    if (form.hover) await this.page.hover(form.hover);
    if (form.shows) {
      await this.page.click(form.press);
      await this.page.waitForSelector(form.shows);
    } else {
      await Promise.all([this.page.waitForEvent('load'), this.page.click(form.press)]);
    }
    return this.id();
  }

  /** The events of this browser, oldest first. */
  async events() {
    return (await this.stack.events()).filter((e) => this.ids.has(e.anonymousId)).map((e) => ({
      type: e.type, name: e.name, anonymousId: e.anonymousId, userId: e.userId, messageId: e.messageId, at: e.timestamp,
      traits: e.raw.traits, properties: e.raw.properties, page: e.context?.page, campaign: e.context?.campaign,
    }));
  }

  /** Waits for an event of this browser that matches, and returns it. */
  event(name, match) {
    return until(name, async () => (await this.events()).find(match), {
      what: () => `of ${[...this.ids]}`,
    });
  }

  /** Waits for the page event of a path. */
  pageEvent(path, match = () => true) {
    return this.event(`a page event of ${path}`, (e) => e.type === 'page' && e.page?.path === path && match(e));
  }

  track(name, match = () => true) {
    return this.event(`the track ${name}`, (e) => e.type === 'track' && e.name === name && match(e));
  }

  identify(match = () => true) {
    return this.event('an identify', (e) => e.type === 'identify' && match(e));
  }

  /**
   * The events of this browser after all of them have arrived: the events of a
   * visitor keep their order, so what a later page view made is their end.
   */
  async all(path) {
    const known = new Set((await this.events()).map((e) => e.messageId));
    await this.open(path);
    await this.pageEvent(path, (e) => !known.has(e.messageId));
    return this.events();
  }
}
