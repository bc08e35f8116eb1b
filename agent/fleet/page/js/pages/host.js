// One host: its state, what holds its disk, every image with its reason, and what happened there.
import { useEffect, useRef, useState } from "preact/hooks";
import * as format from "../format.js";
import { useApi } from "../api.js";
import { blocked, changed, DISK_FULL, hosts, lastHeard, loaded } from "../fleet.js";
import { html } from "../html.js";
import { Ago, At, Failure, Incomplete, State, Waiting } from "../parts.js";
import { BlockedHost, Broker, Shares, Strip } from "../problems.js";
import { back, link } from "../router.js";
import { absolute, clock, ms } from "../time.js";
import { holds } from "../words.js";
import { Disk } from "./host_disk.js";
import { Images } from "./host_images.js";
import { Past } from "./host_past.js";

const AGAIN_EVERY = 3_000; // ms between two loads of a host that changes

export function Host({ id }) {
  const again = useChanges(id);
  const { data, error, reload } = useApi(`hosts/${encodeURIComponent(id)}`, { again });
  const row = useRow(id);
  const host = { host: id, state: "unknown", last_seen: null, ...data?.host, ...row };
  return html`<${Head} host=${host} info=${data?.info} />
    ${data && loaded.value ? html`<${Body} ...${{ id, host, data, again }} />` : error ? html`<${Failure} ...${{ error, reload }} />` : html`<${Waiting} />`}`;
}

function Body({ id, host, data, again }) {
  const full = blocked.value.find((each) => each.host === id);
  return html`<${Broker} /><${Silence} host=${host} since=${ms(data.info?.state_since) ?? lastHeard(host)} />
    ${full && html`<${BlockedHost} of=${full} />`}
    <${Standing} alerts=${data.alerts} full=${full} /><${Missing} streams=${data.streams} />
    <div class="two"><${Disk} host=${host} /><${Holding} host=${id} held=${data.held} /></div>
    <${Incomplete} hosts=${data.incomplete ? 1 : 0} />
    <${Images} host=${host} images=${data.images} leftOut=${host.images_left_out} />
    <${Past} host=${id} info=${data.info} again=${again} />`;
}

// The row of the list, which is always that of now
function useRow(id) {
  changed.value;
  return hosts.get(id);
}

// Another number whenever something changed on the host that its row shows, at most every 3 s
function useChanges(id) {
  const row = useRow(id);
  const mark = row && JSON.stringify({ ...row, last_seen: 0 });
  const [again, setAgain] = useState(mark);
  const last = useRef(0);
  useEffect(() => {
    const timer = setTimeout(() => { last.current = Date.now(); setAgain(mark); }, Math.max(0, last.current + AGAIN_EVERY - Date.now()));
    return () => clearTimeout(timer);
  }, [mark]);
  return again;
}

function Head({ host, info }) {
  const engine = info?.engine ?? {};
  return html`<p class="crumb"><a href=${back("")}>Fleet</a> <span aria-hidden="true">/</span></p>
    <div class="title"><h1 tabindex="-1">${host.host}</h1><${State} state=${host.state} />
      ${host.mode === "observe" && html`<span class="tag">observe: evicts nothing</span>`}${host.paused && html`<span class="tag warning">paused</span>`}</div>
    <p class="dim about">${[
      host.version && `torchkeeper ${host.version}`,
      engine.version && `Docker ${engine.version} ${engine.driver ?? ""}`,
      info?.started && html`agent up since <${At} at=${info.started} />`,
      html`last heard <${Ago} at=${host.last_seen} />`,
    ].filter(Boolean).map((part, i) => html`<span key=${i}>${part}</span>`)}</p>`;
}

function Silence({ host, since }) {
  const heard = lastHeard(host);
  if (host.state === "stale") return html`<${Strip} kind="warning">Silent since ${heard ? clock(heard) : "an unknown time"}. Its last list is shown.<//>`;
  if (host.state === "offline") {
    return html`<${Strip} kind="warning">Offline${since ? ` since ${absolute(since)}` : ""}: the agent said goodbye, or the broker lost it. Its last list is shown; it evicts nothing while its agent does not run.<//>`;
  }
  return null;
}

function Standing({ alerts, full }) {
  const others = alerts.filter((alert) => !full || alert.id !== DISK_FULL);
  if (!others.length) return null;
  return html`<ul class="alert-lines band ${others.some((each) => each.severity === "critical") ? "critical" : "warning"}">${others.map((alert) => html`<li key=${alert.id}>
    <span class=${`sign ${alert.severity}`} aria-hidden="true"></span><span><b>${alert.severity}</b> <code class="dim">${alert.id}</code> ${alert.message}
    <span class="dim">since <${Ago} at=${alert.since} /></span></span></li>`)}</ul>`;
}

function Missing({ streams }) {
  const ranges = streams.flatMap((stream) => stream.missing);
  if (!ranges.length) return null;
  const words = ranges.map(([low, high]) => (low === high ? format.count(low) : `${format.count(low)} to ${format.count(high)}`));
  return html`<${Strip} kind="warning">Events ${format.listed(words, 3)} of this host have not arrived; they are asked for again.<//>`;
}

function Holding({ host, held }) {
  const shown = held.filter((each) => each.bytes > 0);
  const whole = shown.reduce((sum, each) => sum + each.bytes, 0);
  return html`<section aria-labelledby="holds-title"><h2 id="holds-title">What the images hold</h2>
    ${whole === 0 && html`<p class="dim">No image takes any space.</p>`}
    <${Shares} held=${shown} whole=${whole} />
    <ul class="legend">${shown.map((each, i) => html`<li key=${each.reason}><span class=${`swatch share-${i % 6}`} aria-hidden="true"></span>
      <b class="figure">${format.bytes(each.bytes)}</b> <a href=${link("hosts", host, { only: each.reason })}>${holds(each.reason, each.words)}</a>
      <span class="dim">${format.plural(each.images, "image")}</span></li>`)}</ul></section>`;
}
