// The list of events: newest first, filtered by type and text, the whole JSON
// of an event on click.
import { badge, byId, clock, copyButton, el, idChip, jsonView, parse, plural, span } from "./dom.js";

const list = byId("events");
const rows = new Map(); // seq -> row
const filter = { type: "", text: "" };

// event returns a known event by its sequence number.
export const event = (seq) => rows.get(seq)?.event;

// label is what a row calls its event: its name, and beside the name of a page
// its path.
export function label(e) {
  const { name, path } = titled(e);
  return el("span", { className: "what" },
    el("span", { className: "name" }, name),
    path ? el("span", { className: "path" }, path) : null);
}

function titled(e) {
  const call = parse(e.raw) ?? {};
  if (e.type === "identify") return { name: Object.keys(call.traits ?? {}).join(", ") || "no traits" };
  const pages = [call.properties, parse(e.context ?? "")?.page];
  const first = (...keys) => keys.flatMap((key) => pages.map((page) => page?.[key])).find((text) => typeof text === "string" && text);
  if (!e.name) return { name: first("path", "title", "url") ?? "unnamed" };
  return { name: e.name, path: e.type === "page" ? first("path") : null };
}

// apply shows a call: a new row, or a change of a known one.
export function apply(e) {
  const known = rows.get(e.seq);
  if (known) {
    known.event = e;
    known.update();
    return false;
  }
  const row = makeRow(e);
  rows.set(e.seq, row);
  let before = list.firstElementChild;
  while (before && Number(before.dataset.seq) > e.seq) before = before.nextElementSibling;
  list.insertBefore(row.node, before);
  return true;
}

// trim forgets what the sandbox has forgotten.
export function trim(keep) {
  while (rows.size > keep) {
    const oldest = list.lastElementChild;
    rows.delete(Number(oldest.dataset.seq));
    letGo(oldest);
    oldest.remove();
  }
}

export function clear() {
  rows.clear();
  letGo(list);
  list.replaceChildren();
}

// letGo takes the focus to the tab from a node that is about to go: without that
// it would be nowhere.
function letGo(node) {
  if (node.contains(document.activeElement)) byId("tab-events").focus({ preventScroll: true });
}

// refresh applies the filter and shows the right empty state.
export function refresh() {
  let shown = 0;
  for (const row of rows.values()) {
    const match = (!filter.type || row.event.type === filter.type) && row.text.includes(filter.text);
    row.node.hidden = !match;
    if (match) shown++;
  }
  byId("filters").hidden = rows.size === 0;
  byId("no-events").hidden = rows.size > 0;
  byId("no-matches").hidden = rows.size === 0 || shown > 0;
  const filtered = filter.type !== "" || filter.text !== "";
  byId("matches").textContent = filtered ? `${shown} of ${plural(rows.size, "event")}` : "";
}

// showOnly filters by a text, such as a visitor's ID.
export function showOnly(text, type = "") {
  filter.text = text.toLowerCase();
  filter.type = type;
  byId("text-filter").value = text;
  for (const button of byId("type-filter").children) {
    button.setAttribute("aria-pressed", String(button.dataset.type === type));
  }
  refresh();
}

export function start() {
  byId("type-filter").addEventListener("click", (click) => {
    const button = click.target.closest("button");
    if (button) showOnly(byId("text-filter").value, button.dataset.type);
  });
  byId("text-filter").addEventListener("input", (input) => showOnly(input.target.value, filter.type));
  byId("reset-filter").addEventListener("click", () => {
    showOnly("");
    byId("text-filter").focus();
  });
}

function makeRow(e) {
  const panelId = `event-${e.seq}`;
  const repeats = el("span", { className: "repeats", hidden: true });
  const wait = waited(e);
  const open = el("button", {
    type: "button",
    className: "open",
    aria: { expanded: "false", controls: panelId },
  }, badge(e.type), label(e));
  const panel = el("div", { className: "detail", id: panelId, hidden: true });
  const node = el("li", { data: { seq: e.seq } },
    el("div", { className: "row" },
      open,
      el("span", { className: "notes" },
        repeats,
        wait > 2 ? el("span", { className: "late", title: "Time between the event and its arrival" }, `+${span(wait)}`) : null,
      ),
      el("span", { className: "ids" },
        e.userId ? idChip("userId", e.userId) : null,
        e.anonymousId ? idChip("anonymousId", e.anonymousId) : null,
      ),
      clock(e.receivedAt),
    ),
    panel,
  );
  const row = {
    event: e,
    node,
    text: `${e.type}\n${e.name ?? ""}\n${e.userId ?? ""}\n${e.anonymousId ?? ""}\n${e.raw}`.toLowerCase(),
    update() {
      repeats.hidden = row.event.duplicates === 0;
      repeats.textContent = `×${row.event.duplicates + 1}`;
      repeats.title = `Delivered ${row.event.duplicates + 1} times with the same messageId`;
      const delivered = panel.querySelector(".delivered");
      if (delivered) delivered.textContent = times(row.event);
    },
  };
  open.addEventListener("click", () => {
    panel.hidden = !panel.hidden;
    open.setAttribute("aria-expanded", String(!panel.hidden));
    if (panel.hidden) panel.replaceChildren();
    else fillDetail(panel, row.event);
  });
  row.update();
  return row;
}

// waited is the time in seconds between an event and its arrival.
function waited(e) {
  return e.timestamp ? (new Date(e.receivedAt) - new Date(e.timestamp)) / 1000 : 0;
}

const times = (e) => (e.duplicates === 0 ? "once" : `${e.duplicates + 1} times`);

function fillDetail(panel, e) {
  const facts = el("dl");
  const fact = (name, value) => value && facts.append(el("div", {}, el("dt", {}, name), el("dd", {}, value)));
  fact("Happened", e.timestamp && clock(e.timestamp, true));
  fact("Received", clock(e.receivedAt, true));
  fact("userId", e.userId);
  fact("anonymousId", e.anonymousId);
  fact("messageId", e.messageId);
  fact("eventId", e.eventId);
  fact("Delivered", el("span", { className: "delivered" }, times(e)));

  const visitor = el("button", { type: "button", className: "quiet" }, "Show only this visitor");
  visitor.addEventListener("click", () => showOnly(e.anonymousId || e.userId));

  // Its own context is part of the call's text; a merged one is not.
  const merged = e.context && !e.raw.includes(e.context)
    ? [el("h3", {}, "Context, with the batch's merged in"), jsonView(e.context)]
    : [];
  panel.replaceChildren(
    facts,
    el("div", { className: "actions" }, visitor, copyButton("Copy JSON", e.raw) ?? ""),
    jsonView(e.raw),
    ...merged,
  );
}
