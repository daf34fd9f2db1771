// Everything on the server's side: the built binary, the app behind it, the
// sandbox, and the records from which the cases read what happened.
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadTags, startApp } from './app.mjs';
import { freePorts } from './ports.mjs';
import { start } from './process.mjs';
import { Remote } from './remote.mjs';
import { until } from './wait.mjs';

const here = new URL('..', import.meta.url).pathname;

export async function startStack() {
  const dir = await mkdtemp(join(tmpdir(), 'intilery-e2e-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  const remote = new Remote();
  const app = await startApp({ tags: await loadTags(`${here}build`), remote });
  const [port, sandbox] = await freePorts(2);
  const key = randomBytes(32);
  const caddy = start(process.env.E2E_CADDY ?? `${here}../caddy`, ['run', '--config', `${here}Caddyfile`, '--adapter', 'caddyfile'], {
    env: {
      HOME: dir, XDG_CONFIG_HOME: `${dir}/config`, XDG_DATA_HOME: `${dir}/data`,
      E2E_DIR: dir, E2E_PORT: port, E2E_APP_PORT: app.port, E2E_SANDBOX_PORT: sandbox, E2E_KEY: key.toString('base64'),
    },
  });
  const api = `http://localhost:${sandbox}/api/events`;
  await until('Caddy to serve', async () => {
    if (!caddy.alive()) throw new Error(`Caddy ended:\n${caddy.output()}`);
    return fetch(api).then((r) => r.ok, () => false);
  }, { what: caddy.output });

  return {
    dir, port, key, remote, calls: app.calls, requests: app.requests,

    /** The events that the server sent, oldest first. */
    async events() {
      const events = await (await fetch(api)).json();
      return events.map((e) => ({
        type: e.type, event: e.name, anonymousId: e.anonymousId, userId: e.userId, path: e.context?.page?.path,
        campaign: e.context?.campaign,
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
      await app.stop();
    },
  };
}
