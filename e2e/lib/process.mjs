import { spawn } from 'node:child_process';
import { once } from 'node:events';

const running = new Set();

/**
 * Starts a program in a process group of its own. stop() ends the group, and
 * so does the end of this process.
 */
export function start(command, args, { env = {}, cwd, stdio = 'pipe' } = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, cwd, stdio, detached: true });
  const exited = once(child, 'exit').catch(() => {});
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data) => { output = (output + data).slice(-20_000); });
  }
  running.add(child.pid);
  exited.then(() => running.delete(child.pid));
  const signal = (name) => {
    try { process.kill(-child.pid, name); } catch { /* gone already */ }
  };
  return {
    child,
    output: () => output,
    exited,
    kill: () => signal('SIGKILL'),
    alive: () => child.exitCode === null && child.signalCode === null,
    async stop() {
      signal('SIGTERM');
      const timer = setTimeout(signal, 5000, 'SIGKILL');
      await exited;
      clearTimeout(timer);
      signal('SIGKILL'); // helpers that outlived their parent
    },
  };
}

/** Ends all that was started, so that a run that has failed can end as well. */
export function killAll() {
  for (const pid of running) {
    try { process.kill(-pid, 'SIGKILL'); } catch { /* gone already */ }
  }
}

// A run that is cut short must leave nothing behind: exit runs the handlers.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(name, () => process.exit(1));
process.on('exit', killAll);
