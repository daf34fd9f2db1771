// Building blocks of the pages. Everything that came from outside enters the
// document as text: through textContent, or as a text node.

// el makes an element. Properties are set, "data" and "aria" objects become
// attributes, children are nodes or texts; null children are left out.
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key === "data") Object.assign(node.dataset, value);
    else if (key === "aria") for (const [k, v] of Object.entries(value)) node.setAttribute(`aria-${k}`, v);
    else node[key] = value;
  }
  node.append(...children.filter((child) => child != null));
  return node;
}

export const byId = (id) => document.getElementById(id);

const keyedNodes = new WeakMap(); // list -> key -> node

// keyed makes a list's children those of items, in their order: key names an
// item, make(item) makes its node when the key is new, update(node, item) brings
// a known node up to date. Focus, selection and scrolling stay as they were: a
// known node stays in the document, and the one with the focus in its place.
export function keyed(list, items, key, make, update = () => {}) {
  const before = keyedNodes.get(list) ?? new Map();
  const now = new Map();
  for (const item of items) {
    const name = key(item);
    const known = before.get(name);
    if (known) update(known, item);
    now.set(name, known ?? make(item));
  }
  keyedNodes.set(list, now);
  const nodes = new Set(now.values());
  for (const node of [...list.children]) if (!nodes.has(node)) node.remove();
  const held = [...nodes].find((node) => node.contains(document.activeElement));
  let next = list.firstElementChild;
  for (const node of nodes) {
    if (node === held) {
      // What stands before it and belongs after it goes round it.
      while (next !== held) {
        const after = next.nextElementSibling;
        list.append(next);
        next = after;
      }
    }
    if (node === next) next = next.nextElementSibling;
    else list.insertBefore(node, next);
  }
}

// shorten keeps the ends of a long ID, which is where two IDs differ.
export function shorten(id) {
  const chars = [...id];
  return chars.length <= 14 ? id : `${chars.slice(0, 6).join("")}…${chars.slice(-4).join("")}`;
}

// idChip shows an ID shortened: whole on hover, and after a click.
export function idChip(kind, id) {
  const text = el("span", { className: "id" }, shorten(id));
  const chip = el("button", {
    type: "button",
    className: "chip",
    title: id,
    data: { kind },
    aria: { expanded: "false" },
  }, el("span", { className: "kind" }, kind === "userId" ? "user" : "anon"), " ", text);
  chip.addEventListener("click", () => {
    const whole = chip.getAttribute("aria-expanded") !== "true";
    chip.setAttribute("aria-expanded", String(whole));
    text.textContent = whole ? id : shorten(id);
  });
  return chip;
}

export function badge(type) {
  return el("span", { className: "badge", data: { type } }, type);
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// clock makes a time element: the time of day, the date on hover.
export function clock(iso, withDate = false) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return el("time", {}, iso);
  const text = (withDate ? dateFormat : clockFormat).format(date);
  return el("time", { dateTime: iso, title: dateFormat.format(date) }, text);
}

// span words a number of seconds.
export function span(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export function plural(count, noun) {
  return `${count.toLocaleString()} ${noun}${count === 1 ? "" : "s"}`;
}

export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const token = /"(?:\\.|[^"\\])*"|[{}[\],:]|[^\s{}[\],:"]+/g;

// jsonView pretty prints JSON from its text, not from its values: a number is
// shown as it was sent, however large, and so is a key that came twice.
export function jsonView(text) {
  const out = el("pre", { className: "json", tabIndex: 0, aria: { label: "JSON" } });
  const tokens = text.match(token) ?? [];
  let depth = 0;
  const line = () => `\n${"  ".repeat(Math.min(depth, 40))}`;
  tokens.forEach((t, i) => {
    const next = tokens[i + 1];
    if (t === "{" || t === "[") {
      const empty = next === "}" || next === "]";
      if (!empty) depth++;
      out.append(t, empty ? "" : line());
    } else if (t === "}" || t === "]") {
      const empty = tokens[i - 1] === "{" || tokens[i - 1] === "[";
      if (!empty) depth--;
      out.append(empty ? "" : line(), t);
    } else if (t === ",") {
      out.append(t, line());
    } else if (t === ":") {
      out.append(": ");
    } else {
      const kind = t[0] === '"' ? (next === ":" ? "key" : "string") : "literal";
      // A string is written with as few escapes as it can be.
      const shown = kind === "literal" ? t : JSON.stringify(parse(t) ?? t);
      out.append(el("span", { className: kind }, shown));
    }
  });
  return out;
}

// copyButton copies text; null where the browser offers no clipboard.
export function copyButton(label, text) {
  if (!navigator.clipboard) return null;
  const button = el("button", { type: "button", className: "quiet" }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}
