// The fleet: problems, figures, and every host in one table.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { batch, signal } from "@preact/signals";
import * as format from "../format.js";
import { blocked, changed, DEFAULT_HIGH, hosts, isOld, lastHeard, loaded } from "../fleet.js";
import { html } from "../html.js";
import { arrange, ONLY, SORT, totals } from "../order.js";
import { Ago, Choice, Filter, HostLink, Meter, Outcome, Select, State, Waiting } from "../parts.js";
import { Behind, Blocked, Broker, Critical, Incomplete } from "../problems.js";
import { go, link, route, setView } from "../router.js";
import { Rows } from "../rows.js";
import { FirstRun } from "./first_run.js";
import { Live, Idle, Reclaimed } from "./fleet_side.js";
import { Tiles } from "./fleet_tiles.js";

const SORT_EVERY = 2_000; // ms; values change at once, their order does not jump

const openGroups = signal(new Set());

export function Fleet() {
  return html`<h1 class="unseen" tabindex="-1">Fleet</h1>${loaded.value ? html`<${Loaded} />` : html`<${Waiting} />`}`;
}

function Loaded() {
  return html`<${Broker} /><${Behind} /><${Blocked} /><${Critical} /><${Incomplete} />
    ${changed.value && hosts.size === 0 ? html`<${FirstRun} />` : html`<${Body} />`}`;
}

function Body() {
  return html`<${Tiles} />
    <div class="with-side"><section aria-labelledby="hosts-title"><${Hosts} /></section>
      <div class="side"><${Reclaimed} /><${Idle} /><${Live} /></div></div>`;
}

function Hosts() {
  const { q = "", only = "", sort = SORT, group = "" } = route.value.view;
  const { list, hold, late, arrangeNow } = useOrder({ q, only, sort, group });
  const columns = useMemo(() => (group ? [GROUP_NAME, ...COLUMNS.slice(1)] : COLUMNS), [group]);
  changed.value; // values are those of now, in the order of the last arrangement
  const at = (i) => entry(list.entries[i]);
  return html`
    <div class="tools"><h2 id="hosts-title">Hosts <span class="figure">${list.total === hosts.size ? format.count(hosts.size) : `${format.count(list.total)} of ${format.count(hosts.size)}`}</span></h2>
      <${Filter} main label="Filter by name" value=${q} onInput=${(text) => setView({ q: text }, { typing: true })} />
      <${Select} label="Show" value=${only} onChoose=${(value) => setView({ only: value })}
        options=${[["", "all"], ...Object.entries(ONLY).map(([code, { words }]) => [code, words])]} />
      <${Choice} label="Group" value=${group} options=${[["", "none"], ["prefix", "by prefix"]]} onChoose=${(value) => setView({ group: value })} />
      ${late && html`<button type="button" class="quiet" onClick=${arrangeNow}>Sort again</button>`}
      <a class="quiet-link" href="api/hosts?limit=100000&format=csv" download="hosts.csv">CSV</a></div>
    <${Rows} id="host" label="Hosts" columns=${columns} count=${list.entries.length} at=${at} keyOf=${(row) => (row.group ? `group ${row.group}` : row.host)}
      onOpen=${open} sort=${sort} onSort=${(next) => setView({ sort: next })} rowClass=${rowClass} onHold=${hold}
      top=${`${q} ${only} ${sort} ${group}`} />
    ${list.entries.length === 0 && html`<${NoMatch} ...${{ q, only }} />`}`;
}

function NoMatch({ q, only }) {
  const wanted = [q && `'${q}'`, only && `"${ONLY[only]?.words ?? only}"`].filter(Boolean).join(" and ");
  return html`<p class="nothing">No host matches ${wanted}. <button type="button" class="as-link"
    onClick=${() => setView({ q: "", only: "" })}>Show all</button></p>`;
}

// The order of the hosts. It is made again at once if the reader asks for another, else every 2 s if anything changed,
// and not while the pointer or the focus is in the table: a row shall not move away under a hand.
function useOrder(wanted) {
  const key = JSON.stringify(wanted);
  const state = useRef({ key: null, seen: 0, open: null, list: null });
  const make = () => arrange(inOrderOf(state.current.list), wanted, { blocked: new Set(blocked.value.map((each) => each.host)), open: openGroups.value });
  const held = useRef({ pointer: false, focus: false });
  const [, redraw] = useState(0);
  const [late, setLate] = useState(false);
  const arrangeNow = () => {
    state.current = { key, seen: changed.value, open: openGroups.value, list: make() };
    setLate(false);
  };
  if (state.current.key !== key || state.current.open !== openGroups.value) arrangeNow();
  useEffect(() => {
    const timer = setInterval(() => {
      if (state.current.seen === changed.peek()) return;
      const { pointer, focus } = held.current;
      if (pointer || focus) return setLate(true);
      arrangeNow();
      redraw((times) => times + 1);
    }, SORT_EVERY);
    return () => clearInterval(timer);
  }, [key]);
  const hold = (what, on) => { held.current[what] = on; };
  return { list: state.current.list, hold, late, arrangeNow: () => { arrangeNow(); redraw((times) => times + 1); } };
}

