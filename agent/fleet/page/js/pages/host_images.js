// The images of a host, each with the reason why it stays or goes.
import { useMemo, useState } from "preact/hooks";
import * as format from "../format.js";
import { html } from "../html.js";
import { comparison } from "../order.js";
import { Ago, Filter, ImageLink, Select } from "../parts.js";
import { link, route, setView } from "../router.js";
import { Rows } from "../rows.js";
import { exactNow, ms } from "../time.js";
import { HELD_BY, HOLDS } from "../words.js";
import { ImagePanel } from "./host_image_panel.js";

const SORT = "due";

const KEYS = {
  due: (image) => (image.action === "evict" ? 0 : ms(image.deadline)),
  used: (image) => (image.running ? Infinity : ms(image.last_used)),
  idle: (image) => (image.running || !image.idle_since ? null : -ms(image.idle_since)),
  size: (image) => image.size_bytes,
  frees: (image) => image.estimated_bytes,
  name: (image) => image.references[0] ?? null,
  why: (image) => image.reason,
};
const nameOf = (image) => image.references[0] ?? image.id;

const ONLY = {
  next: { words: "goes next", test: (image) => image.action === "evict" || image.deadline !== null },
  held: { words: "held", test: (image) => image.held_by !== null || (image.action === "keep" && image.reason !== "recent") },
  unknown: { words: "unknown or ambiguous", test: (image) => ["unknown", "ambiguous"].includes(image.reason) },
  "local-only": { words: "exists nowhere else", test: (image) => image.reason === "local-only" },
};

const COLUMNS = [
  { id: "due", label: "Due", sort: "due", up: true, width: "84px", phone: "b", before: "due ", title: "When it may be evicted, if nothing changes",
    cell: (image) => (image.action === "evict" ? html`<b>${image.held_by ? "held" : "now"}</b>` : html`<${Ago} at=${image.deadline} ahead />`) },
  { id: "used", label: "Used", sort: "used", width: "92px", phone: "c", before: "used ",
    cell: (image) => (image.running ? "now" : html`<${Ago} at=${image.last_used} none="not seen" />`) },
  { id: "idle", label: "Idle", sort: "idle", width: "64px", from: 760,
    cell: (image) => (image.running ? format.UNKNOWN : image.idle_since ? format.roughly(exactNow() - ms(image.idle_since)) : format.UNKNOWN) },
  { id: "size", label: "Size", sort: "size", width: "84px", number: true, from: 560, cell: (image) => format.bytes(image.size_bytes) },
  { id: "frees", label: "Frees", sort: "frees", width: "84px", number: true, phone: "d", before: "frees ", title: "What its removal alone would free: layers that no other image has",
    cell: (image) => format.bytes(image.estimated_bytes) },
  { id: "name", label: "Image", sort: "name", up: true, width: "minmax(180px, 1.2fr)", phone: "a", cell: (image) => html`<${ImageLink} id=${image.id} references=${image.references} plain />` },
  { id: "why", label: "Why", sort: "why", up: true, width: "minmax(200px, 1.6fr)", from: 480, phone: "e", cell: (image) => html`<${Why} image=${image} />` },
];

export function Images({ host, images, leftOut }) {
  const { q = "", only = "", sort = SORT } = route.value.view;
  const [openId, setOpenId] = useState(null);
  const shown = useMemo(() => choose(images, { q, only, sort }), [images, q, only, sort]);
  const reasons = useMemo(() => reasonOptions(images), [images]);
  const open = images.find((image) => image.id === openId);
  return html`<section aria-labelledby="images-title" class=${open ? "with-panel" : ""}>
    <div class="main-part"><div class="tools"><h2 id="images-title">Images <span class="figure">${shown.length === images.length ? format.count(images.length) : `${format.count(shown.length)} of ${format.count(images.length)}`}</span></h2>
      <${Filter} main label="Filter by name" value=${q} onInput=${(text) => setView({ q: text }, { typing: true })} />
      <${Select} label="Show" value=${only} onChoose=${(value) => setView({ only: value })}
        options=${[["", "all"], ...Object.entries(ONLY).map(([code, { words }]) => [code, words]), ...reasons]} /></div>
    ${leftOut > 0 && html`<p class="dim note">${format.plural(leftOut, "image")} more ${leftOut === 1 ? "is" : "are"} not PyTorch, and ${leftOut === 1 ? "was" : "were"} left out by the host.</p>`}
    <${Rows} id="image" label=${`Images of ${host.host}`} columns=${COLUMNS} count=${shown.length} at=${(i) => shown[i]} keyOf=${(image) => image.id}
      opened=${openId ?? undefined} onOpen=${(image) => setOpenId(image.id)} sort=${sort} onSort=${(next) => setView({ sort: next })}
      rowClass=${(image) => (image.action === "evict" ? "goes" : "")} top=${`${host.host} ${q} ${only} ${sort}`} />
    ${shown.length === 0 && html`<p class="nothing">${images.length
      ? html`No image matches. <button type="button" class="as-link" onClick=${() => setView({ q: "", only: "" })}>Show all</button>`
      : "This host has reported no image."}</p>`}</div>
    ${open && html`<${ImagePanel} key=${open.id} image=${open} onClose=${() => setOpenId(null)} />`}</section>`;
}

function choose(images, { q, only, sort }) {
  const text = q.toLowerCase();
  const test = ONLY[only]?.test ?? (only ? (image) => image.reason === only || image.held_by === only : () => true);
  const named = (image) => !text || image.id.includes(text) || image.references.some((name) => name.toLowerCase().includes(text));
  return images.filter((image) => named(image) && test(image)).sort(comparison(sort, KEYS, nameOf));
}

function reasonOptions(images) {
  const counts = new Map();
  for (const code of images.flatMap(({ reason, held_by: held }) => (held ? [reason, held] : [reason]))) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts].filter(([reason]) => !(reason in ONLY)).sort().map(([reason, number]) => [reason, `${reason} (${number})`]);
}

function Why({ image }) {
  const elsewhere = image.reason === "local-only" && image.elsewhere > 0;
  return html`<span class="why" title=${image.explanation}>${image.explanation || HOLDS[image.reason] || image.reason}${
    image.held_by && `; held: ${HELD_BY[image.held_by] ?? image.held_by}`}${
    elsewhere && html`; <a href=${link("images", image.id)}>also on ${format.plural(image.elsewhere, "other host")}</a>`}${
    image.warnings.length > 0 && html` <span class="tag warning">${format.plural(image.warnings.length, "warning")}</span>`}</span>`;
}
