// What the page knows of the fleet. Rows are replaced, never edited: a row that is the same object did not change.
import { batch, computed, signal } from "@preact/signals";
import { get } from "./api.js";
import { ms } from "./time.js";

const MOST_DECISIONS = 200; // kept in memory; the history has them all
const OVERVIEW_EVERY = 30_000; // ms
const OVERVIEW_BEHIND = 3_000; // ms, while the monitor catches up
const OVERVIEW_SOON = 700; // ms after a change that it shows
const OVERVIEW_PAUSE = 5_000; // ms between two, as the monitor makes it no more often
export const DISK_FULL = "disk-full-nothing-evictable";

export const hosts = new Map(); // name -> row
export const changed = signal(0); // counts changes of `hosts`
export const loaded = signal(false);
export const decisions = signal([]); // newest first
export const alerts = signal(new Map()); // standing, by host and ID
export const overview = signal(null);
export const me = signal({ user: null, role: "viewer", actions: false });
export const broker = signal({ state: "connected", since: null, detail: "" });
export const behind = signal(0); // events that wait to be stored

export const blocked = computed(() => overview.value?.blocked ?? []);
export const critical = computed(() => [...alerts.value.values()].filter((alert) => alert.severity === "critical"));

let columns = [];
let timer = 0;
let soon = 0; // when it is loaded, if that is soon
let overviewAt = 0;

export function setSnapshot(snapshot) {
  columns = snapshot.columns;
  hosts.clear();
  for (const values of snapshot.hosts) setRow(values);
  batch(() => { changed.value += 1; loaded.value = true; });
}

export function setRows(rows) {
  for (const values of rows) setRow(values);
  changed.value += 1;
}

function setRow(values) {
  const row = {};
  for (let i = 0; i < columns.length; i += 1) row[columns[i]] = values[i];
  hosts.set(row.host, row);
}

export function removeRows(names) {
  for (const name of names) hosts.delete(name);
  changed.value += 1;
}

// An outcome comes as its decision again, with the same id.
export function addDecisions(added) {
  const known = new Map([...decisions.value, ...added].map((decision) => [decision.id, decision]));
  decisions.value = [...known.values()].sort((a, b) => b.id - a.id).slice(0, MOST_DECISIONS);
}

export function changeAlerts(changes) {
  const next = new Map(alerts.value);
  for (const alert of changes) {
    const key = alertKey(alert);
    if (alert.until) next.delete(key);
    else next.set(key, alert);
  }
  alerts.value = next;
  refreshSoon();
}

export function alertKey(alert) {
  return JSON.stringify([alert.host, alert.id]);
}

// The history may be away while the list of hosts is there: then the alerts of before stay.
export async function loadAlerts() {
  const standing = await get("alerts?standing=true&limit=1000").catch(() => null);
  if (standing) alerts.value = new Map(standing.alerts.map((alert) => [alertKey(alert), alert]));
}

export async function loadOverview() {
  clearTimeout(timer);
  soon = 0;
  overviewAt = Date.now();
  try {
    const next = await get("overview");
    batch(() => {
      overview.value = next;
      behind.value = next.monitor?.behind_events ?? 0;
      addDecisions(next.decisions);
    });
  } catch { /* the stream shows whether the monitor is there; the figures say from when they are */ }
  timer = setTimeout(loadWhenSeen, behind.value > 0 ? OVERVIEW_BEHIND : OVERVIEW_EVERY);
}

// The last ones before the stream begins; those of the overview may be some seconds older.
export async function loadDecisions() {
  const last = await get("decisions?limit=60").catch(() => null);
  if (last) addDecisions(last.decisions);
}

export async function loadMe() {
  me.value = await get("me").catch(() => me.value);
}

export function refreshSoon() {
  if (soon) return; // else a change each second would put it off for ever
  soon = Math.max(OVERVIEW_SOON, overviewAt + OVERVIEW_PAUSE - Date.now());
  clearTimeout(timer);
  timer = setTimeout(loadWhenSeen, soon);
}

function loadWhenSeen() {
  if (document.hidden) timer = setTimeout(loadWhenSeen, OVERVIEW_EVERY);
  else loadOverview();
}

// --- what a row says ---

export function used(row) {
  return row.disk_total_bytes ? row.disk_used_bytes / row.disk_total_bytes : null;
}

export const DEFAULT_HIGH = 0.85; // of hosts whose policy has no pressure.high

export function isOverHigh(row) {
  return row.state !== "offline" && (used(row) ?? 0) > (row.high ?? DEFAULT_HIGH);
}

export function isOld(row) {
  return row.state === "offline" || row.state === "stale";
}

export function lastHeard(row) {
  return ms(row.last_seen);
}
