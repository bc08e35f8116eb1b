// Alerts that stand, the worst first, and those that ended.
import { useMemo } from "preact/hooks";
import * as format from "../format.js";
import { usePages } from "../api.js";
import { alertKey, alerts, loaded } from "../fleet.js";
import { html } from "../html.js";
import { Ago, At, Failure, Filter, HostLink, Waiting } from "../parts.js";
import { go, link, route, setView } from "../router.js";
import { Rows } from "../rows.js";
import { ms } from "../time.js";

const SEVERITY = { id: "severity", label: "Severity", width: "98px", phone: "b", cell: (alert) => html`<span class=${`tag ${alert.severity}`}><span class=${`sign ${alert.severity}`} aria-hidden="true"></span>${alert.severity}</span>` };
const HOST = { id: "host", label: "Host", width: "minmax(120px, 0.6fr)", phone: "a", cell: (alert) => html`<${HostLink} host=${alert.host} />` };
const NAME = { id: "id", label: "Alert", width: "minmax(150px, 0.8fr)", from: 620, phone: "c", cell: (alert) => html`<code>${alert.id}</code>` };
const MESSAGE = { id: "message", label: "What is wrong", width: "minmax(240px, 3fr)", phone: "e", cell: (alert) => html`<span class="why" title=${alert.message}>${alert.message}</span>` };
const SINCE = { id: "since", label: "Since", width: "92px", phone: "d", before: "since ", cell: (alert) => html`<${Ago} at=${alert.since} />` };
const BEGAN = { id: "began", label: "Began", width: "182px", from: 760, cell: (alert) => html`<${At} at=${alert.since} />` };
const LASTED = { id: "lasted", label: "Lasted", width: "96px", phone: "d", before: "lasted ", cell: (alert) => format.duration(ms(alert.until) - ms(alert.since)) };

const STANDING = [SEVERITY, HOST, SINCE, NAME, MESSAGE];
const PAST = [SEVERITY, HOST, BEGAN, LASTED, NAME, MESSAGE];

export function Alerts() {
  const { q = "" } = route.value.view;
  const all = alerts.value;
  const shown = useMemo(() => standing(all, q.toLowerCase()), [all, q]);
  return html`<div class="tools"><h1 tabindex="-1">Alerts <span class="figure">${format.count(all.size)}</span></h1>
      <${Filter} main label="Filter by host, alert or text" value=${q} onInput=${(text) => setView({ q: text }, { typing: true })} />
      <a class="quiet-link" href="api/alerts?standing=true&limit=100000&format=csv" download="alerts.csv">CSV</a></div>
    ${shown.length > 0 && html`<${Rows} id="alert" label="Standing alerts" columns=${STANDING} count=${shown.length} at=${(i) => shown[i]} keyOf=${alertKey}
      onOpen=${(alert) => go(link("hosts", alert.host))} top=${q} />`}
    ${!loaded.value && html`<${Waiting} />`}
    ${loaded.value && shown.length === 0 && html`<p class="nothing">${all.size ? html`No alert matches '${q}'. <button type="button" class="as-link" onClick=${() => setView({ q: "" })}>Show all</button>` : "No alert stands."}</p>`}
    <${Past} again=${all.size} />`;
}

function standing(all, text) {
  const matches = (alert) => !text || `${alert.host} ${alert.id} ${alert.message}`.toLowerCase().includes(text);
  const rank = (alert) => (alert.severity === "critical" ? 0 : 1);
  return [...all.values()].filter(matches).sort((a, b) => rank(a) - rank(b) || ms(b.since) - ms(a.since));
}

function Past({ again }) {
  const { rows, error, busy, more, reload } = usePages("alerts?standing=false", "alerts", { again });
  return html`<section aria-labelledby="past-title"><h2 id="past-title">Ended</h2>
    ${error && html`<${Failure} ...${{ error, reload }} />`}
    ${rows.length > 0 && html`<${Rows} id="ended" label="Alerts that ended" columns=${PAST} count=${rows.length} at=${(i) => rows[i]} keyOf=${(alert) => `${alertKey(alert)}${alert.since}`}
      more=${more} onOpen=${(alert) => go(link("hosts", alert.host))} top="" />`}
    ${!rows.length && !error && html`<p class="dim">${busy ? "Loading\u2026" : "No alert has ended in the time that is kept."}</p>`}</section>`;
}
