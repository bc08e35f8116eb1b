// Events of hosts other than decisions: blind times, events given up, sweeps, prunes of build cache.
import * as format from "./format.js";
import { usePages, query } from "./api.js";
import { html } from "./html.js";
import { At, Failure, HostLink } from "./parts.js";
import { Rows } from "./rows.js";
import { absolute, ms } from "./time.js";

const NONE = {
  gap: "No blind time: nothing was missed.",
  dropped: "No event was given up.",
  sweep: "No sweep decided anything yet.",
  "build-cache": "No build cache was pruned.",
};

export function EventRows({ kind, host = "", since = "", until = "" }) {
  const { rows, error, busy, more, reload } = usePages(query("events", { kind, host, since, until }), "events");
  const columns = [AT, ...(host ? [] : [HOST]), { id: "what", label: "What", width: "minmax(260px, 3fr)", phone: "e", cell: (row) => html`<span class="why">${WORDS[row.kind](row.data)}</span>` }];
  if (error) return html`<${Failure} ...${{ error, reload }} />`;
  if (!rows.length) return html`<p class="nothing">${busy ? "Loading\u2026" : NONE[kind]}</p>`;
  return html`<${Rows} id="event" label="Events" columns=${columns} count=${rows.length} at=${(i) => rows[i]} keyOf=${(row, i) => i} more=${more} top=${kind} />`;
}

const AT = { id: "at", label: "At", width: "182px", phone: "b", cell: (row) => html`<${At} at=${row.at} />` };
const HOST = { id: "host", label: "Host", width: "minmax(120px, 0.6fr)", phone: "a", cell: (row) => html`<${HostLink} host=${row.host} />` };

const WORDS = {
  gap: ({ since, until, seconds, cause }) => `blind for ${format.duration(seconds * 1000)}, ${absolute(ms(since))} to ${absolute(ms(until))}: ${cause}. Images count as idle from its end at the earliest.`,
  dropped: ({ first_seq: first, last_seq: last, count, reason }) => `${format.plural(count, "event")} between number ${format.count(first)} and ${format.count(last)} will never come: ${reason}`,
  sweep: ({ mode, outcomes, estimated, measured }) => `${mode}: ${counts(outcomes) || "nothing was due"}; estimated ${format.bytes(estimated)}, measured ${format.bytes(measured)}`,
  "build-cache": ({ state, records, estimated, measured, error }) => error || `${state}: ${format.plural(records, "record")}, ${measured === null ? `about ${format.bytes(estimated)}` : format.bytes(measured)}`,
};

function counts(outcomes) {
  return Object.entries(typeof outcomes === "string" ? JSON.parse(outcomes) : outcomes ?? {}).map(([outcome, number]) => `${number} ${outcome}`).join(", ");
}
