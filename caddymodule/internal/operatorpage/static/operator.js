// The operator's page: asks Caddy's admin endpoint for the state of the queue, and
// shows it. All addresses are relative, so that it works under any path.
import { byId, clock, el } from "./dom.js";
import { ask, Refused } from "./ask.js";
import * as captures from "./captures.js";
import * as destinations from "./destinations.js";
import * as letters from "./letters.js";
import * as plots from "./plots.js";
import * as tables from "./tables.js";
import { bytes, duration, rate } from "./words.js";
import { problems, verdict } from "./verdict.js";

const every = 5000; // milliseconds, as often as the queue is sampled
const limit = 20000; // for an answer
let timer = null;
let last = 0; // the time of the latest sample
let history = [];
let dataDir;
let lostSince = null;

// --- polling --------------------------------------------------------------

async function poll() {
  clearTimeout(timer);
  timer = null;
  try {
    show(await ask("GET", last ? `live?since=${last}` : "live", limit));
    lostSince = null;
    byId("gone").hidden = true;
    connection("live", "Live");
  } catch (error) {
    showGone(error);
  }
  schedule();
}

// schedule asks again soon, while somebody looks.
function schedule() {
  if (document.hidden) connection("asleep", "Not updating");
  else timer ??= setTimeout(poll, every);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && timer === null) poll();
  if (document.hidden) {
    clearTimeout(timer);
    timer = null;
    connection("asleep", "Not updating");
  }
});

function connection(state, text) {
  const pill = byId("connection");
  if (pill.dataset.state === state) return;
  pill.dataset.state = state;
  pill.textContent = text;
}

// showGone says that what is on the page is old. It says it once.
function showGone(error) {
  connection("lost", "No answer");
  const first = lostSince === null;
  lostSince ??= new Date();
  if (!first) return;
  const why = error instanceof Refused && !error.gone
    ? `Caddy refuses to answer: ${error.message}.`
    : `Caddy does not answer: it has ended, its admin endpoint has moved, or the way to it is cut${error.gone ? ` (${error.message})` : ""}.`;
  byId("gone").replaceChildren(why, " What you see is from ", clock(lostSince.toISOString()), "; the page keeps trying.");
  byId("gone").hidden = false;
}

// --- the queue ------------------------------------------------------------

function show(answer) {
  const queue = answer.queues[0];
  byId("no-queue").hidden = Boolean(queue);
  byId("queue").hidden = !queue;
  if (!queue) {
    history = [];
    last = 0;
    captures.show([], null, new Date());
    document.title = "Intilery queue";
    byId("about").textContent = `caddy-intilery ${answer.version}`;
    return;
  }
  if (queue.data_dir !== dataDir) {
    if (dataDir !== undefined && last > 0) { // another queue: ask for all of its samples
      history = [];
      last = 0;
    }
    dataDir = queue.data_dir;
  }
  remember(queue.history, new Date(answer.time));
  const more = answer.queues.length > 1 ? `; ${answer.queues.length} queues are in use, until a reload is done` : "";
  const node = queue.fleet ? `node ${queue.fleet.node} of ${queue.fleet.name}, ` : "";
  byId("about").textContent = `${node}${queue.data_dir}${more}`;

  const list = problems(queue, history, answer.sites, new Date(answer.time));
  showVerdict(verdict(list, queue), list);
  showTiles(queue);
  plots.show(history, new Date(answer.time));
  destinations.show(queue);
  letters.show(queue);
  captures.show(queue.captures, queue.captures_mark, new Date(answer.time));
  tables.sites(answer.sites);
  tables.losses(queue);
  tables.fleet(queue.fleet, queue.all_destinations.lanes);
  byId("tab-fleet").hidden = !queue.fleet;
}

// remember keeps the samples of the last 15 minutes.
function remember(samples, now) {
  if (now.getTime() < last - every) { // the server's clock was set back
    history = [];
    last = 0;
  }
  history.push(...samples.filter((s) => s.time > last));
  // Those from before the clock was set back have times to come.
  history = history.filter((s) => s.time > now.getTime() - plots.span && s.time < now.getTime() + every);
  last = history.at(-1)?.time ?? 0;
}

function showVerdict({ level, title }, list) {
  byId("verdict").dataset.level = level;
  if (byId("verdict-title").textContent !== title) byId("verdict-title").textContent = title; // which is read out
  document.title = level === "bad" ? `${title} · Intilery queue` : "Intilery queue";
  const before = [...byId("problems").children].map((node) => node.textContent).join("\n");
  if (before === list.map((p) => p.text).join("\n")) return;
  byId("problems").replaceChildren(...list.map((p) => el("li", { data: { level: p.level } }, p.text)));
}

function showTiles(queue) {
  const { captured, acknowledged } = plots.rates(history);
  const lost = plots.lostOf(queue);
  byId("waiting").textContent = queue.log.pending.toLocaleString();
  byId("oldest").textContent = queue.log.pending > 0 ? duration(queue.log.oldest_age_seconds) : "–";
  byId("tile-oldest").dataset.some = String(queue.log.oldest_age_seconds > 900);
  byId("captured").textContent = rate(captured);
  byId("delivered").textContent = rate(acknowledged);
  byId("drain").textContent = slowest(queue.all_destinations);
  byId("letters").textContent = queue.dead_letters.kept.toLocaleString();
  byId("tile-letters").dataset.some = String(queue.dead_letters.kept > 0);
  byId("losses").textContent = lost.toLocaleString();
  byId("tile-losses").dataset.some = String(lost > 0);
  byId("free").textContent = queue.log.free_bytes > 0 ? bytes(queue.log.free_bytes) : "unknown";
}

// slowest words how long the last of the destinations takes.
function slowest(all) {
  if (all.waiting === 0) return "–";
  if (all.waiting_paused > 0) return "paused";
  return all.drain_seconds === undefined ? "unknown" : duration(all.drain_seconds);
}

// --- tabs -----------------------------------------------------------------

const tabs = [...byId("tabs").children];

function select(tab, focus = false) {
  for (const t of tabs) {
    const on = t === tab;
    t.setAttribute("aria-selected", String(on));
    t.tabIndex = on ? 0 : -1;
    byId(t.getAttribute("aria-controls")).hidden = !on;
  }
  if (focus) tab.focus();
  window.history.replaceState(null, "", tab.id.replace("tab-", "#")); // a reload comes back to it
  if (tab.id === "tab-letters") letters.load();
}

for (const tab of tabs) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (key) => {
    const shown = tabs.filter((t) => !t.hidden);
    const at = shown.indexOf(tab);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: shown.length - 1 }[key.key];
    if (to === undefined) return;
    key.preventDefault();
    select(shown[(to + shown.length) % shown.length], true);
  });
}

// --- start ----------------------------------------------------------------

letters.start(poll);
const wanted = tabs.find((t) => location.hash === t.id.replace("tab-", "#"));
if (wanted) select(wanted);
poll();
