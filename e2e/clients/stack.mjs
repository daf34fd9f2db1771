// The built binary with the endpoint, which can be killed, and the sandbox beside it.
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../lib/ports.mjs';
import { start } from '../lib/process.mjs';
import { until } from '../lib/wait.mjs';

const here = new URL('.', import.meta.url).pathname;
const binary = process.env.E2E_CADDY ?? `${here}../../caddy`;

export async function startStack() {
  const dir = await mkdtemp(join(tmpdir(), 'intilery-clients-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  const [port, sandboxPort, nextPort, classicPort] = await freePorts(4);
  const env = {
    HOME: dir, XDG_CONFIG_HOME: `${dir}/config`, XDG_DATA_HOME: `${dir}/data`,
    E2E_DIR: dir, E2E_PORT: port, E2E_SANDBOX_PORT: sandboxPort, E2E_NEXT_PORT: nextPort, E2E_CLASSIC_PORT: classicPort,
  };
  const root = `http://localhost:${sandboxPort}`;
  const api = `${root}/api`;
  const run = async (file, url) => {
    const caddy = start(binary, ['run', '--config', here + file, '--adapter', 'caddyfile'], { env });
    await until(`${file} to serve`, async () => {
      if (!caddy.alive()) throw new Error(`Caddy ended:\n${caddy.output()}`);
      return fetch(url).then((r) => r.ok, () => false);
    }, { what: caddy.output });
    return caddy;
  };
  const sandbox = await run('Sandbox.caddyfile', `${api}/events`);
  const site = `http://localhost:${port}`;
  let caddy = await run('Caddyfile', site);

  return {
    site,
    shops: { next: `http://localhost:${nextPort}`, classic: `http://localhost:${classicPort}` },
    output: () => caddy.output(),

    /** Ends Caddy without a warning, and starts it again. */
    async killAndRestart() {
      caddy.kill();
      await caddy.exited;
      caddy = await run('Caddyfile', site);
    },

    /** Has the receiver fail in one of its ways, or not ("none"). */
    async receiver(fault) {
      const answer = await fetch(`${root}/faults`, { method: 'POST', body: JSON.stringify({ fault }) });
      if (!answer.ok) throw new Error(`fault ${fault}: ${answer.status}`);
    },

    /** The events of one case as the receiver has them, oldest first: those whose name begins with it. */
    async events(name) {
      const events = await (await fetch(`${api}/events`)).json();
      return events.map((e) => e.raw).filter((e) => e.properties?.case === name);
    },

    /** The events of one visitor as the receiver has them, oldest first. */
    async of(anonymousId) {
      const events = await (await fetch(`${api}/events?anonymousId=${anonymousId}`)).json();
      return events.map((e) => e.raw);
    },

    async stop() {
      await caddy.stop();
      await sandbox.stop();
    },
  };
}
