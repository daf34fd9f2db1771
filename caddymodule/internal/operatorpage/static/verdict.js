// What is wrong, in the order in which it matters.
import { plural } from "./dom.js";
import { duration, time, words } from "./words.js";

// Why nothing is sent, and what helps.
export const pauses = {
  unavailable: "Intilery cannot be reached or fails. Events are kept, and sent when it works again.",
  throttled: "Intilery asks for fewer requests (429). Events are kept; sending resumes by itself.",
  misconfigured: "Intilery does not accept the sender: check the token, the client, account and brand, and the endpoint. Events are kept.",
  "mass rejection": "Intilery refuses most events. New events are kept; look for the cause in the dead letters.",
};

const conditions = {
  opening: "The log on disk is not open yet; events are in memory.",
  degraded: "A damaged part of the log was set aside. The log works; run caddy intilery salvage.",
  disk_full: "The disk is full; events are in memory. Make room.",
  quota_full: "The disk quota is used up; events are in memory. Raise it, or make room.",
  inodes_full: "The file system takes no more files; events are in memory. Remove some.",
  failing: "Writing to the disk fails; events are in memory.",
  closed: "The log is closed.",
};

// problems lists what an operator must know. Levels are bad and notice.
export function problems(queue, history, sites, now) {
  const list = [];
  const add = (level, text, paused = 0) => list.push({ level, text, paused }); // how many destinations it is about
  const { log, fleet } = queue;
  if (log.condition !== "ok") {
    const level = log.condition === "opening" ? "notice" : "bad";
    add(level, `${conditions[log.condition] ?? `The log is ${words(log.condition)}.`}${log.reason ? ` (${log.reason})` : ""}`);
  }
  const paused = Object.entries(queue.destinations).filter(([, d]) => d.paused);
  for (const [name, d] of paused.slice(0, 5)) {
    const since = d.paused_since ? ` since ${time(d.paused_since)}` : "";
    add("bad", `${name} has been paused${since}: ${d.paused}. ${pauses[d.paused] ?? ""}`, 1);
  }
  const more = queue.all_destinations.paused - Math.min(paused.length, 5);
  if (more > 0) add("bad", `${plural(more, "more destination")} ${more === 1 ? "is" : "are"} paused.`, more);
  if (log.oldest_age_seconds > 900) add("bad", `The oldest event has waited for ${duration(log.oldest_age_seconds)}.`);
  const lost = lostIn(history);
  if (lost > 0) add("bad", `${plural(lost, "event")} lost or shed in the last 15 minutes.`);
  if (fleet) {
    if (fleet.apart_since) add("bad", `This node has been cut off from its fleet since ${time(fleet.apart_since)}: ${fleet.reason ?? "no reason known"}.`);
    else if (!fleet.session) add("notice", `This node does not take part in its fleet yet${fleet.reason ? `: ${fleet.reason}` : ""}.`);
    for (const [node, n] of Object.entries(fleet.lost_nodes)) {
      add("bad", `Node ${node} is gone, and has ${plural(n.backlog, "event")} that only it can hand over.`);
    }
  }
  for (const [server, site] of Object.entries(sites)) {
    if (site.panics > 0) add("bad", `${plural(site.panics, "fault")} of the module contained on ${server}; report what the log says.`);
  }
  if (queue.dead_letters.kept > 0) add("notice", `${plural(queue.dead_letters.kept, "dead letter")}: refused by Intilery for good; replay or purge.`);
  const refused = Object.values(sites).flatMap((s) => s.headers_refused).reduce((sum, r) => sum + r.count, 0);
  if (refused > 0) add("notice", `${plural(refused, "header value")} of the app refused since Caddy was started; see Sites.`);
  if (queue.all_destinations.count === 0) add("notice", "No destination is configured.");
  return list;
}

// lostIn sums what was lost from sample to sample. The count falls when a destination
// goes or Caddy is restarted.
function lostIn(history) {
  return history.reduce((sum, s, i) => sum + (i > 0 ? Math.max(0, s.lost - history[i - 1].lost) : 0), 0);
}

// verdict is all of it in a few words, which change seldom.
export function verdict(list, queue) {
  const { count, paused } = queue.all_destinations;
  const bad = list.filter((p) => p.level === "bad").reduce((sum, p) => sum + (p.paused || 1), 0);
  if (paused > 0 && bad === paused) {
    return { level: "bad", title: count === 1 ? "Delivery is paused" : `Delivery is paused to ${paused.toLocaleString()} of ${plural(count, "destination")}` };
  }
  if (bad > 0) return { level: "bad", title: `${plural(bad, "thing")} need${bad === 1 ? "s" : ""} your attention` };
  if (list.length > 0) return { level: "notice", title: "Working, with something to look at" };
  return { level: "ok", title: "All is well" };
}
