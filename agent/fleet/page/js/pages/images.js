// The images of the fleet, by image ID: on how many hosts, when used last, what they hold.
import * as format from "../format.js";
import { query, usePages } from "../api.js";
import { html } from "../html.js";
import { Ago, Failure, Filter, ImageLink, Incomplete, useSlowly, Waiting } from "../parts.js";
import { go, link, route, setView } from "../router.js";
import { Rows } from "../rows.js";

const SORT = "hosts"; // the monitor sorts, the largest first

const COLUMNS = [
  { id: "name", label: "Image", width: "minmax(220px, 2fr)", phone: "a", cell: (image) => html`<${ImageLink} id=${image.id} references=${image.references} />` },
  { id: "torch", label: "Torch", width: "minmax(110px, 0.7fr)", from: 760, cell: (image) => [image.torch_version, image.accelerator].filter(Boolean).join(" ") || format.UNKNOWN },
  { id: "hosts", label: "Hosts", sort: "hosts", width: "72px", number: true, phone: "b", after: " hosts", cell: (image) => format.count(image.hosts) },
  { id: "in_use", label: "In use", width: "72px", number: true, from: 560, title: "On how many hosts a container has it", cell: (image) => format.count(image.in_use) },
  { id: "used", label: "Last use", sort: "used", width: "100px", phone: "c", before: "used ", cell: (image) => html`<${Ago} at=${image.last_used} none="not seen" />` },
  { id: "size", label: "Size", sort: "size", width: "88px", number: true, from: 620, cell: (image) => format.bytes(image.size_bytes) },
  { id: "held", label: "Frees", sort: "bytes", width: "92px", number: true, phone: "d", before: "frees ", title: "What its removal from all hosts would free at least", cell: (image) => format.bytes(image.estimated_bytes) },
  { id: "local", label: "Only copy", width: "92px", number: true, from: 860, title: "On how many hosts it may exist nowhere else", cell: (image) => format.count(image.local_only) },
  { id: "again", label: "Pulled again", width: "104px", number: true, from: 940, title: "Evicted, and back before its TTL would have ended, in 90 days", cell: (image) => format.count(image.regrets_90d) },
];

export function Images() {
  const { q = "", sort = SORT } = route.value.view;
  const text = useSlowly(q);
  const { rows, last, error, busy, more, reload } = usePages(query("images", { q: text, sort }), "images");
  return html`<div class="tools"><h1 tabindex="-1">Images</h1>
      <${Filter} main label="Filter by name or ID" value=${q} onInput=${(value) => setView({ q: value }, { typing: true })} />
      <a class="quiet-link" href=${query("api/images", { q: text, sort, limit: 100000, format: "csv" })} download="images.csv">CSV</a></div>
    <${Incomplete} hosts=${last?.incomplete_hosts} />
    ${error && html`<${Failure} ...${{ error, reload }} />`}
    ${busy && !rows.length && html`<${Waiting} />`}
    ${rows.length > 0 && html`<${Rows} id="image" label="Images" columns=${COLUMNS} count=${rows.length} at=${(i) => rows[i]} keyOf=${(image) => image.id} more=${more}
      onOpen=${(image) => go(link("images", image.id))} sort=${`-${sort}`} onSort=${(next) => setView({ sort: next.replace("-", "") })} top=${`${text} ${sort}`} />`}
    ${!busy && !error && !rows.length && html`<p class="nothing">${text ? html`No image matches '${text}'. <button type="button" class="as-link" onClick=${() => setView({ q: "" })}>Show all</button>` : "No host has reported an image."}</p>`}`;
}
