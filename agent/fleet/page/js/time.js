// The time as the monitor has it, and how times are written: relative in sight, absolute beside it.
import { signal } from "@preact/signals";

const TICK = 5_000; // ms between two updates of relative times
const TRUSTED = 5_000; // ms; a difference between the clocks up to this is the delay of an answer

let ahead = 0; // ms that the monitor's clock is ahead of this machine's
export const now = signal(Date.now());
export const local = signal(stored("local") === "1"); // whether times are shown in the local zone, not in UTC

export function start() {
  setInterval(() => { if (!document.hidden) now.value = Date.now() + ahead; }, TICK);
}

// Ages are counted by the monitor's clock: that of a laptop may be minutes off.
export function compareClocks(response) {
  const theirs = Date.parse(response.headers.get("date") ?? "");
  const difference = theirs - Date.now();
  ahead = Math.abs(difference) > TRUSTED ? difference : 0;
  now.value = Date.now() + ahead;
}

export function exactNow() {
  return Date.now() + ahead;
}

// Another number once in each span, for what is loaded again from time to time.
export function beat(span) {
  return Math.floor(now.value / span);
}

export function setLocal(value) {
  local.value = value;
  store("local", value ? "1" : "");
}

// Milliseconds of what the API sends: a number of them, or RFC 3339; null stays null.
export function ms(time) {
  return typeof time === "string" ? Date.parse(time) : time ?? null;
}

export function clock(time, zone = local.value) {
  return zone ? `${shifted(time).slice(11, 19)} local` : `${new Date(time).toISOString().slice(11, 19)} UTC`;
}

export function absolute(time, zone = local.value) {
  const text = zone ? shifted(time) : new Date(time).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 19)} ${zone ? "local" : "UTC"}`;
}

export function day(time) {
  return new Date(time).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: local.value ? undefined : "UTC" });
}

function shifted(time) {
  return new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString();
}

// A browser may forbid storage; then a choice lasts as long as the page.
function stored(name) {
  try { return localStorage.getItem(`torchkeeper.${name}`); } catch { return null; }
}

function store(name, value) {
  try { localStorage.setItem(`torchkeeper.${name}`, value); } catch { /* it lasts as long as the page */ }
}
