// The dead letters: listed without their events, which are fetched one by one when
// asked for; replayed; and purged, after a question.
import { ask } from "./ask.js";
import { badge, byId, clock, el, keyed, plural } from "./dom.js";
import { eventButton } from "./event.js";
import { words } from "./words.js";

const most = 100; // that are listed
let known = null; // how many there were when they were listed last
let kept = 0;
let mark; // of erasures, which take letters too
let loading = null; // the promise of a list
let changed = () => {};
// What the question that is open resolves. The event close would not do: it may come
// when the next question is open already.
let answer = () => {};

// start wires the buttons. onChange is called when letters were replayed or purged.
export function start(onChange) {
  changed = onChange;
  byId("replay-all").addEventListener("click", () => replay(""));
  byId("purge-all").addEventListener("click", async () => {
    if (await confirmed("Purge all dead letters?", `${plural(kept, "event")} will be gone for good.`)) purge("all=true");
  });
  const close = (yes) => {
    byId("confirm").close();
    answer(yes);
  };
  byId("confirm-no").addEventListener("click", () => close(false));
  byId("confirm-yes").addEventListener("click", () => close(true));
  byId("confirm").addEventListener("cancel", () => answer(false)); // by Escape
}

// show takes the count in, and lists the letters again when it has changed.
export function show(queue) {
  kept = queue.dead_letters.kept;
  byId("tab-letters-count").textContent = kept > 0 ? kept.toLocaleString() : "";
  if (queue.captures_mark !== mark) known = null;
  mark = queue.captures_mark;
  if (!byId("panel-letters").hidden && kept !== known) load();
  empty();
}

function empty() {
  byId("no-letters").hidden = kept > 0;
  byId("replay-all").hidden = kept === 0;
  byId("purge-all").hidden = kept === 0;
}

// load lists the letters.
export function load() {
  loading ??= list().finally(() => { loading = null; });
  return loading;
}

async function list() {
  const asked = kept;
  try {
    const { letters, matched, damaged } = await ask("GET", `dead-letters?limit=${most}`);
    known = asked;
    const latest = letters.toReversed();
    keyed(byId("letters-list"), latest, (l) => `${l.destination} ${l.message_id} ${l.time}`, makeRow);
    noteList([
      matched > latest.length ? `The latest ${latest.length} of ${plural(matched, "dead letter")}.` : "",
      damaged > 0 ? `${plural(damaged, "damaged line")} cannot be read.` : "",
    ].filter(Boolean).join(" "));
  } catch (error) {
    noteList(`They cannot be listed: ${error.message}`);
  }
  empty();
}

let ofList = "";

// noteList says something of the list. It does not take away what an action has said.
function noteList(text) {
  const now = byId("letters-note").textContent;
  if (text !== now && (text !== "" || now === ofList)) note(text);
  ofList = text;
}

function note(text) {
  byId("letters-note").textContent = text;
}

function makeRow(l) {
  const name = l.name && l.name !== l.type ? l.name : "";
  const title = `${name || l.type}, ${l.reason}`;
  const button = (text, run, danger = false) => {
    const node = el("button", { type: "button", className: danger ? "quiet danger" : "quiet", aria: { label: `${text}: ${title}` } }, text);
    node.addEventListener("click", run);
    return node;
  };
  const query = `message_id=${encodeURIComponent(l.message_id)}&destination=${encodeURIComponent(l.destination)}`;
  const find = async () => (await ask("GET", `dead-letters?events=true&${query}`)).letters.at(-1)?.event;
  const { button: inspect, panel } = eventButton(title, find, "It is no longer here.");
  return el("li", {},
    el("div", { className: "row" },
      clock(l.time), badge(l.type), el("span", { className: "name" }, name), el("span", { className: "where" }, l.destination),
      el("span", { className: "buttons" }, inspect,
        button("Replay", () => replay(query)),
        button("Purge", async () => {
          if (await confirmed("Purge this dead letter?", `The ${l.type} event${name ? ` “${name}”` : ""} will be gone for good.`)) purge(query);
        }, true))),
    el("p", { className: "refused" }, `${l.status > 0 ? `${l.status} ` : ""}${words(l.reason)}${l.message ? `: ${l.message}` : ""}`),
    panel);
}

async function replay(query) {
  await act(async () => {
    const n = await ask("POST", `dead-letters/replay${query ? `?${query}` : ""}`);
    const left = n.kept > 0 ? `; ${n.kept} kept, since the destination is not configured` : "";
    return `${plural(n.replayed, "dead letter")} replayed${left}.`;
  });
}

async function purge(query) {
  await act(async () => `${plural((await ask("DELETE", `dead-letters?${query}`)).purged, "dead letter")} purged.`);
}

// act does something to the letters, says what came of it, and lists what is left.
// The focus goes on to where the next letter is.
async function act(run) {
  const rows = byId("letters-list").children;
  const at = [...rows].findIndex((row) => row.contains(document.activeElement));
  await loading; // which may have begun before
  const text = await run().catch((error) => `Nothing was done: ${error.message}`);
  known = null;
  await changed();
  await load();
  note(text);
  if (document.activeElement === document.body) {
    const next = rows[Math.min(Math.max(at, 0), rows.length - 1)];
    (next?.querySelector("button") ?? byId("tab-letters")).focus();
  }
}

// confirmed asks before something that cannot be undone.
function confirmed(title, text) {
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm").showModal();
  byId("confirm-no").focus();
  return new Promise((resolve) => { answer = resolve; });
}
