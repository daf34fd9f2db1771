// Writes User-Agents of public lists to stdout, one JSON object a line:
//
//   {"list": "crawler-user-agents", "kind": "crawler" | "human", "agent": "..."}
//
// Crawlers: the instances of the npm package crawler-user-agents, without the
// entries that it tags as HTTP libraries or browser automation. (The package
// isbot has patterns only, no instances.)
//
// Humans: the recorded traffic in the npm package user-agents, of today and of
// years in which User-Agents still named the device; and each device that
// node-device-detector (Matomo's list) knows, put into the User-Agents of
// browsers and of apps that name it.
//
// Arguments are files of further lists in the same form.
//
// No list is sorted by hand:
//   - a crawler that a library pattern of crawler-user-agents matches is left out;
//   - recorded traffic has crawlers in it: what isbot calls one is left out of the
//     humans, but for the device names.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import entries from 'crawler-user-agents';
import { isbot } from 'isbot';

const require = createRequire(import.meta.url);

const DEVICES = 'device names';
const LIBRARY_TAGS = ['http-library', 'browser-automation'];

const isLibrary = (entry) => entry.tags.some((tag) => LIBRARY_TAGS.includes(tag));
const library = new RegExp(entries.filter(isLibrary).map((entry) => `(?:${entry.pattern})`).join('|'));

const left = {};
const seen = new Set();
let out = [];

function write(list, kind, agent) {
	if (!agent || seen.has(`${list}\n${agent}`)) return;
	seen.add(`${list}\n${agent}`);
	const outOfScope = kind === 'crawler' ? library.test(agent) : list !== DEVICES && isbot(agent);
	if (outOfScope) {
		const what = `${list}: ${kind === 'crawler' ? 'HTTP libraries and headless browsers' : 'crawlers among the humans'}`;
		left[what] = (left[what] ?? 0) + 1;
		return;
	}
	out.push(JSON.stringify({ list, kind, agent }));
	if (out.length === 1000) flush();
}

function flush() {
	if (out.length) process.stdout.write(out.join('\n') + '\n');
	out = [];
}

for (const entry of entries.filter((entry) => !isLibrary(entry))) {
	for (const agent of entry.instances) write('crawler-user-agents', 'crawler', agent);
}

// Releases before 2.0 keep their data compressed and do not export it.
const archive = (name) => JSON.parse(gunzipSync(readFileSync(new URL(`../node_modules/${name}/src/user-agents.json.gz`, import.meta.url))));
const traffic = [
	require('../node_modules/user-agents/dist/user-agents.json'),
	...['user-agents-2018', 'user-agents-2019', 'user-agents-2021', 'user-agents-2023'].map(archive),
];
for (const { userAgent } of traffic.flat()) write('user-agents', 'human', userAgent);

// The index has its names in lower case.
const upper = (name) => name.toUpperCase();
const title = (name) => name.replace(/\b[a-z]/g, upper);
const chrome = (name) => `Mozilla/5.0 (Linux; Android 13; ${name}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Mobile Safari/537.36`;
const webView = (name) => `Mozilla/5.0 (Linux; Android 13; ${name} Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/124.0.0.0 Mobile Safari/537.36`;
const forms = [
	(name) => chrome(name),
	(name) => chrome(title(name)),
	(name) => chrome(upper(name)),
	(name) => `UCWEB/2.0 (MIDP-2.0; U; Adr 13; en-US; ${title(name)}) U2/1.0.0 UCBrowser/10.7.6.805 U2/1.0.0 Mobile`,
	(name) => `${webView(title(name))} Instagram 237.0.0.14.102 Android (33/13; 480dpi; 1080x2340; ${title(name)}; qcom; en_US)`,
	(name) => `${webView(title(name))} [FB_IAB/FB4A;FBAV/460.0.0.32.109;FBMF/${title(name)};FBDV/${title(name)};FBCR/Vodafone.de;]`,
];
for (const name of Object.keys(require('node-device-detector/regexes/device-index-hash.js'))) {
	for (const form of forms) write(DEVICES, 'human', form(name));
}

for (const file of process.argv.slice(2)) {
	for (const line of readFileSync(file, 'utf8').split('\n').filter(Boolean)) {
		const { list, kind, agent } = JSON.parse(line);
		write(list, kind, agent);
	}
}
flush();
for (const [what, count] of Object.entries(left)) console.error(`left out of ${what}: ${count}`);
