// What is wrong, above everything else: each a sentence with its bytes and reasons, since when, and what can be done.
import { useState } from "preact/hooks";
import { signal } from "@preact/signals";
import * as format from "./format.js";
import { alertKey, behind, blocked, broker, critical, DISK_FULL, hosts, overview, used, changed } from "./fleet.js";
import { html } from "./html.js";
import { Ago, Copy, HostLink, Sentence } from "./parts.js";
import { link } from "./router.js";
import { link as connection, monitorVersion, pageVersion } from "./stream.js";
import { clock, now } from "./time.js";
import { holds } from "./words.js";

const MOST_BLOCKED = 3; // shown each; the others as one line
const MOST_CRITICAL = 3;
const BEHIND = 500; // events that wait before the page says so: fewer are the normal delay

export const problems = signal(0); // for the title and the icon

export function countProblems() {
  let sum = 0;
  for (const row of hosts.values()) sum += row.criticals;
  problems.value = sum + (broker.value.state === "unreachable") + (connection.value.state === "lost");
}

// --- of the monitor itself ---

export function Connection() {
  const { state, since } = connection.value;
  const newer = monitorVersion.value;
  return html`
    ${state === "lost" && html`<${Strip} kind="critical">No connection to the monitor. Figures are from ${clock(since)}.<//>`}
    ${state === "denied" && html`<${Strip} kind="critical">You are signed out. <button type="button" onClick=${() => location.reload()}>Sign in</button><//>`}
    ${newer && html`<${Strip} kind="warning">The monitor is ${newer} now, this page ${pageVersion}. <button type="button"
      onClick=${() => location.reload()}>Reload</button><//>`}`;
}

export function Strip({ kind, children }) {
  return html`<p class=${`strip ${kind}`} role="status"><span class=${`sign ${kind}`} aria-hidden="true"></span><span>${children}</span></p>`;
}

export function Broker() {
  const { state, since, detail } = broker.value;
  const monitor = overview.value?.monitor;
  if (state !== "unreachable") return null;
  const why = detail || monitor?.broker_error;
  return html`<section class="band critical" aria-label="Broker">
    <div class="band-head"><span class="sign critical" aria-hidden="true"></span>
      <h2>No connection to the broker${monitor?.broker_url ? ` ${monitor.broker_url}` : ""}${why ? ` (${why})` : ""}</h2>
      ${since && html`<span class="since">since <${Ago} at=${since} /></span>`}</div>
    <p>Everything below is from before. Agents go on evicting by their own policy; their decisions wait in their outboxes.</p>
  </section>`;
}

export function Behind() {
  const monitor = overview.value?.monitor;
  if (behind.value < BEHIND) return null;
  return html`<${Strip} kind="warning">Catching up: ${format.count(behind.value)} events wait to be stored${
    monitor?.last_commit ? html`; the last was stored <${Ago} at=${monitor.last_commit} />` : ""}.<//>`;
}

export function Incomplete() {
  const { missing_events: missing = 0, dropped_events: dropped = 0 } = overview.value ?? {};
  if (!missing && !dropped) return null;
  return html`<${Strip} kind="warning">The history is incomplete: ${missing > 0 &&
    `${format.plural(missing, "event")} did not arrive yet and ${missing === 1 ? "is" : "are"} asked for again`}${missing > 0 && dropped > 0 && "; "}${
    dropped > 0 && html`<a href=${link("history", "", { kind: "dropped" })}>${format.plural(dropped, "event was", "events were")} given up by hosts</a>`}.<//>`;
}

// --- of hosts ---

export function Blocked() {
  changed.value;
  const rows = [...blocked.value].sort((a, b) => fill(b.host) - fill(a.host));
  return html`${rows.slice(0, MOST_BLOCKED).map((each, i) => html`<${BlockedHost} key=${each.host} of=${each} linked bar=${i === 0} />`)}
    ${rows.length > MOST_BLOCKED && html`<p class="strip critical"><span class="sign critical" aria-hidden="true"></span><span>
      ${format.plural(rows.length - MOST_BLOCKED, "more host is", "more hosts are")} full and nothing may be evicted.${" "}<a href=${link("", "", { only: "blocked" })}>Show all ${format.count(rows.length)}</a></span></p>`}`;
}

