// Numbers in words.

// duration words a number of seconds.
export function duration(seconds) {
  if (seconds < 1) return "under 1 s";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

// drain is how long a destination takes to send what waits, in seconds or in a word.
export function drain(destination) {
  if (destination.paused) return "paused";
  return destination.drain_seconds ?? "unknown";
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

// bytes words a size.
export function bytes(count) {
  let n = count;
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  return `${n < 10 && unit > 0 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

// rate words a number a second; null is not known.
export function rate(perSecond) {
  if (perSecond === null) return "–";
  if (perSecond === 0) return "0";
  if (perSecond < 0.1) return "< 0.1";
  return perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString();
}

// time words a time of day.
const timeFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
export const time = (when) => timeFormat.format(new Date(when));

// words makes a code of the status readable.
export const words = (code) => code.replaceAll("_", " ");
