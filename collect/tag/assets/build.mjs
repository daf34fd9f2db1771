// Makes next.js, classic.js, chunks/ and LICENSES.txt; see build.sh.
//
// Both scripts run inside a function whose argument `intilery` says where they
// are (builtin.go): key, host (host and path of the endpoint), base (the same with
// its protocol) and settings.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const e2e = join(here, '../../../e2e');
const modules = join(e2e, 'node_modules');
const esbuild = createRequire(join(e2e, 'package.json'))('esbuild');

const next = join(modules, '@segment/analytics-next');
const versions = {
  '@segment/analytics-next': '1.84.3',
  '@segment/analytics.js-core': '4.1.11',
  '@segment/analytics.js-integration-segmentio': '4.4.7',
};
for (const [name, want] of Object.entries(versions)) {
  const { version } = JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8'));
  if (version !== want) throw new Error(`${name} is ${version}, want ${want}`);
}

/** Replaces each text by its replacement. Each must be there exactly that many times. */
function change(text, changes) {
  for (const [from, to, times = 1] of changes) {
    const parts = text.split(from);
    if (parts.length - 1 !== times) throw new Error(`${JSON.stringify(from)} is there ${parts.length - 1} times, want ${times}`);
    text = parts.join(to);
  }
  return text;
}

const published = (name) => readFileSync(join(next, 'dist/umd', name), 'utf8').replace(/\n?\/\/# sourceMappingURL=.*\s*$/, '\n');

/** analytics-next as published, but for where it gets its key, its settings and its chunks. */
function buildNext() {
  return change(published('standalone.js'), [
    ['window.analyticsWriteKey="__WRITE_KEY__"', 'window.analyticsWriteKey=intilery.key'],
    ['n.load({writeKey:t},e)', 'n.load({writeKey:t,cdnSettings:intilery.settings},e)'],
    // The base of chunks, whatever the page or another tag says.
    ['var r,i=n(6091),o=n(7610),a=/(https:', 'var r=intilery.base,i=n(6091),o=n(7610),a=/(https:'],
    ['"https://cdn.segment.com', 'intilery.base+"', 3],
    ['"api.segment.io/v1"', 'intilery.host'],
    // Polyfills for Internet Explorer come from a third host: do without.
    ['}()){var we=document.createElement("script");', '}()&&!1){var we=document.createElement("script");'],
    ['"https://cdnjs.cloudflare.com/ajax/libs/babel-polyfill/7.7.0/polyfill.min.js"', '""'],
  ]);
}

async function buildClassic() {
  const { outputFiles, metafile } = await esbuild.build({
    stdin: { contents: readFileSync(join(here, 'classic.entry.js'), 'utf8'), resolveDir: e2e, sourcefile: 'classic.entry.js' },
    absWorkingDir: e2e,
    bundle: true,
    minify: true,
    legalComments: 'none',
    define: { global: 'window' }, // written for bundlers that know node's global object
    metafile: true,
    write: false,
    outfile: 'classic.js',
    logLevel: 'warning',
  });
  const text = change(outputFiles[0].text, [
    ['"https://"+this.options.apiHost', 'intilery.base'],
    ['"api.segment.io/v1"', 'intilery.host', 2],
    ['"https://"+this.host', 'intilery.base'],
    // Firefox ends requests with their page in this state with status 0 and without an
    // error. Taken for an answer, the call would be forgotten; so the next page sends it.
    ['readyState===4&&(o.status===429', 'readyState===4&&o.status!==0&&(o.status===429'],
  ]);
  return { text, inputs: Object.keys(metafile.inputs) };
}

/** The folder of the package that a file belongs to, and undefined if it is of none. */
function packageOf(file) {
  const i = file.lastIndexOf('node_modules/');
  if (i < 0) return undefined;
  const [a, b] = file.slice(i + 13).split('/');
  return file.slice(0, i + 13) + (a.startsWith('@') ? `${a}/${b}` : a);
}

/** The licences of the packages. */
function licences(dirs) {
  const texts = new Map();
  for (const dir of dirs) {
    const { name, version, license, licenses, author } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
    const file = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f));
    const readme = readdirSync(dir).find((f) => /^readme/i.test(f));
    const kind = license?.type ?? license ?? licenses?.[0]?.type;
    const section = readme && /^#+\s*licen[cs]e\s*$([^]*)/im.exec(readFileSync(join(dir, readme), 'utf8'))?.[1];
    const text = file ? readFileSync(join(dir, file), 'utf8') : section ?? '';
    const by = author?.name ?? author;
    texts.set(`${name} ${version}`, [kind && `Licence: ${kind}`, by && `Author: ${by}`, '', text.replaceAll('\r', '').trim()].filter((l) => l !== undefined).join('\n').trim());
  }
  const rule = '-'.repeat(72);
  return `The scripts in this folder are made of these npm packages.\n${[...texts].sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, text]) => `\n${rule}\n${name}\n${text}\n`).join('')}`;
}

/** The packages that analytics-next was bundled from, by its source maps. */
function nextPackages(names) {
  const dirs = new Set([next]);
  for (const name of names) {
    for (const source of JSON.parse(readFileSync(join(next, 'dist/umd', `${name}.map`), 'utf8')).sources) {
      const found = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1] ?? /\/packages\/([^/]+)\//.exec(source)?.[1];
      if (!found) continue;
      const dir = [join(modules, found), join(modules, '@segment', found)].find(existsSync);
      if (dir) dirs.add(dir);
      else console.error(`not installed: ${found}`);
    }
  }
  return dirs;
}

const chunks = readdirSync(join(next, 'dist/umd')).filter((name) => /\.bundle\.[0-9a-f]+\.js$/.test(name)).sort();
const classic = await buildClassic();
const files = new Map([['next.js', buildNext()], ['classic.js', classic.text]]);
for (const name of chunks) files.set(`chunks/${name}`, published(name));
const dirs = nextPackages(['standalone.js', ...chunks]);
for (const input of classic.inputs) {
  const dir = packageOf(input);
  if (dir) dirs.add(join(e2e, dir));
}
files.set('LICENSES.txt', licences(dirs));

if (process.argv[2] === '--check') {
  const there = new Set(['chunks', '.'].flatMap((d) => readdirSync(join(here, d)).map((f) => relative(here, join(here, d, f)))));
  const bad = [...files].filter(([name, text]) => !existsSync(join(here, name)) || readFileSync(join(here, name), 'utf8') !== text).map(([name]) => name);
  for (const name of there) if (name.startsWith('chunks/') && !files.has(name)) bad.push(name);
  if (bad.length > 0) {
    console.error(`not what build.sh makes: ${bad.join(', ')}`);
    process.exit(1);
  }
} else {
  rmSync(join(here, 'chunks'), { recursive: true, force: true });
  mkdirSync(join(here, 'chunks'));
  for (const [name, text] of files) writeFileSync(join(here, name), text);
}
