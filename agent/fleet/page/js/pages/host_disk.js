// How full the disk of a host was in the last two weeks, with its limits and its evictions.
import * as format from "../format.js";
import { useApi } from "../api.js";
import { DEFAULT_HIGH } from "../fleet.js";
import { html } from "../html.js";
import { Chart } from "../chart.js";
import { Meter } from "../parts.js";
import { beat } from "../time.js";

const HOUR = 3_600_000; // ms

export function Disk({ host }) {
  const name = encodeURIComponent(host.host);
  const { data } = useApi(`series?kind=disk&host=${name}&since=14d`, { again: beat(HOUR) });
  const evicted = useApi(`decisions?host=${name}&outcome=removed&since=14d&limit=100`, { again: beat(HOUR) });
  const high = host.high ?? DEFAULT_HIGH;
  return html`<section aria-labelledby="disk-title"><h2 id="disk-title">Disk</h2>
    <p class="disk-now"><${Meter} used=${host.disk_used_bytes} total=${host.disk_total_bytes} high=${high} />
      <span class="dim">${host.disk_used_bytes !== null && `${format.bytes(host.disk_used_bytes)} used; `}limit ${format.percent(high)}${host.high === null ? " (assumed: pressure.high is not set)" : ""}</span></p>
    ${data?.at.length > 1
      ? html`<${Chart} title="Used, 14 days" x=${data.at} series=${lines(data, host, high)} max=${host.disk_total_bytes ?? undefined} height=${150}
          marks=${ticks(evicted.data, data.at[0])} summary=${summary(data, evicted.data)} />`
      : html`<p class="dim">The chart begins when there are two hours of figures.</p>`}</section>`;
}

function lines(data, host, high) {
  const used = Object.entries(data.series).filter(([name]) => name === "used" || name === "used_last");
  const shown = used.length ? used : Object.entries(data.series).slice(0, 1);
  const limit = host.disk_total_bytes ? [{ label: `High, ${format.percent(high)}`, values: data.at.map(() => high * host.disk_total_bytes), color: "critical", dash: [4, 4] }] : [];
  return [...shown.map(([, values]) => ({ label: "Used", values, color: "series" })), ...limit];
}

// One tick for each day with evictions; a hundred lines would hide the curve.
function ticks(evicted, first) {
  const days = new Map();
  for (const { outcome_at: at } of evicted?.decisions ?? []) {
    const seconds = Date.parse(at) / 1000;
    const day = Math.floor(seconds / 86_400);
    if (seconds >= first) days.set(day, { x: seconds, color: "dim" });
  }
  return [...days.values()];
}

function summary(data, evicted) {
  const number = evicted?.decisions.length ?? 0;
  return `${data.at.length} points; ${number ? `dashed vertical lines are days with evictions, ${number} in all` : "no eviction"}.`;
}
