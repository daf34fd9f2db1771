// Counts in tables: the sites, the losses, the fleet.
import { byId, clock, el, plural } from "./dom.js";
import { duration, words } from "./words.js";

const shown = new Map(); // id -> what it shows

// fill replaces what an element shows, when it has changed.
function fill(id, value, make) {
  const text = JSON.stringify(value);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  byId(id).replaceChildren(...make());
}

// counts is a table of names and numbers, the highest first; null without any.
function counts(title, of, head = "") {
  const rows = Object.entries(of).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
  return rows.length === 0 ? null : table(title, [head || "What", "Count"], rows.map(([name, n]) => [words(name), n]));
}

function table(title, head, rows) {
  const numeric = rows[0].map((_, i) => rows.some((row) => typeof row[i] === "number"));
  const cell = (value, i) => {
    if (i === 0) return el("th", { scope: "row" }, value);
    return el("td", { className: numeric[i] ? "number" : "" }, typeof value === "number" ? value.toLocaleString() : value);
  };
  return el("div", {},
    el("h4", {}, title),
    el("table", { ariaLabel: title },
      el("thead", {}, el("tr", {}, ...head.map((text, i) => el("th", { scope: "col", className: numeric[i] ? "number" : "" }, text)))),
      el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map(cell))))));
}

const box = (title, ...children) => el("div", { className: "surface box" }, el("h3", {}, title), ...children);
const columns = (...children) => el("div", { className: "columns" }, ...children.filter(Boolean));
const hint = (text) => el("p", { className: "hint" }, text);

// sites shows what the handlers of each of Caddy's servers have counted.
export function sites(servers) {
  byId("no-sites").hidden = Object.keys(servers).length > 0;
  fill("sites", servers, () => Object.entries(servers).sort().map(([server, s]) => box(server,
    columns(
      counts("How visitors were recognized", s.identities, "Outcome"),
      s.headers_refused.length > 0
        ? table("Headers of the app that were refused", ["Header", "Reason", "Count"], s.headers_refused.map((r) => [r.header, words(r.reason), r.count]))
        : null,
      counts("Headers of the app that were not acted on", s.headers_ignored, "Cause"),
      counts("Navigations that are not visits", s.gated, "Cause"),
      counts("Navigations that a proxy hides", s.misproxied, "Cause"),
      counts("Other", { "keepers refused": s.keepers_refused, "faults contained": s.panics }),
    ))));
}

// losses shows what will not be delivered, by cause.
export function losses(queue) {
  const lost = { ...queue.lost };
  for (const [cause, n] of Object.entries(queue.all_destinations.lost)) lost[cause] = (lost[cause] ?? 0) + n;
  const shed = Object.entries(queue.shed).flatMap(([type, causes]) => Object.entries(causes)
    .filter(([, n]) => n > 0).map(([cause, n]) => [words(cause), type, n]));
  const value = [lost, shed, queue.collected, queue.dead_letters.dropped, queue.log.quarantined];
  fill("loss-tables", value, () => {
    const list = [
      counts("Lost", lost, "Cause"),
      shed.length > 0 ? table("Shed for lack of room", ["Cause", "Type", "Count"], shed) : null,
      counts("Dead letters and segments", { "dead letters dropped for younger ones": queue.dead_letters.dropped, "segments in quarantine": queue.log.quarantined }),
    ].filter(Boolean);
    const collected = [counts("Events", queue.collected.events, "Outcome"), counts("Requests refused", queue.collected.refused, "Code")].filter(Boolean);
    return [
      box("Losses", list.length > 0 ? columns(...list) : hint("Nothing was lost or shed.")),
      box("Collection endpoint and relay", collected.length > 0 ? columns(...collected) : hint("Nothing has arrived there.")),
    ];
  });
}

// fleet shows the nodes, and who delivers what.
export function fleet(f, allLanes) {
  fill("fleet", f ? [f, allLanes] : null, () => {
    if (!f) return [];
    const nodes = Object.entries(f.nodes).sort().map(([name, n]) => [name === f.node ? `${name} (this one)` : name, n.lanes, n.backlog]);
    const gone = Object.entries(f.lost_nodes).map(([name, n]) => [name, n.backlog, n.since ? clock(n.since) : ""]);
    const lanes = Object.entries(f.lanes).sort().map(([lane, l]) => [lane, l.owner ?? "nobody", l.backlog ?? "unknown"]);
    const pauses = Object.entries(f.pauses).map(([name, p]) => [name, p.reason, p.node]);
    return [box(`Fleet ${f.name}`,
      hint(`To hand over: ${f.backlog.toLocaleString()}${f.lag_seconds > 0 ? `, the oldest for ${duration(f.lag_seconds)}` : ""}. ` +
        `Handed over: ${f.handed_over.toLocaleString()}. Kept: ${f.kept.toLocaleString()}.`),
      columns(
        nodes.length > 0 ? table("Nodes", ["Node", "Lanes", "To hand over"], nodes) : null,
        gone.length > 0 ? table("Nodes that are gone", ["Node", "To hand over", "Since"], gone) : null,
        pauses.length > 0 ? table("Paused in the whole fleet", ["Destination", "Reason", "Found by"], pauses) : null,
        lanes.length > 0 ? table("Lanes", ["Lane", "Owner", "Waiting"], lanes) : null,
      ),
      allLanes > lanes.length ? hint(`${(allLanes - lanes.length).toLocaleString()} of ${plural(allLanes, "lane")} are not shown: caddy intilery status --json lists all.`) : "")];
  });
}
