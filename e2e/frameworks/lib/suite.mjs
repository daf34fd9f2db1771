// Registers the journeys for one app; see journey.mjs for what it must provide.
import assert from 'node:assert/strict';
import { after, before as beforeAll, describe, test } from 'node:test';
import { chromium } from 'playwright-core';
import { steadily } from '../../lib/steady.mjs';
import { until } from '../../lib/wait.mjs';
import { journeys } from './journey.mjs';
import { startStack } from './stack.mjs';
import { Visitor } from './visitor.mjs';

let people = 0;

/** What a case works with: its visitors, and people who were never here. */
class Case {
  constructor(app, stack, browser) {
    Object.assign(this, { app, stack, browser, visitors: [] });
  }

  async visitor() {
    const visitor = await Visitor.arrive(this.stack, this.browser);
    this.visitors.push(visitor);
    return visitor;
  }

  person() {
    return this.app.person(++people);
  }

  /** Waits until the sandbox's profile of a user has these IDs and traits. */
  async profile(userId, { anonymousIds, traits }) {
    let profile;
    await until(`the profile of ${userId}`, async () => {
      profile = (await this.stack.profiles()).find((p) => p.userIds.includes(userId));
      return profile && !(anonymousIds && profile.anonymousIds.length < anonymousIds.length);
    });
    assert.deepEqual(profile.userIds, [userId]);
    if (anonymousIds) assert.deepEqual(profile.anonymousIds.toSorted(), anonymousIds.toSorted());
    if (traits) assert.deepEqual(profile.traits, traits);
  }

  async end() {
    for (const visitor of this.visitors) await visitor.leave();
  }
}

async function once(t, run, c) {
  const refused = () => c.stack.metric('headers_rejected_total');
  const before = await refused();
  try {
    await run(c.app, c);
    for (const { told } of c.visitors) assert.deepEqual(told, [], 'no header of ours reaches a browser');
    assert.deepEqual(await refused(), before, 'nothing that the recipe says is refused');
  } catch (err) {
    for (const visitor of c.visitors) {
      t.diagnostic(`at ${visitor.page.url()}: ${JSON.stringify(await visitor.events())}`);
    }
    t.diagnostic(c.stack.output().slice(-3000));
    throw err;
  } finally {
    await c.end();
  }
}

const has = (app, need) => app.forms?.[need] ?? app[need];

/** more are cases of this app alone, as { name, run(app, case) }; with app.solo there are no others. */
export function suite(app, more = []) {
  describe(app.title, () => {
    let stack, browser;
    beforeAll(async () => {
      browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
      });
      stack = await startStack(app);
    });
    after(async () => {
      await browser?.close();
      await stack?.stop();
    });
    const common = app.solo ? [] : journeys.filter(({ needs = [] }) => app.forms || needs.length === 0);
    for (const { name, needs = [], run } of [...common, ...more]) {
      const missing = needs.filter((need) => !has(app, need));
      test(name, { skip: missing.length > 0 && `the app has no ${missing}`, timeout: 90_000 },
        (t) => steadily(t, () => once(t, run, new Case(app, stack, browser))));
    }
  });
}