function fill(host) {
  const row = hosts.get(host);
  return row ? used(row) ?? 0 : 0;
}

// With several of them only the first has a bar, so that the hosts below stay in sight.
export function BlockedHost({ of, linked = false, bar = false }) {
  const [open, setOpen] = useState(false);
  const share = fill(of.host);
  const held = [...of.held].sort((a, b) => b.bytes - a.bytes).filter((each) => each.bytes > 0);
  const whole = held.reduce((sum, each) => sum + each.bytes, 0);
  return html`<section class="band critical" aria-label=${`${of.host} is full`}>
    <div class="band-head"><span class="sign critical" aria-hidden="true"></span>
      <h2>${linked ? html`<${HostLink} host=${of.host} />` : of.host} is ${share ? `${format.percent(share)} full` : "full"} and nothing may be evicted</h2>
      <span class="since">for ${format.roughly(now.value - Date.parse(of.since))}</span></div>
    <p class="held">${held.length ? html`What holds it: ${sentence(held)}.` : of.message}</p>
    ${bar && whole > 0 && html`<${Shares} held=${held} whole=${whole} />`}
    <p class="ways"><a href=${link("hosts", of.host, { only: "held" })}>Show what holds it</a>
      <button type="button" class="as-link" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>Why nothing else may go</button></p>
    ${open && html`<${Ways} held=${held} host=${of.host} message=${of.message} />`}
  </section>`;
}

// 412 GB in use (9 images), 288 GB exist nowhere else that we know (14)
function sentence(held) {
  return held.slice(0, 4).map((each, i) => `${format.bytes(each.bytes)} ${holds(each.reason, each.words)} (${format.count(each.images)}${i ? "" : each.images === 1 ? " image" : " images"})`)
    .join(", ") + (held.length > 4 ? " and less for other reasons" : "");
}

// A bar of the bytes by reason. What it shows stands beside it in words.
export function Shares({ held, whole }) {
  return html`<div class="shares" aria-hidden="true">${held.map((each, i) => html`<span key=${each.reason} class=${`share-${i % 6}`}
    style=${{ flexGrow: each.bytes }} title=${`${format.bytes(each.bytes)} ${holds(each.reason, each.words)}: ${format.percent(each.bytes / whole)}`}></span>`)}</div>`;
}

function Ways({ held, host, message }) {
  return html`<div class="way-list"><p class="dim">Run these on ${host}. The monitor runs nothing.</p>
    <ul>${held.map((each) => html`<li key=${each.reason}>
      <b>${format.bytes(each.bytes)}</b> ${holds(each.reason, each.words)} <code class="dim">${each.reason}</code>${each.way_out && html`: <${Sentence} text=${each.way_out} />`}
      ${" "}<a href=${link("hosts", host, { only: each.reason })}>${format.plural(each.images, "image")}</a></li>`)}</ul>
    <p class="dim">The host says: ${message}</p>
    <p>All of it: <${Copy} text="torchkeeper plan" /></p></div>`;
}

// Critical alerts that have no band of their own.
export function Critical() {
  const others = critical.value.filter((alert) => alert.id !== DISK_FULL);
  if (!others.length) return null;
  return html`<section class="band critical" aria-label="Critical alerts"><ul class="alert-lines">
    ${others.slice(0, MOST_CRITICAL).map((alert) => html`<li key=${alertKey(alert)}><span class="sign critical" aria-hidden="true"></span>
      <span><${HostLink} host=${alert.host} /> <code class="dim">${alert.id}</code> ${alert.message} <span class="dim">since <${Ago} at=${alert.since} /></span></span></li>`)}
    ${others.length > MOST_CRITICAL && html`<li><a href=${link("alerts")}>All ${format.count(others.length)} critical alerts</a></li>`}</ul></section>`;
}