// All rows, in the order of the last list if that has them all: to sort rows that are nearly in order takes a few
// milliseconds of 10,000 hosts; to sort them anew takes longer than a frame.
function inOrderOf(list) {
  const rows = (list?.entries ?? []).map((name) => hosts.get(name)).filter(Boolean);
  return rows.length === hosts.size ? rows : [...hosts.values()];
}

const GONE = { state: "unknown", gone: true, criticals: 0, warnings: 0 };

// A row of now: the host's, or the sums of a group's.
function entry(item) {
  if (typeof item === "string") return hosts.get(item) ?? { ...GONE, host: item };
  return { ...item, sums: totals(item.hosts.map((name) => hosts.get(name)).filter(Boolean)) };
}

function open(row) {
  if (!row.group) return go(link("hosts", row.host));
  const next = new Set(openGroups.value);
  if (!next.delete(row.group)) next.add(row.group);
  batch(() => { openGroups.value = next; });
  return undefined;
}

function rowClass(row) {
  if (row.group) return "group";
  return `${isOld(row) ? "old" : ""} ${row.gone ? "gone" : ""} ${row.criticals ? "critical" : ""}`;
}

// --- columns; each shows a host, or the sums of a group ---

const either = (host, group) => (row) => (row.group ? group(row.sums, row) : row.gone ? "" : host(row));

const NAME = {
  id: "host", label: "Host", sort: "host", up: true, width: "minmax(130px, 1.3fr)", phone: "a",
  cell: (row) => (row.group ? html`<${Group} row=${row} />` : html`<${HostLink} host=${row.host} />${row.gone && html` <span class="dim">forgotten</span>`}`),
};
const GROUP_NAME = { ...NAME, label: "Group" };

const COLUMNS = [
  NAME,
  {
    id: "state", label: "State", sort: "state", up: true, width: "minmax(150px, 1.2fr)", phone: "b",
    cell: either(
      (row) => html`<${State} state=${row.state} />${mode(row)}<${Alerts} ...${row} />`,
      (sums) => html`${format.count(sums.online)} online<${Alerts} ...${sums} />`,
    ),
  },
  {
    id: "disk", label: "Disk", sort: "disk", width: "minmax(196px, 1.2fr)", phone: "c",
    title: "How full the engine's file system is; the mark is the host's own limit",
    cell: either(
      (row) => html`<${Meter} used=${row.disk_used_bytes} total=${row.disk_total_bytes} high=${row.high ?? DEFAULT_HIGH} />`,
      (sums) => html`<${Meter} used=${sums.used} total=${sums.total} high=${DEFAULT_HIGH} />`,
    ),
  },
  {
    id: "reclaimable", label: "Reclaimable", sort: "reclaimable", width: "100px", number: true, phone: "d", after: " reclaimable",
    title: "What the evictions that are due would free",
    cell: either((row) => format.bytes(row.reclaimable_bytes), (sums) => format.bytes(sums.reclaimable)),
  },
  {
    id: "next", label: "Next", sort: "next", up: true, width: "68px", from: 720, title: "When the next image is due",
    cell: either((row) => html`<${Ago} at=${row.next_eviction} ahead />`, () => ""),
  },
  {
    id: "images", label: "Images", sort: "images", width: "68px", number: true, from: 810,
    cell: either((row) => format.count(row.images), (sums) => format.count(sums.images)),
  },
  {
    id: "last", label: "Last decision", sort: "last", width: "minmax(138px, 1fr)", from: 960, phone: "e",
    cell: either(last, () => ""),
  },
  {
    id: "freed", label: "Freed, 24 h", sort: "freed", width: "100px", number: true, from: 1080,
    cell: either((row) => (row.freed_24h_bytes ? format.bytes(row.freed_24h_bytes) : "0"), (sums) => format.bytes(sums.freed)),
  },
  {
    id: "again", label: "Pulled again", sort: "again", width: "108px", number: true, from: 1200,
    title: "Evicted images that came back before their TTL would have ended, in 30 days",
    cell: either((row) => format.count(row.regrets_30d), (sums) => format.count(sums.again)),
  },
];

function Group({ row }) {
  return html`<button type="button" class="as-link" aria-expanded=${row.open ? "true" : "false"} onClick=${() => open(row)}>
    <span aria-hidden="true">${row.open ? "\u25be" : "\u25b8"}</span> ${row.group}</button> <span class="dim">${format.plural(row.hosts.length, "host")}</span>`;
}

function mode(row) {
  return html`${row.mode === "observe" && html`<span class="tag">observe</span>`}${row.paused && html`<span class="tag">paused</span>`}${
    isOld(row) && html`<span class="dim"> <${Ago} at=${lastHeard(row)} /></span>`}`;
}

function Alerts({ criticals, warnings }) {
  if (!criticals && !warnings) return null;
  const text = criticals ? `${format.count(criticals)} critical` : format.plural(warnings, "alert");
  return html`<span class=${`tag ${criticals ? "critical" : "warning"}`}><span class=${`sign ${criticals ? "critical" : "warning"}`} aria-hidden="true"></span>${text}</span>`;
}

function last(row) {
  if (row.last_decision_at === null) return html`<span class="dim">no decision yet</span>`;
  return html`<${Outcome} code=${row.last_outcome} /> <span class="dim"><${Ago} at=${row.last_decision_at} /></span>`;
}
