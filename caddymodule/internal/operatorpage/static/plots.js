// The plots of the last 15 minutes, each with its summary in words, and the same
// as a table.
import { byId, el } from "./dom.js";
import { duration, rate, time } from "./words.js";

export const span = 15 * 60 * 1000; // milliseconds
const shortest = 60 * 1000; // that a plot spans
const width = 900; // of the drawing
const height = 100;
const gap = 20000; // milliseconds without a sample that break a line

const count = (n) => Math.round(n).toLocaleString();
const drawn = [
  { title: "Waiting", unit: "events waiting", first: (p) => p.pending, word: count, floor: 10 },
  {
    title: "Events a second", unit: "captured a second", first: (p) => p.captured, second: (p) => p.acknowledged,
    unit2: "delivered a second", legend: ["captured", "delivered"], word: rate, floor: 1,
  },
  { title: "Age of the oldest", unit: "age of the oldest event", first: (p) => p.oldest, word: duration, floor: 10, bad: (p) => p.oldest > 900 },
].map((plot) => ({ ...plot, node: make(plot) }));

function make(plot) {
  const node = byId("plot").content.firstElementChild.cloneNode(true);
  node.querySelector(".title").textContent = plot.title;
  node.querySelector(".legend").append(...(plot.legend ?? []).map((text) => el("span", {}, text)));
  byId("plots").append(node);
  return node;
}

// points are the samples with the rates since the one before; null where that
// cannot be told.
function points(history) {
  return history.map((s, i) => {
    const before = history[i - 1];
    const seconds = before ? (s.time - before.time) / 1000 : 0;
    const known = seconds > 0 && seconds * 1000 < gap;
    const per = (name) => (known && s[name] >= before[name] ? (s[name] - before[name]) / seconds : null);
    return {
      time: s.time, pending: s.pending, oldest: s.pending > 0 ? s.oldest_seconds : 0,
      captured: per("captured"), acknowledged: per("acknowledged"),
      lost: before && s.lost >= before.lost ? s.lost - before.lost : 0,
    };
  });
}

// rates are those of the last 15 seconds.
export function rates(history) {
  const last = history.at(-1);
  const before = history.findLast((s) => last.time - s.time >= 14000) ?? history[0];
  const seconds = last ? (last.time - before.time) / 1000 : 0;
  const per = (name) => (seconds > 0 && last[name] >= before[name] ? (last[name] - before[name]) / seconds : null);
  return { captured: per("captured"), acknowledged: per("acknowledged") };
}

// lostOf sums what a queue has lost or shed since the process began.
export function lostOf(queue) {
  const sum = (counts) => Object.values(counts).reduce((all, n) => all + n, 0);
  return sum(queue.lost) + Object.values(queue.shed).reduce((all, causes) => all + sum(causes), 0) +
    sum(queue.all_destinations.lost);
}

// show draws the samples up to now.
export function show(history, now) {
  const list = points(history);
  const from = Math.min(history[0]?.time ?? Infinity, now.getTime() - shortest);
  for (const plot of drawn) draw(plot, list, from, now.getTime());
  if (byId("numbers").open) fillTable(list);
  latest = list;
}

let latest = [];
byId("numbers").addEventListener("toggle", () => fillTable(latest));

function draw(plot, list, from, now) {
  const values = list.flatMap((p) => [plot.first(p), plot.second?.(p) ?? null]).filter((v) => v !== null);
  const highest = Math.max(0, ...values);
  const top = Math.max(plot.floor, highest * 1.1);
  const x = (p) => ((p.time - from) / (now - from)) * width;
  const y = (v) => height - (v / top) * height;
  const line = (value) => {
    let d = "";
    let before = null;
    for (const p of list) {
      const v = value(p);
      if (v === null) { before = null; continue; }
      d += `${before && p.time - before.time < gap ? "L" : "M"}${x(p).toFixed(1)} ${y(v).toFixed(1)}`;
      before = p;
    }
    return d;
  };
  const first = line(plot.first);
  plot.node.querySelector(".first").setAttribute("d", first);
  plot.node.querySelector(".second").setAttribute("d", plot.second ? line(plot.second) : "");
  plot.node.querySelector(".area").setAttribute("d", plot.second ? "" : area(first));
  plot.node.querySelector(".top").textContent = highest > 0 ? plot.word(highest) : "";
  plot.node.querySelector(".from").textContent = `${duration((now - from) / 1000)} ago`;
  plot.node.dataset.bad = String(Boolean(plot.bad && list.length > 0 && plot.bad(list.at(-1))));
  plot.node.querySelector("svg").setAttribute("aria-label", summary(plot, list));
}

// area closes each part of a line along the ground.
function area(line) {
  return line.split("M").filter(Boolean).map((part) => {
    const ends = part.split("L").map((point) => point.split(" ")[0]);
    return `M${ends[0]} ${height}L${part}L${ends.at(-1)} ${height}Z`;
  }).join("");
}

// summary says in words what a plot shows.
function summary(plot, list) {
  const say = (unit, value) => {
    const known = list.filter((p) => value(p) !== null);
    if (known.length === 0) return `${unit}: nothing known yet`;
    const high = known.reduce((a, b) => (value(b) > value(a) ? b : a));
    return `${unit}: now ${plot.word(value(known.at(-1)))}, highest ${plot.word(value(high))} at ${time(high.time)}`;
  };
  const parts = [say(plot.unit, plot.first)];
  if (plot.second) parts.push(say(plot.unit2, plot.second));
  return `${plot.title} in the last 15 minutes: ${parts.join("; ")}`;
}

// fillTable has a row for each half minute, the latest first.
function fillTable(list) {
  const rows = [];
  for (let i = list.length - 1; i >= 0; i--) {
    const p = list[i];
    if (rows.length > 0 && rows.at(-1).time - p.time < 29000) {
      rows.at(-1).lost += p.lost;
      continue;
    }
    rows.push({ ...p });
  }
  byId("numbers-rows").replaceChildren(...rows.map((p) => el("tr", {},
    el("td", {}, time(p.time)), el("td", {}, count(p.pending)), el("td", {}, p.pending > 0 ? duration(p.oldest) : "–"),
    el("td", {}, rate(p.captured)), el("td", {}, rate(p.acknowledged)), el("td", {}, count(p.lost)))));
}
