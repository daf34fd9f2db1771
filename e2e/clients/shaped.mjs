// Bodies as SDKs of other languages send them, with their rules for trying again
// (read in analytics-python 2.3.4, analytics-ruby 2.5.0, analytics-kotlin 1.24.1 and
// analytics-swift 1.9.4).
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { sleep } from '../lib/wait.mjs';

const TRIES = 60;

/** Sends one body, in chunks if there is no length, and returns status, type and text. */
function post(url, body, headers) {
  return new Promise((resolve, reject) => {
    const req = request(url, { method: 'POST', headers }, (res) => {
      let text = '';
      res.on('data', (part) => { text += part; });
      res.on('end', () => resolve({ status: res.statusCode, type: res.headers['content-type'], text }));
      res.on('error', reject);
    });
    req.on('error', reject);
    if (headers['transfer-encoding']) {
      for (let at = 0; at < body.length; at += 100) req.write(body.subarray(at, at + 100));
      req.end();
    } else {
      req.end(body);
    }
  });
}

/** A client that sends batches of ten, one after the other, until each is taken. */
function client({ path, headers, encode, taken }) {
  return (site) => {
    const waiting = [];
    return {
      track(event) {
        waiting.push({ type: 'track', messageId: randomUUID(), timestamp: new Date().toISOString(), ...event });
      },
      async flush() {
        while (waiting.length) {
          const batch = waiting.slice(0, 10);
          for (let tries = 0; ; tries++) {
            const body = encode(batch);
            const answer = await post(site + path, body, headers(body)).catch((err) => ({ status: 0, text: String(err) }));
            if (taken(answer)) break;
            if (tries === TRIES || (answer.status >= 400 && answer.status < 429)) throw new Error(`not taken: ${JSON.stringify(answer)}`);
            await sleep(100);
          }
          waiting.splice(0, batch.length);
        }
      },
    };
  };
}

const json = (value) => Buffer.from(JSON.stringify(value));
const parses = (text) => { try { return !!JSON.parse(text); } catch { return false; } };
const sentAt = () => new Date().toISOString();

export const shaped = {
  'analytics-python': client({
    path: '/in/v1/batch',
    headers: () => ({ 'content-type': 'application/json', 'user-agent': 'analytics-python/2.3.4' }),
    encode: (batch) => json({ batch, sentAt: sentAt(), writeKey: 'secret-key' }),
    taken: ({ status }) => status === 200,
  }),
  'analytics-python, gzip': client({
    path: '/in/v1/batch',
    headers: () => ({ 'content-type': 'application/json', 'content-encoding': 'gzip', 'user-agent': 'analytics-python/2.3.4' }),
    encode: (batch) => gzipSync(json({ batch, sentAt: sentAt(), writeKey: 'secret-key' })),
    taken: ({ status }) => status === 200,
  }),
  'analytics-ruby': client({
    path: '/in/v1/import',
    headers: () => ({
      'content-type': 'application/json', accept: 'application/json', 'user-agent': 'analytics-ruby/2.5.0',
      authorization: `Basic ${Buffer.from('secret-key:').toString('base64')}`,
    }),
    encode: (batch) => json({ sentAt: sentAt(), batch }),
    taken: ({ status, text }) => status < 400 && status > 0 && parses(text),
  }),
  'analytics-kotlin': client({
    path: '/in/b',
    headers: () => ({
      'content-type': 'text/plain', 'content-encoding': 'gzip', 'transfer-encoding': 'chunked', 'user-agent': 'analytics-kotlin/1.24.1',
    }),
    encode: (batch) => gzipSync(json({ batch, sentAt: sentAt(), writeKey: 'public-key' })),
    taken: ({ status }) => status > 0 && status < 300,
  }),
  'analytics-swift': client({
    path: '/in/b',
    headers: (body) => ({ 'content-type': 'application/json; charset=utf-8', 'content-length': body.length, 'user-agent': 'analytics-ios/1.9.4' }),
    encode: (batch) => json({ batch, sentAt: sentAt(), writeKey: 'public-key' }),
    taken: ({ status }) => status >= 200 && status < 300,
  }),
  'the Tracking API': client({
    path: '/track/e2e/e2e/E2E/v1/batch',
    headers: () => ({ 'content-type': 'application/json', 'auth-token': 'sandbox-token' }),
    encode: (batch) => json({ batch, context: { library: { name: 'own', version: '1' } } }),
    taken: ({ status, text }) => status === 200 && JSON.parse(text).success === true && !!JSON.parse(text).eventId,
  }),
};
