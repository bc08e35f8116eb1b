// Decisions as rows, and one of them in a panel. Used by the pages of the history, a host and an image.
import * as format from "./format.js";
import { html } from "./html.js";
import { Ago, At, Copy, Facts, HostLink, ImageLink, Outcome, Panel } from "./parts.js";
import { HELD_BY, holds } from "./words.js";

const AT = { id: "at", label: "At", width: "182px", phone: "b", cell: (row) => html`<${At} at=${row.at} />` };
const OUTCOME = { id: "outcome", label: "Outcome", width: "140px", phone: "d",
  cell: (row) => html`<${Outcome} code=${row.outcome} />${row.regret_at && html`<span class="tag warning" title="pulled again before its TTL would have ended">again</span>`}` };
const IMAGE = { id: "image", label: "Image", width: "minmax(200px, 1.2fr)", phone: "a", cell: (row) => html`<${ImageLink} id=${row.image_id} references=${row.references} />` };
const HOST = { id: "host", label: "Host", width: "minmax(110px, 0.6fr)", phone: "c", cell: (row) => html`<${HostLink} host=${row.host} />` };
const FREED = { id: "freed", label: "Freed", width: "96px", number: true, from: 620, title: "Measured; ~ is the estimate", cell: (row) => freed(row) };
const WHY = { id: "why", label: "Why", width: "minmax(220px, 1.6fr)", from: 520, phone: "e",
  cell: (row) => html`<span class="why" title=${why(row)}>${why(row)}</span>` };

// Without the column of what the page is about
export function columnsOf({ host = true, image = true } = {}) {
  return [AT, OUTCOME, ...(image ? [IMAGE] : []), ...(host ? [{ ...HOST, phone: image ? "c" : "a" }] : []), FREED, WHY];
}

export function why({ explanation, error, reason }) {
  return error || explanation || (reason ? holds(reason) : "the decision itself has not arrived");
}

function freed({ outcome, measured_bytes: measured, estimated_bytes: estimated }) {
  if (outcome === "removed") return measured === null ? `~ ${format.bytes(estimated)}` : format.bytes(measured);
  return outcome === "would-remove" ? html`<span class="dim">~ ${format.bytes(estimated)}</span>` : "";
}

export function DecisionPanel({ of, onClose }) {
  return html`<${Panel} title=${of.references[0] ?? format.shortId(of.image_id)} onClose=${onClose}>
    <p class="verdict"><${Outcome} code=${of.outcome} /> on <${HostLink} host=${of.host} />: ${why(of)}</p>
    <p><${ImageLink} id=${of.image_id} references=${of.references} /></p>
    <${Facts} of=${[
      ["Decided", html`<${At} at=${of.at} />`],
      ["Outcome at", of.outcome_at && html`<${At} at=${of.outcome_at} />`],
      ["Reason", of.reason],
      ["Mode", of.mode],
      ["Held by", of.held_by && (HELD_BY[of.held_by] ?? of.held_by)],
      ["Last use", of.last_used ? html`<${Ago} at=${of.last_used} />` : "not seen"],
      ["By", of.last_used_by],
      ["Idle then", of.idle_seconds !== null && format.duration(of.idle_seconds * 1000)],
      ["TTL then", of.ttl_seconds !== null && format.duration(of.ttl_seconds * 1000)],
      ["Estimated", format.bytes(of.estimated_bytes)],
      ["Measured", of.measured_bytes === null ? "not measured" : format.bytes(of.measured_bytes)],
      ["Pulled again", of.regret_at && html`<${At} at=${of.regret_at} />`],
      ["Decision", html`<code>${of.decision_id}</code>`],
    ]} />
    ${of.error && html`<h3>The engine said</h3><p>${of.error}</p>`}
    <${Lines} title="What shows that it is PyTorch" lines=${of.evidence} />
    <${Lines} title="Removed with it" lines=${of.also_removed} />
    <${Lines} title="Names" lines=${of.references} />
    <h3>Bring it back</h3>
    ${of.pull ? html`<p><${Copy} text=${of.pull} /></p>` : html`<p class="dim">No digest of it is known, so no command can pull exactly this image again.</p>`}
    ${of.outcome === "removed" && of.references[0] && html`<p class="dim">With its names, on the host: <${Copy} text=${`torchkeeper restore ${of.references[0]}`} /></p>`}
  <//>`;
}

function Lines({ title, lines }) {
  if (!lines.length) return null;
  return html`<h3>${title}</h3><ul class="names">${lines.map((line) => html`<li key=${line}>${line}</li>`)}</ul>`;
}
