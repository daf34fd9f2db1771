// The profiles, fetched from the sandbox while their tab is open.
import { badge, byId, clock, el, idChip, plural } from "./dom.js";
import { event, title } from "./events.js";

const list = byId("profiles");
const refreshEvery = 1000; // milliseconds
let cards = new Map(); // what a card shows -> the card
const closed = new Set(); // timelines that the reader has closed
let timer = null;
let stale = false;
let loading = false;

// invalidate fetches the profiles soon, if they are being looked at.
export function invalidate() {
  stale = true;
  if (timer === null && !byId("panel-profiles").hidden) timer = setTimeout(load, 50);
}

async function load() {
  timer = setTimeout(() => {
    timer = null;
    if (stale && !loading) invalidate();
  }, refreshEvery);
  stale = false;
  loading = true;
  try {
    const answer = await fetch("api/profiles");
    if (answer.ok) render(JSON.parse(await answer.text(), exact));
  } catch {
    stale = true; // tried again when the timer ends
  } finally {
    loading = false;
  }
}

// exact keeps the text of a number that JavaScript cannot hold, where the
// browser can.
function exact(key, value, context) {
  const inexact = typeof value === "number" && context?.source && String(value) !== context.source;
  return inexact && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
}

function render(profiles) {
  const next = new Map();
  for (const profile of profiles) {
    // An event that is not in the list yet makes the card anew when it is.
    const key = `${profile.events.filter(event).length} ${JSON.stringify(profile)}`;
    next.set(key, cards.get(key) ?? makeCard(profile));
  }
  const nodes = [...next.values()];
  cards = next;
  byId("no-profiles").hidden = nodes.length > 0;
  const same = nodes.length === list.children.length && nodes.every((node, i) => node === list.children[i]);
  if (!same) list.replaceChildren(...nodes);
}

function makeCard(profile) {
  const { userIds, anonymousIds } = profile;
  const known = userIds.length > 0;
  const name = known ? userIds[userIds.length - 1] : "Anonymous visitor";
  const key = userIds[0] ?? anonymousIds[0];
  return el("li", { className: "card" },
    el("header", {},
      el("span", { className: "avatar", data: { known }, aria: { hidden: "true" } }, known ? [...name][0].toUpperCase() : "?"),
      el("div", {},
        el("h2", {}, name),
        el("p", { className: "seen" }, "Seen ", clock(profile.firstSeen), " to ", clock(profile.lastSeen)),
      ),
    ),
    el("div", { className: "ids" },
      ...userIds.map((id) => idChip("userId", id)),
      ...anonymousIds.map((id) => idChip("anonymousId", id)),
    ),
    userIds.length > 1
      ? el("p", { className: "warning" }, `${userIds.length} users share this profile. Was the visitor reset at logout?`)
      : null,
    traitTable(profile.traits),
    timeline(key, profile.events),
  );
}

function traitTable(traits) {
  const names = Object.keys(traits);
  if (names.length === 0) return null;
  const table = el("dl", { className: "traits" });
  for (const name of names) {
    const value = traits[name];
    table.append(el("div", {}, el("dt", {}, name), el("dd", {}, typeof value === "string" ? value : JSON.stringify(value))));
  }
  return table;
}

// timeline lists a profile's events as they arrived, and says where two IDs met.
function timeline(key, seqs) {
  const items = el("ol");
  const linked = new Set();
  for (const seq of seqs) {
    const e = event(seq);
    if (!e) continue;
    items.append(el("li", {}, clock(e.receivedAt), badge(e.type), el("span", { className: "name" }, title(e))));
    if (!e.userId || !e.anonymousId) continue;
    const pair = JSON.stringify([e.userId, e.anonymousId]);
    if (linked.has(pair)) continue;
    linked.add(pair);
    items.append(el("li", { className: "link" },
      "Merged here", idChip("anonymousId", e.anonymousId), "is", idChip("userId", e.userId)));
  }
  const box = el("details", { className: "timeline", open: !closed.has(key) },
    el("summary", {}, plural(seqs.length, "event")), items);
  box.addEventListener("toggle", () => (box.open ? closed.delete(key) : closed.add(key)));
  return box;
}
