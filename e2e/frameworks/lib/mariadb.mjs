import { execFile } from 'node:child_process';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';
import { start } from '../../lib/process.mjs';
import { until } from '../../lib/wait.mjs';

const run = promisify(execFile);

/** Starts Debian's MariaDB with data and socket in dir, without a network, and makes a database. */
export async function startMariaDB(dir, database) {
  const data = `${dir}/mariadb`;
  const socket = `${dir}/mariadb.sock`;
  const user = userInfo().username;
  await run('mariadb-install-db', ['--no-defaults', `--datadir=${data}`, `--user=${user}`, '--skip-test-db', '--auth-root-authentication-method=normal']);
  const mariadb = start('/usr/sbin/mariadbd', [
    '--no-defaults', `--datadir=${data}`, `--socket=${socket}`, `--pid-file=${dir}/mariadb.pid`, `--user=${user}`,
    '--skip-networking', '--innodb-buffer-pool-size=32M', '--innodb-flush-log-at-trx-commit=0',
  ]);
  const sql = (statement) => run('mariadb', ['--no-defaults', `--socket=${socket}`, '--user=root', '-e', statement]);
  await until('MariaDB to answer', async () => {
    if (!mariadb.alive()) throw new Error(`MariaDB ended:\n${mariadb.output()}`);
    return sql('SELECT 1').then(() => true, () => false);
  }, { what: mariadb.output });
  await sql(`CREATE DATABASE ${database}`);
  return mariadb;
}
