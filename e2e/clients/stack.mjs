// The built binary with the endpoint, which can be killed, and the sandbox beside it.
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSandbox, startSite } from '../lib/caddy.mjs';
import { freePorts } from '../lib/ports.mjs';

export async function startStack() {
  const dir = await mkdtemp(join(tmpdir(), 'intilery-clients-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  const sandbox = await startSandbox(dir);
  const [port, nextPort, classicPort] = await freePorts(3);
  const site = `http://localhost:${port}`;
  const caddy = await startSite('clients/Caddyfile', {
    dir,
    env: { E2E_PORT: port, E2E_SANDBOX_PORT: sandbox.port, E2E_NEXT_PORT: nextPort, E2E_CLASSIC_PORT: classicPort },
    serving: () => fetch(site).then((r) => r.ok, () => false),
  });

  return {
    site,
    shops: { next: `http://localhost:${nextPort}`, classic: `http://localhost:${classicPort}` },
    output: caddy.output,
    killAndRestart: caddy.killAndRestart,
    receiver: sandbox.fail,

    /** The events of one case as the receiver has them, oldest first: those whose name begins with it. */
    async events(name) {
      return (await sandbox.events()).map((e) => e.raw).filter((e) => e.properties?.case === name);
    },

    /** The events of one visitor as the receiver has them, oldest first. */
    async of(anonymousId) {
      return (await sandbox.events(`?anonymousId=${anonymousId}`)).map((e) => e.raw);
    },

    async stop() {
      await caddy.stop();
      await sandbox.stop();
    },
  };
}
