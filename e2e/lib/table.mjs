// A reporter for node's test runner: the table of case x browser in Markdown,
// which run.sh prints and docs/identity.md shows.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const version = (name) => JSON.parse(readFileSync(new URL(`../package.json`, import.meta.url))).devDependencies[name];

/** Begins the diagnostic of a case that failed and was tried anew. */
export const UNSTEADY = 'unsteady';

export default async function* table(source) {
  const path = [];
  const columns = [];
  const rows = new Map();
  let last; // the case whose diagnostics follow its result
  for await (const { type, data } of source) {
    if (type === 'test:diagnostic' && data.message.startsWith(UNSTEADY) && last?.row[last.column] === 'yes') {
      last.row[last.column] = 'yes, unsteady';
    }
    if (type === 'test:start') path[data.nesting] = data.name;
    if ((type !== 'test:pass' && type !== 'test:fail') || data.nesting !== 2) continue;
    const column = `${path[0]}, ${path[1]}`;
    if (!columns.includes(column)) columns.push(column);
    const row = rows.get(data.name) ?? {};
    rows.set(data.name, row);
    last = { row, column };
    if (data.skip !== undefined) row[column] = typeof data.skip === 'string' ? data.skip : 'not run';
    else row[column] = type === 'test:pass' ? 'yes' : '**no**';
  }
  const caddy = process.env.E2E_CADDY ?? new URL('../../caddy', import.meta.url).pathname;
  yield `Last run: ${new Date().toISOString().slice(0, 10)}, Caddy ${execFileSync(caddy, ['version']).toString().split(' ')[0].trim()}, `
    + `\`classic\` is analytics.js-core ${version('@segment/analytics.js-core')} with its segmentio integration `
    + `${version('@segment/analytics.js-integration-segmentio')}, \`next\` is analytics-next ${version('@segment/analytics-next')}.\n\n`;
  yield `| case | ${columns.join(' | ')} |\n|---|${columns.map(() => '---|').join('')}\n`;
  for (const [name, row] of rows) yield `| ${name} | ${columns.map((c) => row[c] ?? 'not run').join(' | ')} |\n`;
}
