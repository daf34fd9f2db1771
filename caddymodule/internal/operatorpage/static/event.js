// An event that is fetched when it is asked for, and forgotten when it is hidden again.
import { copyButton, el, jsonView } from "./dom.js";

// eventButton returns a button and the panel in which it shows the event of title. find
// fetches it, and returns undefined when it is gone, which is then said by gone.
export function eventButton(title, find, gone) {
  const panel = el("div", { className: "detail", hidden: true });
  const button = el("button", { type: "button", className: "quiet", aria: { expanded: "false" } });
  const say = (text) => {
    button.textContent = text;
    button.setAttribute("aria-label", `${text}: ${title}`);
  };
  say("Show event");
  button.addEventListener("click", async () => {
    const show = panel.hidden;
    say(show ? "Hide event" : "Show event");
    button.setAttribute("aria-expanded", String(show));
    panel.hidden = !show;
    panel.replaceChildren();
    if (!show) return;
    try {
      const found = await find();
      if (panel.hidden) return;
      if (found === undefined) panel.append(el("p", { className: "hint" }, gone));
      else {
        const text = typeof found === "string" ? found : JSON.stringify(found);
        panel.append(jsonView(text), copyButton("Copy JSON", text) ?? "");
      }
    } catch (error) {
      panel.append(el("p", { className: "warning" }, `It cannot be shown: ${error.message}`));
    }
  });
  return { button, panel };
}
