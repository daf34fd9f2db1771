// The destinations: their state, their counts, their lanes.
import { byId, el, keyed, plural } from "./dom.js";
import { pauses } from "./verdict.js";
import { drain, duration, rate, time, words } from "./words.js";

// show lists the destinations that the answer has: what is paused first, then what has most waiting.
export function show(queue) {
  const all = Object.entries(queue.destinations).map(([name, d]) => ({ name, ...d }));
  all.sort((a, b) => Number(Boolean(b.paused)) - Number(Boolean(a.paused)) || b.pending - a.pending || (a.name < b.name ? -1 : 1));
  keyed(byId("destinations"), all, (d) => d.name, makeCard, updateCard);
  const rest = queue.all_destinations.count - all.length;
  byId("more-destinations").textContent = rest > 0 ? `${plural(rest, "more destination")} ${rest === 1 ? "is" : "are"} not shown: caddy intilery status lists all.` : "";
}

const parts = new WeakMap(); // card -> what changes in it

function makeCard(d) {
  const node = {
    state: el("span", { className: "state" }),
    why: el("p", { className: "warning why", hidden: true }),
    facts: el("dl", { className: "facts" }),
    lanes: el("ol", { className: "lanes", aria: { label: `Lanes of ${d.name}` } }),
  };
  const card = el("li", { className: "surface box" },
    el("div", { className: "head" }, el("h3", {}, d.name), node.state), node.why, node.facts,
    el("h4", {}, "Waiting by lane"), node.lanes);
  parts.set(card, node);
  updateCard(card, d);
  return card;
}

function updateCard(card, d) {
  const node = parts.get(card);
  const [state, text] = !d.sending ? ["off", "Not configured"] : d.paused ? ["paused", `Paused: ${d.paused}`] : ["sending", "Sending"];
  node.state.dataset.state = state;
  node.state.textContent = text;
  node.why.hidden = !d.paused;
  node.why.textContent = d.paused ? why(d) : "";
  const sum = (c) => c.page + c.track + c.identify;
  const facts = [
    ["Waiting", d.pending.toLocaleString()],
    ["Captured", sum(d.captured).toLocaleString()],
    ["Delivered", sum(d.acknowledged).toLocaleString()],
    ["Dead-lettered", sum(d.dead_lettered).toLocaleString()],
    ["Drained in", drained(d)],
    ["Allowed", `${rate(d.rate)} requests/s`],
    ["Answers", answers(d.requests)],
  ];
  const lost = Object.entries(d.lost).map(([cause, n]) => `${n.toLocaleString()} ${words(cause)}`).join(", ");
  if (lost) facts.push(["Lost", lost]);
  if (sum(d.erased) > 0) facts.push(["Erased", sum(d.erased).toLocaleString()]);
  node.facts.replaceChildren(...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  showLanes(node.lanes, d.lanes_pending);
}

function drained(d) {
  if (d.pending === 0 && d.drain_seconds === 0) return "–";
  const time = drain(d);
  return typeof time === "number" ? duration(time) : time;
}

function why(d) {
  const since = d.paused_since ? `Since ${time(d.paused_since)}. ` : "";
  const next = d.next_try ? ` Next try at ${time(d.next_try)}.` : "";
  return `${since}${pauses[d.paused] ?? ""}${next}`;
}

// answers counts the answers of Intilery by status.
function answers(requests) {
  const list = Object.entries(requests).map(([code, n]) => `${code === "0" ? "none" : code}: ${n.toLocaleString()}`);
  return list.length > 0 ? list.join(", ") : "none yet";
}

function showLanes(list, pending) {
  const most = Math.max(1, ...pending);
  keyed(list, pending.map((n, lane) => ({ n, lane })), (l) => l.lane, () => {
    const item = el("li", {}, el("span", { className: "bar-box", aria: { hidden: "true" } }, el("span", { className: "fill" })), el("span", {}));
    return item;
  });
  pending.forEach((n, lane) => {
    const item = list.children[lane];
    item.querySelector(".fill").style.height = `${n > 0 ? Math.max(6, (n / most) * 100) : 0}%`;
    item.lastElementChild.textContent = n.toLocaleString();
  });
}
