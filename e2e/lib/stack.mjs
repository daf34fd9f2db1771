// Everything on the server's side: the built binary, the app behind it, the
// sandbox, and the records from which the cases read what happened.
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTLS } from 'node:tls';
import { loadTags, startApp } from './app.mjs';
import { startSandbox, startSite } from './caddy.mjs';
import { freePorts } from './ports.mjs';
import { Remote } from './remote.mjs';
import { until } from './wait.mjs';

const here = new URL('..', import.meta.url).pathname;

export async function startStack() {
  const dir = await mkdtemp(join(tmpdir(), 'intilery-e2e-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  const remote = new Remote();
  const app = await startApp({ tags: await loadTags(`${here}build`), remote });
  const sandbox = await startSandbox(dir);
  const [port] = await freePorts(1);
  const key = randomBytes(32);
  const caddy = await startSite('Caddyfile', {
    dir,
    env: { E2E_PORT: port, E2E_APP_PORT: app.port, E2E_SANDBOX_PORT: sandbox.port, E2E_KEY: key.toString('base64') },
    serving: () => listens(port),
  });
  // Now and then Caddy does not get a certificate from its own authority, and would
  // try again after a minute.
  const hosts = (await readFile(`${here}Caddyfile`, 'utf8')).match(/(?<=https:\/\/)[a-z.]+\.test/g);
  const certified = () => until('all certificates', async () => (
    await Promise.all(hosts.map((host) => greets(port, host)))).every(Boolean), { seconds: 10, what: caddy.output });
  await certified().catch(async () => {
    await caddy.killAndRestart();
    await certified();
  });

  return {
    dir, port, key, remote, calls: app.calls, requests: app.requests,
    killAndRestart: caddy.killAndRestart,
    receiver: sandbox.fail,

    /** The events that the receiver has, oldest first. */
    async events() {
      return (await sandbox.events()).map((e) => ({
        type: e.type, event: e.name, anonymousId: e.anonymousId, userId: e.userId, path: e.context?.page?.path,
        campaign: e.context?.campaign, messageId: e.raw.messageId, timestamp: e.raw.timestamp, properties: e.raw.properties,
      }));
    },

    /** Requests and answers as Caddy saw them, in the order in which they were answered. */
    async traffic() {
      const log = await readFile(`${dir}/access.log`, 'utf8').catch(() => '');
      return log.split('\n').filter(Boolean).map((line) => {
        const { request, resp_headers: answer, status, identity } = JSON.parse(line);
        return {
          host: request.host, method: request.method, path: request.uri.split('?')[0], status, identity,
          referer: request.headers.Referer?.[0],
          purpose: request.headers['Sec-Purpose']?.[0], dest: request.headers['Sec-Fetch-Dest']?.[0],
          cookies: (request.headers.Cookie ?? []).join('; '),
          set: answer['Set-Cookie'] ?? [], headers: answer,
        };
      });
    },

    async stop() {
      await caddy.stop();
      await sandbox.stop();
      await app.stop();
    },
  };
}

/** Whether a server accepts connections to a port. */
function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true); });
    socket.on('error', () => resolve(false));
  });
}

/** Whether a host is served over TLS. */
function greets(port, servername) {
  return new Promise((resolve) => {
    const socket = connectTLS({ port, host: '127.0.0.1', servername, rejectUnauthorized: false }, () => { socket.destroy(); resolve(true); });
    socket.setTimeout(2000, () => { socket.destroy(); resolve(false); });
    socket.on('error', () => resolve(false));
  });
}
