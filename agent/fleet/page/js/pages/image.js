// One image on all hosts that have it.
import { useMemo, useState } from "preact/hooks";
import * as format from "../format.js";
import { useApi } from "../api.js";
import { columnsOf, DecisionPanel } from "../decisions.js";
import { html } from "../html.js";
import { comparison } from "../order.js";
import { Ago, Copy, Failure, Filter, HostLink, Incomplete, Waiting } from "../parts.js";
import { back, go, link, route, setView } from "../router.js";
import { Rows } from "../rows.js";
import { beat, exactNow, ms } from "../time.js";
import { HELD_BY, HOLDS } from "../words.js";

const DAY = 86_400_000; // ms
const AGAIN_EVERY = 300_000; // ms
const SOON = 14 * DAY;
const SORT = "-used";
const KEYS = {
  host: (row) => row.host,
  used: (row) => (row.reason === "in-use" ? Infinity : ms(row.last_used)),
  due: (row) => (row.action === "evict" ? 0 : ms(row.deadline)),
  frees: (row) => row.estimated_bytes,
  why: (row) => row.reason,
};

const COLUMNS = [
  { id: "host", label: "Host", sort: "host", up: true, width: "minmax(130px, 0.8fr)", phone: "a", cell: (row) => html`<${HostLink} host=${row.host} />` },
  { id: "names", label: "Name there", width: "minmax(180px, 1.2fr)", from: 820, cell: (row) => html`<span class="name" title=${row.references.join("\n")}>${row.references[0] ?? "no name"}</span>` },
  { id: "used", label: "Last use", sort: "used", width: "96px", phone: "c", before: "used ", cell: (row) => html`<${Ago} at=${row.last_used} none="not seen" />` },
  { id: "by", label: "By", width: "minmax(90px, 0.6fr)", from: 940, cell: (row) => row.last_used_by || format.UNKNOWN },
  { id: "due", label: "Due", sort: "due", up: true, width: "84px", phone: "b", before: "due ", cell: (row) => (row.action === "evict" ? html`<b>${row.held_by ? "held" : "now"}</b>` : html`<${Ago} at=${row.deadline} ahead />`) },
  { id: "frees", label: "Frees", sort: "frees", width: "84px", number: true, phone: "d", before: "frees ", from: 560, cell: (row) => format.bytes(row.estimated_bytes) },
  { id: "why", label: "Why", sort: "why", up: true, width: "minmax(200px, 1.6fr)", from: 480, phone: "e", cell: (row) => html`<span class="why" title=${row.explanation}>${row.explanation || HOLDS[row.reason] || row.reason}${row.held_by && `; held: ${HELD_BY[row.held_by] ?? row.held_by}`}</span>` },
];

export function Image({ id }) {
  const { data, error, reload } = useApi(`images/${encodeURIComponent(id)}`, { again: beat(AGAIN_EVERY) });
  const image = data?.image ?? { id, references: [], size_bytes: null };
  return html`<${Head} image=${image} />
    ${data ? html`<${Body} data=${data} />` : error ? html`<${Failure} ...${{ error, reload }} />` : html`<${Waiting} />`}`;
}

function Body({ data }) {
  return html`<${Incomplete} hosts=${data.incomplete_hosts} /><${Fate} ...${data} />
    <${Where} image=${data.image} hosts=${data.hosts} pull=${data.pull} />
    <${Decisions} of=${data.decisions} />`;
}

function Head({ image }) {
  const tags = image.references.filter((name) => !name.includes("@"));
  return html`<p class="crumb"><a href=${back("images")}>Images</a> <span aria-hidden="true">/</span></p>
    <div class="title"><h1 tabindex="-1" class="long">${image.references[0] ?? `${format.shortId(image.id)} (no name)`}</h1></div>
    <p class="dim about">${[html`<code>${image.id}</code>`, image.torch_version && `torch ${image.torch_version}`, image.accelerator, format.bytes(image.size_bytes),
      tags.length > 1 && `also ${format.listed(tags.slice(1), 3)}`].filter(Boolean).map((part, i) => html`<span key=${i}>${part}</span>`)}</p>`;
}

// The sentences that answer: is it used, will it go, was that wrong before?
function Fate({ image, hosts, decisions }) {
  const now = exactNow();
  const recent = hosts.filter((row) => row.reason === "in-use" || (row.last_used && now - ms(row.last_used) < DAY)).length;
  const going = hosts.filter((row) => row.action === "evict" || (row.reason === "recent" && row.deadline && ms(row.deadline) - now < SOON)).length;
  const evicted = decisions.filter((decision) => decision.outcome === "removed").length;
  const others = hosts.length - image.local_only;
  return html`<ul class="fate">
    <li>On <b>${format.plural(image.hosts, "host")}</b>; used in the last 24 h on <b>${format.count(recent)}</b>; in use on ${format.count(image.in_use)}.</li>
    <li>By their TTL it goes from <b>${format.plural(going, "host")}</b> within 14 d, if it is not used again.</li>
    <li>${decisions.length === 0 ? "No decision about it is known." : `Evicted ${evicted} times in the ${format.plural(decisions.length, "decision")} below; pulled again ${format.count(image.regrets_90d)} times in 90 d.`}</li>
    ${image.local_only > 0 && html`<li>It may exist nowhere else for ${format.plural(image.local_only, "host")}${others > 0 ? `, but ${format.plural(others, "other")} ${others === 1 ? "has" : "have"} it with a source` : ": if it is lost there, nobody can pull it"}.</li>`}</ul>`;
}

function Where({ image, hosts, pull }) {
  const { q = "", sort = SORT } = route.value.view;
  const shown = useMemo(() => hosts.filter((row) => row.host.includes(q)).sort(comparison(sort, KEYS)), [hosts, q, sort]);
  return html`<section aria-labelledby="where-title"><div class="tools"><h2 id="where-title">Hosts <span class="figure">${format.count(shown.length)}</span></h2>
      <${Filter} main label="Filter by host" value=${q} onInput=${(text) => setView({ q: text }, { typing: true })} />
      ${pull && html`<${Copy} text=${pull} />`}</div>
    <${Rows} id="where" label=${`Hosts that have ${image.references[0] ?? image.id}`} columns=${COLUMNS} count=${shown.length} at=${(i) => shown[i]} keyOf=${(row) => row.host}
      onOpen=${(row) => go(link("hosts", row.host, { q: image.id.slice(7, 19) }))} sort=${sort} onSort=${(next) => setView({ sort: next })} top=${`${q} ${sort}`} />
    ${shown.length === 0 && html`<p class="nothing">${hosts.length ? "No host matches." : "No host has it now."}</p>`}</section>`;
}

function Decisions({ of }) {
  const [open, setOpen] = useState(null);
  const columns = useMemo(() => columnsOf({ image: false }), []);
  if (!of.length) return null;
  return html`<section aria-labelledby="decisions-title" class=${open ? "with-panel" : ""}><div class="main-part"><h2 id="decisions-title">Decisions about it</h2>
    <${Rows} id="decision" label="Decisions about this image" columns=${columns} count=${of.length} at=${(i) => of[i]} keyOf=${(row) => row.id} opened=${open?.id} onOpen=${setOpen} top="" /></div>
    ${open && html`<${DecisionPanel} of=${open} onClose=${() => setOpen(null)} />`}</section>`;
}
