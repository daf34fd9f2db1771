// An app with the files of its recipe, and the built binary in front of it with the
// recipe's Caddyfile, which holds the sandbox as well.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { freePorts } from '../../lib/ports.mjs';
import { killAll, start } from '../../lib/process.mjs';
import { until } from '../../lib/wait.mjs';
import { filled, placed, readRecipe } from './recipe.mjs';

const run = promisify(execFile);

const root = new URL('../../../', import.meta.url).pathname;
export const binary = process.env.E2E_CADDY ?? `${root}caddy`;

// Starting PHP, Rails or Next.js for the first time takes a while on a busy machine.
const START_SECONDS = 60;

export async function startStack(app) {
  const dir = await mkdtemp(join(tmpdir(), 'intilery-framework-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));
  const recipe = await readRecipe(app.page);
  const [site, sandbox, port, more, admin] = await freePorts(5);
  if (app.dir) await copyApp(app, dir);
  const config = app.caddyfile ?? 'Caddyfile';
  const files = Object.entries(recipe.files).filter(([name]) => !name.startsWith('Caddyfile'));
  const caddyfile = app.edit?.(recipe.files[config], recipe) ?? recipe.files[config];
  const places = {
    'localhost:8080': `localhost:${site}`,
    'localhost:8081': `localhost:${sandbox}`,
    ...app.places?.({ dir, port, more }),
  };
  await write(dir, filled({ ...Object.fromEntries(files), [config]: placed(caddyfile, places) }, app.choices));

  const processes = [];
  const stack = {
    dir, recipe, home: `http://localhost:${site}`,

    /** What the sandbox has received, oldest first. */
    events: () => get(`http://localhost:${sandbox}/api/events`),

    /** The sandbox's profiles, each with its IDs and traits. */
    profiles: () => get(`http://localhost:${sandbox}/api/profiles`),

    /** The lines of a metric, without its prefix caddy_intilery_. */
    async metric(name) {
      const all = await plainly(`http://localhost:${admin}/metrics`);
      return all.split('\n').filter((line) => line.startsWith(`caddy_intilery_${name}{`));
    },

    output: () => processes.map((p) => p.output()).join('\n'),

    async stop() {
      for (const p of processes.reverse()) await p.stop();
      await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  try {
    processes.push(...await app.start?.({ dir, port, more }) ?? []);
    processes.push(start(binary, ['run', ...(app.caddyfile ? ['--config', config] : [])], {
      cwd: dir,
      env: { HOME: dir, XDG_CONFIG_HOME: `${dir}/.xdg`, XDG_DATA_HOME: `${dir}/.xdg`, CADDY_ADMIN: `localhost:${admin}` },
    }));
    await until(`${app.title} to answer`, async () => {
      for (const p of processes) if (!p.alive()) throw new Error(`a process ended:\n${p.output()}`);
      const answers = (url) => fetch(url, { redirect: 'manual' }).then((r) => r.status < 400, () => false);
      return await answers(`http://localhost:${sandbox}/api/events`) && (app.ready === undefined || answers(stack.home + app.ready));
    }, { seconds: START_SECONDS, what: stack.output });
  } catch (err) {
    await stack.stop();
    killAll(); // also what app.start() had started when it failed
    throw err;
  }
  return stack;
}

/** Ages a site's files, and starts nothing: browsers reuse an old file longer without asking. */
export async function aged(dir) {
  await run('find', [join(dir, 'site'), '-type', 'f', '-exec', 'touch', '-d', '30 days ago', '{}', '+']);
  return [];
}

/** Copies the app with its packages, since bundlers refuse links that lead out of its folder. */
async function copyApp(app, dir) {
  await run('cp', ['-a', `${app.dir}/.`, dir]);
  for (const [name, other] of Object.entries(app.modules ?? {})) {
    await rm(join(dir, 'node_modules', name), { recursive: true });
    await rename(join(dir, 'node_modules', other), join(dir, 'node_modules', name));
  }
}

async function write(dir, files) {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
}

/** Gets a URL without the Sec-Fetch-Mode of fetch(), which Caddy's admin endpoint takes for a browser's. */
async function plainly(url) {
  const [answer] = await once(request(url).end(), 'response');
  const body = await text(answer);
  if (answer.statusCode !== 200) throw new Error(`${url}: ${answer.statusCode}`);
  return body;
}

async function get(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.json();
}
