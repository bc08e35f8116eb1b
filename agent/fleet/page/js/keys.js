// Keys that work everywhere. Those of tables are in rows.js; Esc closes a panel or the help by itself.
import { openHelp } from "./help.js";
import { go, link, PAGE_KEYS } from "./router.js";

const PAIR = 1_500; // ms in which the second key of a pair must follow

let before = { key: "", at: 0 };

export function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && event.target.matches("input[type=search]")) event.target.blur();
  if (event.target.closest("input, textarea, select")) return;
  const now = performance.now();
  const second = before.key === "g" && now - before.at < PAIR && event.key in PAGE_KEYS;
  before = { key: event.key, at: now };
  if (second) go(link(PAGE_KEYS[event.key]));
  else if (event.key === "/") document.querySelector("[data-filter]")?.focus();
  else if (event.key === "?") openHelp();
  else return;
  event.preventDefault();
}
