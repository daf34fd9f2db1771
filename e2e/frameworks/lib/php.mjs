// php-fpm and PHP's command line, of Debian, with nothing of the machine's defaults.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { access, readdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';
import { start } from '../../lib/process.mjs';
import { until } from '../../lib/wait.mjs';

const run = promisify(execFile);

/** What the pages call the socket of php-fpm. */
export const SOCKET = 'unix//run/php/php-fpm.sock';

export const socketOf = (dir) => `unix/${dir}/php-fpm.sock`;

/** Starts a pool of php-fpm for one app. Answers are sent from its socket in dir. */
export async function startFPM(dir) {
  const [version] = (await readdir('/usr/sbin')).filter((name) => /^php-fpm\d/.test(name)).toSorted().reverse();
  const log = `${dir}/php.log`;
  await writeFile(log, '');
  await writeFile(`${dir}/php-fpm.conf`, `[global]
error_log = ${log}
daemonize = no
[app]
user = ${userInfo().username}
listen = ${dir}/php-fpm.sock
pm = static
pm.max_children = 3
php_admin_value[error_log] = ${log}
php_admin_value[display_errors] = off
php_admin_value[session.save_path] = ${dir}
php_admin_value[sendmail_path] = /bin/false
`);
  // -R lets the pool run as root, where CI is.
  const process = start(`/usr/sbin/${version}`, ['-R', '-F', '-y', `${dir}/php-fpm.conf`], { cwd: dir });
  const fpm = { ...process, output: () => process.output() + readFileSync(log, 'utf8') };
  await until('php-fpm to listen', async () => {
    if (!fpm.alive()) throw new Error(`php-fpm ended:\n${fpm.output()}`);
    return access(`${dir}/php-fpm.sock`).then(() => true, () => false);
  }, { what: fpm.output });
  return fpm;
}

/** Runs a script of the app to its end. */
export async function php(dir, script, ...args) {
  const { stdout } = await run('php', [script, ...args], { cwd: dir });
  return stdout;
}
