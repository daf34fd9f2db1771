// The profiles, fetched from the sandbox while their tab is open.
import { badge, byId, clock, el, idChip, keyed, plural } from "./dom.js";
import { event, label } from "./events.js";

const list = byId("profiles");
const refreshEvery = 1000; // milliseconds
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
  byId("no-profiles").hidden = profiles.length > 0;
  const numbers = numbered(profiles);
  keyed(list, profiles, (profile) => numbers.get(profile), makeCard, fill);
}

let cardOf = new Map(); // ID -> number of the card that shows it
let lastCard = 0;

// numbered gives each profile the number of its card. A visitor who signs up, or
// whose profile takes in another, stays on the card.
function numbered(profiles) {
  const numbers = new Map();
  const next = new Map();
  const taken = new Set();
  for (const profile of profiles) {
    const ids = [...profile.anonymousIds.map((id) => `a ${id}`), ...profile.userIds.map((id) => `u ${id}`)];
    const number = ids.map((id) => cardOf.get(id)).find((n) => n && !taken.has(n)) ?? ++lastCard;
    taken.add(number);
    numbers.set(profile, number);
    for (const id of ids) next.set(id, number);
  }
  cardOf = next;
  return numbers;
}

const shown = new WeakMap(); // card -> what it shows

function makeCard(profile) {
  const card = el("li", { className: "card surface" },
    el("header", {},
      el("span", { className: "avatar", aria: { hidden: "true" } }),
      el("div", {}, el("h2"), el("p", { className: "seen" })),
    ),
    el("div", { className: "ids" }),
    el("p", { className: "warning" }),
    el("dl", { className: "traits" }),
    el("details", { className: "timeline", open: true }, el("summary"), el("ol")),
  );
  fill(card, profile);
  return card;
}

function fill(card, profile) {
  // An event that is not in the list yet changes the card when it is.
  const text = `${profile.events.filter(event).length} ${JSON.stringify(profile)}`;
  if (shown.get(card) === text) return;
  shown.set(card, text);
  const part = (selector) => card.querySelector(selector);
  const { userIds, anonymousIds } = profile;
  const known = userIds.length > 0;
  const name = known ? userIds[userIds.length - 1] : "Anonymous visitor";
  part(".avatar").dataset.known = String(known);
  part(".avatar").textContent = known ? [...name][0].toUpperCase() : "?";
  part("h2").textContent = name;
  part(".seen").replaceChildren("Seen ", clock(profile.firstSeen), " to ", clock(profile.lastSeen));
  keyed(part(".ids"), [...userIds.map((id) => ["userId", id]), ...anonymousIds.map((id) => ["anonymousId", id])],
    String, ([kind, id]) => idChip(kind, id));
  part(".warning").hidden = userIds.length < 2;
  part(".warning").textContent = `${userIds.length} users share this profile. Was the visitor reset at logout?`;
  keyed(part(".traits"), Object.entries(profile.traits), ([trait]) => trait, makeTrait, fillTrait);
  part(".timeline summary").textContent = plural(profile.events.length, "event");
  keyed(part(".timeline ol"), timeline(profile.events), ({ key }) => key, ({ make }) => make());
}

function makeTrait([name, value]) {
  const node = el("div", {}, el("dt", {}, name), el("dd"));
  fillTrait(node, [name, value]);
  return node;
}

function fillTrait(node, [, value]) {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  const shownValue = node.querySelector("dd");
  if (shownValue.textContent !== text) shownValue.textContent = text;
}

// timeline is all of a profile's events as they arrived, and where two IDs met.
function timeline(seqs) {
  const items = [];
  const linked = new Set();
  for (const seq of seqs) {
    const e = event(seq);
    if (!e) continue;
    items.push({ key: `${seq}`, make: () => el("li", {}, clock(e.receivedAt), badge(e.type), label(e)) });
    if (!e.userId || !e.anonymousId) continue;
    const pair = JSON.stringify([e.userId, e.anonymousId]);
    if (linked.has(pair)) continue;
    linked.add(pair);
    items.push({
      key: `${seq} ${pair}`,
      make: () => el("li", { className: "link" },
        "Merged here", idChip("anonymousId", e.anonymousId), "is", idChip("userId", e.userId)),
    });
  }
  return items;
}
