// Decisions of all hosts with their outcomes, and what else happened; filtered by the monitor.
import { useMemo, useState } from "preact/hooks";
import * as format from "../format.js";
import { query, usePages } from "../api.js";
import { columnsOf, DecisionPanel } from "../decisions.js";
import { EventRows } from "../events.js";
import { decisions } from "../fleet.js";
import { html } from "../html.js";
import { Choice, Failure, Filter, Select, useSlowly, Waiting } from "../parts.js";
import { route, setView } from "../router.js";
import { Rows } from "../rows.js";
import { EVENTS, OUTCOMES } from "../words.js";

const KINDS = [["", "Decisions"], ...Object.entries(EVENTS)];
const REASONS = [["", "any"], ...["idle-ttl", "disk-pressure", "dangling"].map((code) => [code, code])];
const SINCE = [["", "any time"], ["24h", "last 24 h"], ["7d", "last 7 d"], ["30d", "last 30 d"], ["90d", "last 90 d"]];
const AGAIN = [["", "any"], ["true", "pulled again"], ["false", "not pulled again"]];

export function History() {
  const { kind = "" } = route.value.view;
  return html`<div class="tools"><h1 tabindex="-1">History</h1><${Choice} label="Show" value=${kind} options=${KINDS} onChoose=${(value) => setView({ kind: value })} /></div>
    ${kind ? html`<${Events} key=${kind} kind=${kind} />` : html`<${Decisions} />`}`;
}

function Decisions() {
  const { q = "", host = "", reason = "", outcome = "", regret = "", since = "", image = "" } = route.value.view;
  const wanted = { q: useSlowly(q), host: useSlowly(host), image, reason, outcome, regret, since };
  const path = query("decisions", wanted);
  const { rows, error, busy, more, reload } = usePages(path, "decisions");
  const [open, setOpen] = useState(null);
  const columns = useMemo(() => columnsOf(), []);
  const choose = (name) => (value) => setView({ [name]: value });
  return html`<div class="tools filters">
      <${Filter} main label="Filter by image or sentence" value=${q} onInput=${(value) => setView({ q: value }, { typing: true })} />
      <${Filter} label="Host, its whole name" value=${host} onInput=${(value) => setView({ host: value }, { typing: true })} />
      <${Select} label="Outcome" value=${outcome} options=${[["", "any"], ...Object.entries(OUTCOMES)]} onChoose=${choose("outcome")} />
      <${Select} label="Reason" value=${reason} options=${REASONS} onChoose=${choose("reason")} />
      <${Select} label="Pulled again" value=${regret} options=${AGAIN} onChoose=${choose("regret")} />
      <${Select} label="Time" value=${since} options=${SINCE} onChoose=${choose("since")} />
      <a class="quiet-link" href=${query("api/decisions", { ...wanted, limit: 100000, format: "csv" })} download="decisions.csv">CSV</a>
      <${Fresh} rows=${rows} wanted=${wanted} reload=${reload} /></div>
    ${image && html`<p class="note">Only image <code>${format.shortId(image)}</code>. <button type="button" class="as-link" onClick=${() => setView({ image: "" })}>Any image</button></p>`}
    ${error && html`<${Failure} ...${{ error, reload }} />`}
    ${busy && !rows.length && html`<${Waiting} />`}
    <div class=${open ? "with-panel" : ""}><div class="main-part">${rows.length > 0 && html`<${Rows} id="decision" label="Decisions" columns=${columns} count=${rows.length} at=${(i) => rows[i]}
      keyOf=${(row) => row.id} opened=${open?.id} onOpen=${setOpen} more=${more} top=${path} />`}
      ${!busy && !error && !rows.length && html`<p class="nothing">No decision matches. <button type="button" class="as-link"
        onClick=${() => setView({ q: "", host: "", image: "", reason: "", outcome: "", regret: "", since: "" })}>Show all</button></p>`}</div>
      ${open && html`<${DecisionPanel} of=${open} onClose=${() => setOpen(null)} />`}</div>`;
}

// Decisions that arrived since the list was loaded are offered, not pushed in: the list would move while it is read.
function Fresh({ rows, wanted, reload }) {
  const plain = Object.values(wanted).every((value) => !value);
  const latest = rows[0]?.id ?? 0;
  const fresh = plain && rows.length ? decisions.value.filter((decision) => decision.id > latest).length : 0;
  if (!fresh) return null;
  return html`<button type="button" onClick=${reload}>Show ${format.plural(fresh, "new decision")}</button>`;
}

function Events({ kind }) {
  const { host = "", since = "" } = route.value.view;
  return html`<div class="tools filters"><${Filter} main label="Host, its whole name" value=${host} onInput=${(value) => setView({ host: value }, { typing: true })} />
      <${Select} label="Time" value=${since} options=${SINCE} onChoose=${(value) => setView({ since: value })} />
      <a class="quiet-link" href=${query("api/events", { kind, host, since, limit: 100000, format: "csv" })} download=${`${kind}.csv`}>CSV</a></div>
    <${EventRows} kind=${kind} host=${useSlowly(host)} since=${since} />`;
}
