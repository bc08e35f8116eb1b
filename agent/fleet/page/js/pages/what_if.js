// What another TTL would free. The monitor reads its own database for it: no host is asked, and nothing is changed.
import { useState } from "preact/hooks";
import * as format from "../format.js";
import { query, useApi } from "../api.js";
import { html } from "../html.js";
import { At, Copy, Failure, HostLink, Incomplete, Meter, Waiting } from "../parts.js";
import { go, link, route, setView } from "../router.js";
import { Rows } from "../rows.js";
import { DEFAULT_HIGH, hosts } from "../fleet.js";
import { comparison } from "../order.js";

const USUAL = ["3d", "7d", "10d", "14d", "30d"];
const SORT = "-bytes";
const KEYS = { host: (row) => row.host, bytes: (row) => row.bytes, images: (row) => row.images };

const COLUMNS = [
  { id: "host", label: "Host", sort: "host", up: true, width: "minmax(140px, 1fr)", phone: "a", cell: (row) => html`<${HostLink} host=${row.host} />` },
  { id: "bytes", label: "Would free", sort: "bytes", width: "110px", number: true, phone: "b", before: "frees ", cell: (row) => format.bytes(row.bytes) },
  { id: "images", label: "Images", sort: "images", width: "84px", number: true, phone: "d", after: " images", cell: (row) => format.count(row.images) },
  { id: "after", label: "Disk after", width: "minmax(200px, 1.4fr)", phone: "c", before: "then ", cell: (row) => html`<${Meter} used=${after(row)} total=${row.disk_total_bytes} high=${hosts.get(row.host)?.high ?? DEFAULT_HIGH} />` },
];

function after(row) {
  return row.disk_used_bytes === null ? null : Math.max(0, row.disk_used_bytes - row.bytes);
}

export function WhatIf() {
  const { ttl = "" } = route.value.view;
  const [typed, setTyped] = useState(ttl);
  const submit = (event) => { event.preventDefault(); setView({ ttl: typed.trim() }); };
  const choose = (value) => { setTyped(value); setView({ ttl: value }); };
  return html`<section aria-labelledby="what-if-title"><h2 id="what-if-title">What would another TTL free?</h2>
    <form class="tools" onSubmit=${submit}><label class="field"><span class="dim">TTL</span>
      <input type="text" class="short" data-filter value=${typed} placeholder="7d" onInput=${(event) => setTyped(event.target.value)} aria-describedby="ttl-help" /></label>
      <button type="submit">Calculate</button>
      <span class="choice" role="group" aria-label="Usual TTLs">${USUAL.map((each) => html`<button type="button" key=${each} aria-pressed=${each === ttl ? "true" : "false"} onClick=${() => choose(each)}>${each}</button>`)}</span></form>
    <p class="dim" id="ttl-help">Like 12h, 7d or 2w. Read from the monitor's database alone: no message leaves, and nothing is evicted.</p>
    ${ttl && html`<${Answer} key=${ttl} ttl=${ttl} />`}</section>`;
}

function Answer({ ttl }) {
  const { sort = SORT } = route.value.view;
  const { data, error, reload } = useApi(query("what-if", { ttl }));
  if (error) return html`<${Failure} ...${{ error, reload: error.status === 400 ? null : reload }} />`;
  if (!data) return html`<${Waiting} />`;
  const shown = [...data.hosts].sort(comparison(sort, KEYS));
  return html`<div class="answer"><p class="headline">TTL ${ttl} would evict <b>${format.plural(data.images, "image")}</b> on <b>${format.plural(data.hosts_with, "host")}</b>, at least <b>${format.bytes(data.bytes)}</b>.</p>
      <p>"At least": layers that several of them share are not counted. Images with a rule or a label of their own keep their TTL.${data.offline_left_out > 0 && ` ${format.plural(data.offline_left_out, "offline host is", "offline hosts are")} left out.`}</p>
      <${Incomplete} hosts=${data.incomplete_hosts} />
      <${Expected} of=${data} ttl=${ttl} />
      <p class="dim">As of <${At} at=${data.at} />. A shorter TTL is set in each host's own file: <${Copy} label="Copy as TOML" text=${`[policy]\nttl = "${ttl}"`} /></p></div>
    ${shown.length > 0 && html`<div class="tools"><h3>By host${data.hosts_with > shown.length && html` <span class="dim">the first ${format.count(shown.length)}</span>`}</h3>
        <a class="quiet-link" href=${query("api/what-if", { ttl, format: "csv" })} download=${`what-if-${ttl}.csv`}>CSV</a></div>
      <${Rows} id="what-if" label="What it would free by host" columns=${COLUMNS} count=${shown.length} at=${(i) => shown[i]} keyOf=${(row) => row.host}
        onOpen=${(row) => go(link("hosts", row.host))} sort=${sort} onSort=${(next) => setView({ sort: next })} top=${`${ttl} ${sort}`} />`}`;
}

// How many of the images would be wanted back, from idle times of the past
function Expected({ of, ttl }) {
  if (!of.idle_spells) return html`<p>Nothing is known yet about how often images are wanted after that long: idle times are collected from now on.</p>`;
  const share = of.ended_with_use / of.idle_spells;
  const pulls = Math.round(of.images * share);
  if (!of.ended_with_use) return html`<p>In the last 90 days no image that was idle longer than ${ttl} was used again before its present TTL ended.</p>`;
  return html`<p>In the last 90 days, ${format.count(of.ended_with_use)} of ${format.count(of.idle_spells)} idle times over ${ttl} ended with a use before the present TTL: expect about <b>${format.count(pulls)}</b> of these images to be pulled again.</p>`;
}
