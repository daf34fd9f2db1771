// The events that were captured last. The list has neither payloads nor IDs; an
// event is fetched when asked for, and forgotten when it is hidden again, or when a
// visitor was erased.
import { ask } from "./ask.js";
import { badge, byId, clock, el, keyed } from "./dom.js";
import { eventButton } from "./event.js";
import { bytes } from "./words.js";

const life = 15 * 60 * 1000; // milliseconds
const rows = new WeakMap(); // capture -> its row
let shown = [];
let mark = null;

// show lists them. One that is not listed any more goes, with its event; but not
// from under somebody who reads it or has the focus there, until it is old or some
// visitor was erased, which the mark tells.
export function show(list, newMark, now) {
  const name = (c) => `${c.id} ${c.time}`;
  const listed = new Set(list.map(name));
  const held = newMark === null || newMark !== mark ? [] : shown.filter((c) => !listed.has(name(c)) && inUse(c) && now - new Date(c.time) < life);
  mark = newMark;
  const hadFocus = byId("captures").contains(document.activeElement);
  const known = new Map(shown.map((c) => [name(c), c]));
  shown = [...list.map((c) => known.get(name(c)) ?? c), ...held];
  byId("no-captures").hidden = shown.length > 0;
  keyed(byId("captures"), shown, name, makeRow);
  if (hadFocus && document.activeElement === document.body) byId("tab-captures").focus();
}

function inUse(c) {
  const row = rows.get(c);
  return row !== undefined && (row.contains(document.activeElement) || !row.querySelector(".detail").hidden);
}

function makeRow(c) {
  const find = async () => (await ask("GET", `captures?events=true&id=${c.id}`)).captures[0]?.event;
  const { button, panel } = eventButton(c.name || c.type, find, "It is no longer kept.");
  const where = [c.destination, c.source === "app" ? "from the app" : "from a browser", bytes(c.bytes)].join(", ");
  const row = el("li", {},
    el("div", { className: "row" },
      clock(c.time), badge(c.type), el("span", { className: "name" }, c.name ?? ""), el("span", { className: "where" }, where),
      el("span", { className: "buttons" }, button)),
    panel);
  rows.set(c, row);
  return row;
}
