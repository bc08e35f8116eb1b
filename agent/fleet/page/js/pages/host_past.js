// What happened on a host: decisions, blind times, events that it gave up; and the policy that it has in force.
import { useMemo, useState } from "preact/hooks";
import { usePages } from "../api.js";
import { columnsOf, DecisionPanel } from "../decisions.js";
import { EventRows } from "../events.js";
import { html } from "../html.js";
import { Choice, Copy, Failure } from "../parts.js";
import { route, setView } from "../router.js";
import { Rows } from "../rows.js";
import { toml } from "../toml.js";
import { EVENTS } from "../words.js";

const PARTS = [["", "Decisions"], ...Object.entries(EVENTS), ["policy", "Policy in force"]];

export function Past({ host, info, again }) {
  const { past = "" } = route.value.view;
  return html`<section aria-labelledby="past-title"><div class="tools"><h2 id="past-title">${past === "policy" ? "Policy" : "History"}</h2>
      <${Choice} label="Show" value=${past} options=${PARTS} onChoose=${(value) => setView({ past: value })} /></div>
    ${past === "" ? html`<${Decisions} ...${{ host, again }} />` : past === "policy" ? html`<${Policy} info=${info} />` : html`<${EventRows} key=${past} kind=${past} host=${host} />`}</section>`;
}

function Decisions({ host, again }) {
  const { rows, error, busy, more, reload } = usePages(`decisions?host=${encodeURIComponent(host)}`, "decisions", { again });
  const [open, setOpen] = useState(null);
  const columns = useMemo(() => columnsOf({ host: false }), []);
  if (error) return html`<${Failure} ...${{ error, reload }} />`;
  if (!rows.length) return html`<p class="dim">${busy ? "Loading\u2026" : "No decision yet: no image of this host has been due."}</p>`;
  return html`<div class=${open ? "with-panel" : ""}><div class="main-part"><${Rows} id="decision" label=${`Decisions on ${host}`} columns=${columns} count=${rows.length} at=${(i) => rows[i]}
      keyOf=${(row) => row.id} opened=${open?.id} onOpen=${setOpen} more=${more} top=${host} />
    <p><a class="quiet-link" href=${`api/decisions?host=${encodeURIComponent(host)}&limit=100000&format=csv`} download=${`${host}-decisions.csv`}>CSV</a></p></div>
    ${open && html`<${DecisionPanel} of=${open} onClose=${() => setOpen(null)} />`}</div>`;
}

function Policy({ info }) {
  if (!info) return html`<p class="dim">The host has not reported its policy.</p>`;
  return html`<p class="dim">As it would stand in the host's own file. It is changed there, and nowhere else.</p><${Copy} text=${toml(info.policy)} />`;
}
