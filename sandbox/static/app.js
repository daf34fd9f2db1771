// The page of the sandbox: the stream of events, the counters, the faults and
// the tabs. All addresses are relative, so that it works under any path.
import { byId, clock, el, keyed, plural } from "./dom.js";
import * as events from "./events.js";
import * as profiles from "./profiles.js";

const faultTexts = {
  429: ["Fault on: 429 Too Many Requests.", "Every tracking request is told to come back in 2 seconds."],
  503: ["Fault on: 503 Service Unavailable.", "Every tracking request fails. The queue keeps its events."],
  403: ["Fault on: 403 Forbidden.", "Every token is refused. The queue keeps everything and probes."],
  slow: ["Fault on: slow.", "Every tracking request is answered after 5 seconds."],
  drop: ["Fault on: dropped connections.", "Every tracking request is cut off without an answer."],
};

// --- stream ---------------------------------------------------------------

const reopenAfter = 2000; // milliseconds
let lastId = "";
let pending = [];
let state = null;
let flushTimer = null;

function connect() {
  const source = new EventSource(lastId ? `events?after=${encodeURIComponent(lastId)}` : "events");
  const on = (type, handle) => source.addEventListener(type, (message) => {
    lastId = message.lastEventId;
    handle(JSON.parse(message.data));
  });
  on("call", (call) => later(() => pending.push(call)));
  on("state", (next) => later(() => { state = next; }));
  on("clear", () => {
    pending = [];
    events.clear();
    later(() => {});
  });
  source.addEventListener("open", () => showConnection("live", "Live"));
  source.addEventListener("error", () => {
    showConnection("lost", "Reconnecting");
    // The browser comes back by itself after a broken connection, but not
    // after an error status, such as that of a proxy during a restart.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, reopenAfter);
  });
}

// later applies a change together with those that come at the same time.
function later(change) {
  change();
  flushTimer ??= setTimeout(flush, 40);
}

function flush() {
  flushTimer = null;
  let fresh = 0;
  for (const call of pending) if (events.apply(call)) fresh++;
  pending = [];
  if (state) {
    events.trim(state.stats.keep);
    showCounters(state.stats);
    showFault(state.fault);
    showSite(state.site);
  }
  events.refresh();
  profiles.invalidate();
  if (fresh > 0) announce(fresh);
}

function showConnection(name, text) {
  const pill = byId("connection");
  pill.dataset.state = name;
  pill.textContent = text;
}

let unannounced = 0;
let announceTimer = null;

// announce tells a screen reader about new events, at most every 3 s.
function announce(count) {
  unannounced += count;
  announceTimer ??= setTimeout(() => {
    byId("announcer").textContent = plural(unannounced, "new event");
    unannounced = 0;
    announceTimer = null;
  }, 3000);
}

// --- counters -------------------------------------------------------------

function showCounters(stats) {
  const rejected = stats.rejected.reduce((sum, r) => sum + r.count, 0);
  byId("count-events").textContent = stats.events.toLocaleString();
  byId("count-duplicates").textContent = stats.duplicates.toLocaleString();
  byId("count-requests").textContent = stats.requests.toLocaleString();
  byId("count-rejected").textContent = rejected.toLocaleString();
  byId("tile-rejected").dataset.some = String(rejected > 0);
  byId("rejections").hidden = rejected === 0;
  keyed(byId("rejection-list"), stats.rejected, (r) => r.answer, makeRejection, fillRejection);
}

function makeRejection(r) {
  const node = el("li", {},
    el("span", { className: "status" }, r.answer),
    el("span", { className: "times" }),
    el("span", { className: "message" }),
    el("time"),
  );
  fillRejection(node, r);
  return node;
}

function fillRejection(node, r) {
  node.querySelector(".times").textContent = `×${r.count.toLocaleString()}`;
  node.querySelector(".message").textContent = r.message;
  node.querySelector("time").replaceWith(clock(r.at));
}

// showSite links to the site whose events are to come, if the sandbox knows it.
function showSite(site) {
  if (!site) return;
  for (const link of document.querySelectorAll(".site")) {
    link.setAttribute("href", site);
    link.textContent = new URL(site).host;
  }
}

// --- faults ---------------------------------------------------------------

function showFault(fault) {
  const [title, text] = faultTexts[fault] ?? ["", ""];
  const banner = byId("fault-banner");
  // Its button goes with it, and must not take the focus along.
  if (title === "" && banner.contains(document.activeElement)) byId("faults").firstElementChild.focus();
  banner.hidden = title === "";
  if (byId("fault-title").textContent !== title) {
    byId("fault-title").textContent = title;
    byId("fault-text").textContent = text;
  }
  document.body.dataset.fault = fault;
  document.title = title ? `Fault on: ${fault} · Intilery sandbox` : "Intilery sandbox";
  for (const choice of byId("faults").children) choice.setAttribute("aria-pressed", String(choice.value === fault));
}

async function setFault(fault) {
  const answer = await fetch("faults", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ fault }),
  }).catch(() => null);
  const hint = byId("fault-hint");
  hint.dataset.failed = String(!answer?.ok);
  hint.textContent = answer?.ok
    ? "Watch the queue keep its events, and then drain."
    : "The sandbox could not be reached. Try again.";
}

// --- tabs -----------------------------------------------------------------

const tabs = [byId("tab-events"), byId("tab-profiles")];

function select(tab, focus = false) {
  for (const t of tabs) {
    const on = t === tab;
    t.setAttribute("aria-selected", String(on));
    t.tabIndex = on ? 0 : -1;
    byId(t.getAttribute("aria-controls")).hidden = !on;
  }
  if (focus) tab.focus();
  history.replaceState(null, "", tab.id === "tab-profiles" ? "#profiles" : "#events");
  profiles.invalidate();
}

// --- start ----------------------------------------------------------------

for (const tab of tabs) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (key) => {
    if (key.key !== "ArrowLeft" && key.key !== "ArrowRight") return;
    select(tabs[1 - tabs.indexOf(tab)], true);
  });
}
byId("faults").addEventListener("click", (click) => {
  const choice = click.target.closest("button");
  if (choice) setFault(choice.value);
});
byId("fault-off").addEventListener("click", () => setFault("none"));
byId("clear").addEventListener("click", async () => {
  try {
    await fetch("api/events", { method: "DELETE" });
  } catch {
    // The connection's state already says that the sandbox is away.
  }
});
const here = new URL(".", location.href);
byId("snippet").textContent = `endpoint ${here.origin}${here.pathname.replace(/\/$/, "")}`;
if (location.hash === "#profiles") select(tabs[1]);
events.start();
connect();
