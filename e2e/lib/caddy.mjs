// The built binary as a process, and the sandbox as another, which keeps what it has
// received when the first is killed.
import { freePorts } from './ports.mjs';
import { start } from './process.mjs';
import { until } from './wait.mjs';

const here = new URL('..', import.meta.url).pathname;
const binary = process.env.E2E_CADDY ?? `${here}../caddy`;

/** Starts Caddy with a Caddyfile below e2e/, and waits until serving() says that it serves. */
export async function startCaddy(file, { dir, env, serving }) {
  const caddy = start(binary, ['run', '--config', here + file, '--adapter', 'caddyfile'], {
    env: { HOME: dir, XDG_CONFIG_HOME: `${dir}/config`, XDG_DATA_HOME: `${dir}/data`, E2E_DIR: dir, ...env },
  });
  await until(`${file} to serve`, async () => {
    if (!caddy.alive()) throw new Error(`Caddy ended:\n${caddy.output()}`);
    return serving();
  }, { what: caddy.output });
  return caddy;
}

/** Starts Caddy likewise, as a site that can be killed and started again. */
export async function startSite(file, options) {
  let caddy = await startCaddy(file, options);
  return {
    output: () => caddy.output(),
    stop: () => caddy.stop(),

    /** Ends Caddy without a warning, and starts it again. */
    async killAndRestart() {
      caddy.kill();
      await caddy.exited;
      caddy = await startCaddy(file, options);
    },
  };
}

export async function startSandbox(dir) {
  const [port] = await freePorts(1);
  const root = `http://localhost:${port}`;
  const events = (query = '') => fetch(`${root}/api/events${query}`);
  const caddy = await startCaddy('Sandbox.caddyfile', {
    dir, env: { E2E_SANDBOX_PORT: port }, serving: () => events().then((r) => r.ok, () => false),
  });
  return {
    port,
    stop: () => caddy.stop(),

    /** What it has received, oldest first; a query selects. */
    events: async (query) => (await events(query)).json(),

    /** Has it fail in one of its ways, or not ("none"). */
    async fail(fault) {
      const answer = await fetch(`${root}/faults`, { method: 'POST', body: JSON.stringify({ fault }) });
      if (!answer.ok) throw new Error(`fault ${fault}: ${answer.status}`);
    },
  };
}
