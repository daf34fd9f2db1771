// Clients that nobody here wrote, against the built binary: what each sends arrives
// once, with its IDs and in its order, while the receiver fails and Caddy is killed.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { published } from './clients/published.mjs';
import { shaped } from './clients/shaped.mjs';
import { startStack } from './clients/stack.mjs';
import { until } from './lib/wait.mjs';

const USERS = 3;
const EVENTS = 60; // a multiple of USERS

const anonymous = (user) => `0b7e3f52-5a0e-4f6e-8f2f-00000000000${user}`;

describe('clients of other makers', () => {
  let stack;
  before(async () => { stack = await startStack(); });
  after(() => stack?.stop());

  for (const [name, make] of Object.entries({ ...published, ...shaped })) {
    test(name, { timeout: 120_000 }, async () => {
      const client = make(stack.site);
      const send = (through, from, to) => {
        for (let n = from; n < to; n++) {
          const user = n % USERS;
          through.track({ userId: `user ${user}`, anonymousId: anonymous(user), event: 'Counted', properties: { case: name, n } });
        }
      };
      await stack.receiver('503');
      send(client, 0, EVENTS / 2);
      await Promise.all([client.flush(), stack.killAndRestart()]);
      const second = make(stack.site);
      send(second, EVENTS / 2, EVENTS);
      await second.flush();
      await stack.receiver('none');

      const events = await until(`${EVENTS} events of ${name}`, async () => {
        const got = await stack.events(name);
        return got.length >= EVENTS && got;
      }, { seconds: 60, what: stack.output });
      // The receiver knows a repeat by its messageId, and keeps the first.
      assert.equal(events.length, EVENTS, 'each once');
      assert.equal(new Set(events.map((e) => e.messageId)).size, EVENTS, 'one messageId each');
      for (let user = 0; user < USERS; user++) {
        const of = events.filter((e) => e.userId === `user ${user}`);
        const numbers = of.map((e) => e.properties.n);
        if (client.batch) numbers.sort((a, b) => client.batch(a) - client.batch(b)); // a stable sort
        assert.deepEqual(numbers, [...Array(EVENTS / USERS).keys()].map((i) => i * USERS + user), `order of user ${user}`);
        assert.ok(of.every((e) => e.anonymousId === anonymous(user) && e.event === 'Counted'), 'IDs and name');
      }
    });
  }

  test('a command arrives untouched, after its identify', { timeout: 60_000 }, async () => {
    const call = (action, body) => fetch(`${stack.site}/track/e2e/e2e/E2E/v1/${action}`, {
      method: 'POST', headers: { 'content-type': 'application/json', 'auth-token': 'sandbox-token' }, body: JSON.stringify(body),
    });
    const command = { event: 'send_email', userId: 'commanded', assetId: 42, mergeData: { a: [1] }, properties: { case: 'command' }, context: { locale: 'en', timezone: 'Europe/London' } };
    const identified = await call('identify', { event: 'identify', userId: 'commanded', messageId: 'id-1', traits: { email: 'a@example.com' }, properties: { case: 'command' } });
    assert.deepEqual(await identified.json(), { success: true, eventId: 'id-1' });
    assert.equal((await call('track', command)).status, 200);
    const [first, second] = await until('the command', async () => {
      const got = await stack.events('command');
      return got.length === 2 && got;
    }, { seconds: 30, what: stack.output });
    assert.equal(first.event, 'identify');
    const { messageId, timestamp, sentAt, type, ...rest } = second;
    assert.deepEqual(rest, command);
    assert.ok(messageId && timestamp && sentAt && type === 'track');

    const nobody = await call('track', { event: 'x' });
    assert.equal(nobody.status, 400);
    assert.deepEqual(await nobody.json(), { success: false, message: 'userId must not be empty' });
    const stranger = await fetch(`${stack.site}/track/e2e/e2e/E2E/v1/track`, { method: 'POST', headers: { 'auth-token': 'wrong' }, body: '{}' });
    assert.equal(stranger.status, 403);
  });
});
