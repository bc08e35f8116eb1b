// Which hosts a list shows, and in which order. Pure: rows in, entries out.
import { isOverHigh, used } from "./fleet.js";

const STATES = { offline: 0, stale: 1, unknown: 2, online: 3 };

// Of each column: the value that it is sorted by
const KEYS = {
  host: (row) => row.host,
  state: (row) => STATES[row.state],
  disk: used,
  images: (row) => row.images,
  reclaimable: (row) => row.reclaimable_bytes,
  next: (row) => row.next_eviction,
  last: (row) => row.last_decision_at,
  freed: (row) => row.freed_24h_bytes,
  again: (row) => row.regrets_30d,
  alerts: (row) => row.criticals * 1_000_000 + row.warnings,
  seen: (row) => row.last_seen,
};

// What `only` means. `blocked` needs to know which hosts are full with nothing to evict.
export const ONLY = {
  alerts: { words: "with alerts", test: (row) => row.criticals + row.warnings > 0 },
  blocked: { words: "full, nothing evictable", test: (row, known) => known.blocked.has(row.host) },
  over: { words: "over high", test: isOverHigh },
  reclaimable: { words: "with reclaimable bytes", test: (row) => row.state !== "offline" && row.reclaimable_bytes > 0 },
  away: { words: "stale or offline", test: (row) => row.state === "stale" || row.state === "offline" },
  online: { words: "online", test: (row) => row.state === "online" },
  stale: { words: "stale", test: (row) => row.state === "stale" },
  offline: { words: "offline", test: (row) => row.state === "offline" },
  observe: { words: "only observing", test: (row) => row.mode === "observe" },
  paused: { words: "paused", test: (row) => row.paused === true },
};

export const SORT = "-disk"; // of the list of hosts, if nobody chose another

// Names of hosts, or with `group: "prefix"` {group, hosts: [...], open} followed by the names if it is open.
export function arrange(rows, { q = "", only = "", sort = SORT, group = "" }, known = { blocked: new Set(), open: new Set() }) {
  const text = q.toLowerCase();
  const test = ONLY[only]?.test;
  const chosen = rows.filter((row) => (!text || row.host.toLowerCase().includes(text)) && (!test || test(row, known)));
  chosen.sort(comparison(sort));
  const total = chosen.length;
  if (group !== "prefix") return { entries: chosen.map((row) => row.host), total };
  return { entries: grouped(chosen, known.open), total };
}

// Unknown values come last in both directions; equal ones are in the order of names.
export function comparison(sort, keys = KEYS, name = (row) => row.host) {
  const down = sort.startsWith("-");
  const key = keys[down ? sort.slice(1) : sort] ?? name;
  return (a, b) => {
    const x = key(a);
    const y = key(b);
    const unknownX = x === null || x === undefined;
    const unknownY = y === null || y === undefined;
    if (unknownX || unknownY) return unknownX - unknownY || compareNames(name(a), name(b));
    const order = typeof x === "string" ? compareNames(x, y) : x - y;
    return (down ? -order : order) || compareNames(name(a), name(b));
  };
}

// gpu-9 before gpu-10. Ten thousand names are compared at each sort, and Intl.Collator takes ten times as long.
const padded = new Map();
function compareNames(a, b) {
  const x = pad(a);
  const y = pad(b);
  return x < y ? -1 : Number(x > y);
}

function pad(name) {
  let text = padded.get(name);
  if (text === undefined) {
    text = name.toLowerCase().replace(/[0-9]+/g, (digits) => digits.padStart(8, "0"));
    padded.set(name, text);
  }
  return text;
}

// gpu-07-31 -> gpu-07; a name without a number of its own is its own group
export function prefixOf(name) {
  return /^(.+?)[-_.]?[0-9]+$/.exec(name)?.[1] ?? name;
}

function grouped(rows, open) {
  const groups = new Map();
  for (const row of rows) {
    const prefix = prefixOf(row.host);
    if (!groups.has(prefix)) groups.set(prefix, []);
    groups.get(prefix).push(row.host);
  }
  return [...groups].flatMap(([group, hosts]) => {
    const entry = { group, hosts, open: open.has(group) };
    return entry.open ? [entry, ...hosts] : [entry];
  });
}

// The sums of some rows. Hosts that are offline count as hosts only.
export function totals(rows) {
  const sum = {
    hosts: 0, online: 0, stale: 0, offline: 0, unknown: 0, observing: 0, paused: 0, over: 0, images: 0,
    used: 0, total: 0, reclaimable: 0, withReclaimable: 0, warnings: 0, criticals: 0, freed: 0, again: 0,
  };
  for (const row of rows) add(sum, row);
  return sum;
}

function add(sum, row) {
  sum.hosts += 1;
  sum[row.state] += 1;
  sum.warnings += row.warnings;
  sum.criticals += row.criticals;
  if (row.state === "offline") return;
  sum.observing += row.mode === "observe";
  sum.paused += row.paused === true;
  sum.images += row.images ?? 0;
  sum.used += row.disk_used_bytes ?? 0;
  sum.total += row.disk_total_bytes ?? 0;
  sum.reclaimable += row.reclaimable_bytes ?? 0;
  sum.withReclaimable += row.reclaimable_bytes > 0;
  sum.freed += row.freed_24h_bytes;
  sum.again += row.regrets_30d;
  sum.over += isOverHigh(row);
}
