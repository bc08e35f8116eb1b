// The connection to the monitor: a snapshot by GET, then changes by server-sent events. One EventSource for each tab:
// a browser opens six connections to an origin, and a seventh tab would wait for ever.
import { batch, signal } from "@preact/signals";
import { get } from "./api.js";
import * as fleet from "./fleet.js";
import { compareClocks, exactNow } from "./time.js";

const HIDDEN_FOR = 30_000; // ms after which a tab that nobody sees ends its stream
const SILENT_FOR = 90_000; // ms without an event after which it is asked whether the monitor is there
const RETRY = [1_000, 5_000]; // ms, at random in between: a restart shall not bring back all viewers in one instant
const PATIENCE = 1_000; // ms before a break is shown: many last shorter

export const link = signal({ state: "connecting", since: null }); // connecting, live, lost, paused, denied
export const monitorVersion = signal(null); // null: as this page's
export const pageVersion = document.querySelector("meta[name=torchkeeper-version]").content;

let source = null;
let position = null; // `<boot>.<tick>.<decision id>` of the last event
let heard = exactNow();
let retryTimer = 0;
let lostTimer = 0;
let waiting = []; // changes since the last frame

export async function start() {
  addEventListener("visibilitychange", onVisibility);
  addEventListener("pagehide", pause); // a page that a browser keeps for "back" would keep its connection, too
  addEventListener("pageshow", resume);
  setInterval(checkSilence, SILENT_FOR / 3);
  await connect();
}

async function connect() {
  clearTimeout(retryTimer);
  try {
    await load();
    open();
  } catch (error) {
    lose(error.status);
    retry(connect);
  }
}

// The new snapshot, from which the stream goes on. Decisions go on from the last one that was seen.
async function load() {
  const response = await fetch("api/hosts?format=columns");
  if (!response.ok) throw Object.assign(new Error(), { status: response.status });
  compareClocks(response);
  const snapshot = await response.json();
  const [boot, tick, decision] = snapshot.at.split(".");
  position = [boot, tick, position?.split(".")[2] ?? decision].join(".");
  fleet.setSnapshot(snapshot);
  await Promise.all([fleet.loadOverview(), fleet.loadDecisions(), fleet.loadAlerts(), fleet.loadMe()]);
}

function open() {
  close();
  source = new EventSource(`api/stream?since=${encodeURIComponent(position)}`);
  const on = (name, use) => source.addEventListener(name, (event) => {
    heard = exactNow();
    if (event.lastEventId) position = event.lastEventId;
    use(JSON.parse(event.data));
  });
  on("hello", greet);
  on("hosts", (rows) => later(() => fleet.setRows(rows)));
  on("gone", (names) => later(() => fleet.removeRows(names)));
  on("decisions", (added) => later(() => {
    fleet.addDecisions(added);
    fleet.refreshSoon();
  }));
  on("alerts", (changes) => later(() => fleet.changeAlerts(changes)));
  on("monitor", setMonitor);
  on("reset", reset);
  source.onerror = onError;
}

function greet({ version, broker, ...monitor }) {
  clearTimeout(lostTimer);
  lostTimer = 0;
  batch(() => {
    link.value = { state: "live", since: null };
    monitorVersion.value = version === pageVersion ? null : version;
    if (broker) setMonitor({ since: fleet.broker.value.since, ...monitor, broker });
  });
}

function setMonitor({ broker, since = null, detail = "", behind_events: behind = fleet.behind.value }) {
  const known = fleet.broker.value;
  fleet.broker.value = { state: broker, since: since ?? known.since, detail };
  fleet.behind.value = behind;
  if (broker !== known.state) fleet.refreshSoon();
}

async function reset() {
  close();
  await connect();
}

// All changes of a frame are applied together, so that the page is drawn at most once for each.
function later(change) {
  if (document.hidden) return change();
  if (!waiting.length) requestAnimationFrame(applyWaiting);
  waiting.push(change);
  return undefined;
}

function applyWaiting() {
  const changes = waiting;
  waiting = [];
  batch(() => changes.forEach((change) => change()));
}

// --- breaks ---

// The browser connects again by itself, unless the answer was an error.
function onError() {
  const given_up = source?.readyState === EventSource.CLOSED;
  lose();
  if (given_up) retry(reconnect);
}

async function reconnect() {
  try {
    await get("version");
    open();
  } catch (error) {
    lose(error.status);
    retry(reconnect);
  }
}

function lose(status) {
  if (status === 401 || status === 403) {
    link.value = { state: "denied", since: heard };
  } else if (link.value.state !== "lost" && !lostTimer) {
    lostTimer = setTimeout(() => { link.value = { state: "lost", since: heard }; }, PATIENCE);
  }
}

function retry(action) {
  clearTimeout(retryTimer);
  retryTimer = setTimeout(action, RETRY[0] + Math.random() * (RETRY[1] - RETRY[0]));
}

function close() {
  source?.close();
  source = null;
}

// A connection of a laptop that slept may stay open with nobody at its other end, and pings cannot be seen from here.
async function checkSilence() {
  if (!source || document.hidden || exactNow() - heard < SILENT_FOR) return;
  close();
  await reconnect();
}

// --- a tab that nobody sees ---

let hiddenTimer = 0;

function onVisibility() {
  clearTimeout(hiddenTimer);
  if (document.hidden) hiddenTimer = setTimeout(pause, HIDDEN_FOR);
  else resume();
}

function resume() {
  if (link.value.state !== "paused") return;
  link.value = { state: "connecting", since: null };
  reconnect();
  fleet.loadOverview();
}

function pause() {
  clearTimeout(retryTimer);
  close();
  link.value = { state: "paused", since: heard };
}
