// Beside the hosts: what was reclaimed by day, how long images are idle, and the decisions as they arrive.
import * as format from "../format.js";
import { decisions } from "../fleet.js";
import { html } from "../html.js";
import { useApi } from "../api.js";
import { Chart } from "../chart.js";
import { At, HostLink, ImageLink, Outcome } from "../parts.js";
import { link } from "../router.js";
import { absolute, beat, clock, exactNow, local, ms } from "../time.js";
import { holds } from "../words.js";

const MOST_LIVE = 20;
const HOUR = 3_600_000; // ms

export function Reclaimed({ host = "" }) {
  const { data } = useApi(`series?kind=reclaimed&since=30d${host && `&host=${encodeURIComponent(host)}`}`, { again: beat(HOUR) });
  if (!data?.at.length) return null;
  const names = Object.keys(data.series);
  const sums = data.at.map((_, i) => names.reduce((sum, name) => sum + (data.series[name][i] ?? 0), 0));
  const whole = sums.reduce((sum, each) => sum + each, 0);
  if (!whole) return html`<${Nothing} title="Reclaimed by day" text="Nothing was reclaimed in 30 days." />`;
  return html`<${Chart} title="Reclaimed by day" x=${data.at} height=${120} summary=${`${format.bytes(whole)} in ${format.plural(data.at.length, "day")}.`}
    series=${[{ label: "Reclaimed", values: sums, kind: "bars", color: "series" }]} />`;
}

// How many images were idle for how long before they were used again, and where the usual TTL cuts.
export function Idle() {
  const { data } = useApi("series?kind=idle", { again: beat(HOUR) });
  const policies = useApi("policies");
  const [name] = Object.keys(data?.series ?? {});
  if (!data?.at.length || !name) return null;
  if (!data.series[name].some(Boolean)) return html`<${Nothing} title="Idle before the next use" text="No idle image was used again yet." />`;
  const labels = data.at.map((hours) => (hours < 24 ? `${hours} h` : `${Math.round(hours / 24)} d`));
  const ttl = ttlHours(policies.data);
  const marks = ttl ? [{ x: place(data.at, ttl), label: `TTL ${Math.round(ttl / 24)} d` }] : [];
  return html`<${Chart} title="Idle before the next use" x=${data.at.map((_, i) => i)} labels=${labels} height=${120} unit="count" marks=${marks}
    summary="Each bar counts idle times of images that ended with a use." series=${[{ label: "Idle times", values: data.series[name], kind: "bars", color: "series" }]} />`;
}

function Nothing({ title, text }) {
  return html`<section><h2 class="small">${title}</h2><p class="dim">${text}</p></section>`;
}

// The TTL of the policy that most hosts have, in hours; null if it is not known
function ttlHours(known) {
  const text = known?.policies[0]?.policy?.policy?.ttl;
  const parts = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?.*)?$/.exec(text ?? "");
  const short = /^(\d+)([hdw])$/.exec(text ?? "");
  if (short) return Number(short[1]) * { h: 1, d: 24, w: 168 }[short[2]];
  return parts ? Number(parts[1] ?? 0) * 24 + Number(parts[2] ?? 0) : null;
}

// Where a number of hours is between bars that stand at powers of two
function place(at, hours) {
  const next = at.findIndex((each) => each > hours);
  if (next <= 0) return next < 0 ? at.length - 0.5 : -0.5;
  return next - 1 + (hours - at[next - 1]) / (at[next] - at[next - 1]);
}

export function Live() {
  const shown = decisions.value.slice(0, MOST_LIVE);
  return html`<section class="live" aria-labelledby="live-title"><div class="tools"><h2 id="live-title">Decisions</h2><a href=${link("history")}>History</a></div>
    ${shown.length === 0 && html`<p class="dim">No decision yet: no image has been due.</p>`}
    <ol>${shown.map((decision) => html`<li key=${decision.id}><${Line} of=${decision} /></li>`)}</ol></section>`;
}

function Line({ of }) {
  const at = ms(of.outcome_at ?? of.at);
  const today = exactNow() - at < 86_400_000;
  return html`<div class="line-head"><time datetime=${new Date(at).toISOString()} title=${absolute(at, local.value)}>${today ? clock(at).slice(0, 8) : absolute(at).slice(5, 16)}</time>
      <${Outcome} code=${of.outcome} /> <${ImageLink} id=${of.image_id} references=${of.references} /></div>
    <div class="line-why">${why(of)} on <${HostLink} host=${of.host} />${of.regret_at && html`; pulled again <${At} at=${of.regret_at} />`}</div>`;
}

function why({ explanation, reason, measured_bytes: measured, outcome, error }) {
  if (error) return error;
  const text = explanation || holds(reason, reason) || "the decision itself has not arrived";
  return outcome === "removed" && measured !== null ? `${text.replace(/; frees (about|at least) .*/, "")}; freed ${format.bytes(measured)}` : text;
}
