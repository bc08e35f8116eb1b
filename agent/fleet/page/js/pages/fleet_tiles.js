// Six figures of the whole fleet. Each can be explained, and most of them show their hosts.
import { useEffect, useState } from "preact/hooks";
import * as format from "../format.js";
import { changed, DISK_FULL, hosts, overview } from "../fleet.js";
import { html } from "../html.js";
import { totals } from "../order.js";
import { link } from "../router.js";

const EVERY = 1_000; // ms between two sums over all hosts

export function Tiles() {
  const sums = useTotals();
  const [open, setOpen] = useState("");
  const tiles = tilesOf(sums, overview.value);
  const explained = tiles.find((tile) => tile.id === open);
  return html`<section class="tiles" aria-label="Figures of the fleet">
      ${tiles.map((tile) => html`<${Tile} key=${tile.id} ...${tile} open=${open === tile.id}
        onExplain=${() => setOpen(open === tile.id ? "" : tile.id)} />`)}</section>
    <div role="status">${explained && html`<p class="definition"><b>${explained.label}</b>: ${explained.means}</p>`}</div>`;
}

function Tile({ label, figure, sub, means, view, kind = "", open, onExplain }) {
  return html`<div class=${`tile ${kind}`}>
    <button type="button" class="label" aria-expanded=${open ? "true" : "false"} onClick=${onExplain} title=${means}>${label}</button>
    ${view ? html`<a class="figure" href=${link("", "", view)}>${figure}</a>` : html`<span class="figure">${figure}</span>`}
    <span class="sub">${sub}</span></div>`;
}

// Summed once a second: the rows may change four times as often.
function useTotals() {
  const [sums, setSums] = useState(() => totals(hosts.values()));
  useEffect(() => {
    let seen = -1;
    const timer = setInterval(() => {
      if (seen === changed.peek()) return;
      seen = changed.peek();
      setSums(totals(hosts.values()));
    }, EVERY);
    return () => clearInterval(timer);
  }, []);
  return sums;
}

function tilesOf(sums, known) {
  const away = sums.stale + sums.offline;
  const without = sums.offline ? `, without ${format.plural(sums.offline, "offline host")}` : "";
  return [
    reclaimed(known?.reclaimed),
    {
      id: "reclaimable", label: "Reclaimable now", figure: format.bytes(sums.reclaimable), view: { only: "reclaimable", sort: "-reclaimable" },
      sub: `on ${format.plural(sums.withReclaimable, "host")}${without}`,
      means: "what the evictions that are due now would free, as each host estimates it. Some of it may be held: by a window, a pause or observe mode.",
    },
    {
      id: "online", label: "Hosts online", figure: format.count(sums.online), view: { only: "online" },
      sub: modes(sums), means: "hosts whose agent was heard within 3 minutes. A host that only observes evicts nothing.",
    },
    {
      id: "away", label: "Stale or offline", figure: format.count(away), view: { only: "away", sort: "seen" }, kind: away ? "warning" : "",
      sub: away ? html`<a href=${link("", "", { only: "stale" })}>${format.count(sums.stale)} stale</a>, <a href=${link("", "", { only: "offline" })}>${format.count(sums.offline)} offline</a>` : "every host is heard",
      means: "stale: no sign for 3 minutes. Offline: the agent said goodbye, or the broker lost it.",
    },
    {
      id: "over", label: "Disk over high", figure: format.count(sums.over), view: { only: "over", sort: "-disk" }, kind: sums.over ? "warning" : "",
      sub: known?.high ?? "by their own policy", means: "hosts whose disk is fuller than their own pressure.high; 85 % where they have none. Offline hosts are left out.",
    },
    alertTile(sums, known),
  ];
}

function reclaimed(figures) {
  const tile = {
    id: "reclaimed", label: "Reclaimed, 30 days",
    means: "measured bytes of removed images and pruned build cache; where a host could not measure, its estimate, and then with ~ before the figure. Pulled again: images that came back before their TTL would have ended.",
  };
  if (!figures) return { ...tile, figure: format.UNKNOWN, sub: "" };
  const whole = figures.measured_bytes + figures.estimated_bytes;
  const part = whole ? figures.estimated_bytes / whole : 0;
  const observed = figures.evicted === 0 && figures.would_evict > 0;
  return {
    ...tile,
    figure: `${figures.estimated_bytes ? "~ " : ""}${format.bytes(whole)}`,
    sub: observed
      ? `${format.count(figures.would_evict)} would have been evicted`
      : html`<a href=${link("history", "", { outcome: "removed" })}>${format.count(figures.evicted)} evicted</a>, <a href=${link("history", "", { regret: "true" })}>${format.count(figures.regrets)} pulled again</a>${part > 0 && `, ${format.percent(part)} estimated`}`,
  };
}

function modes({ observing, paused, unknown }) {
  const parts = [observing && `${format.count(observing)} only observe`, paused && `${format.count(paused)} paused`, unknown && `${format.count(unknown)} unknown`];
  return parts.filter(Boolean).join(", ") || "all of them evict";
}

function alertTile(sums, known) {
  return {
    id: "alerts", label: "Alerts", figure: format.count(sums.criticals + sums.warnings), view: { only: "alerts", sort: "-alerts" },
    kind: sums.criticals ? "critical" : "", sub: criticalWords(sums.criticals, known?.critical_alerts[DISK_FULL] ?? 0),
    means: "alerts of hosts that stand now.",
  };
}

function criticalWords(number, full) {
  const others = Math.max(0, number - full);
  const parts = [full && `${format.plural(full, "disk")} full, nothing evictable`, others && `${format.count(others)} ${full ? "other " : ""}critical`];
  return parts.filter(Boolean).join("; ") || "none is critical";
}
