// Charts by uPlot, which is loaded after the page is usable. Each has its figures as a table, too.
import { useEffect, useRef, useState } from "preact/hooks";
import * as format from "./format.js";
import { html } from "./html.js";
import { day } from "./time.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const UNITS = { bytes: format.bytes, count: format.count };

// series: [{label, values, color, unit, kind: "line" | "bars", dash}]; `x`: seconds since 1970, or labels if `labels` is
// set. `marks`: [{x, label}] are vertical lines. `title` says what is seen.
export function Chart({ title, x, series, labels, marks = [], height = 140, unit = "bytes", max, summary }) {
  const place = useRef(null);
  const [again, setAgain] = useState(0);
  const columns = [x, ...series.map((each) => each.values)];
  useEffect(() => {
    let chart = null;
    let gone = false;
    const observer = new ResizeObserver(([entry]) => chart?.setSize({ width: entry.contentRect.width, height }));
    import("uplot").then(({ default: UPlot }) => {
      if (gone) return;
      const options = optionsOf({ place: place.current, series, labels, marks, height, unit, max });
      chart = new UPlot(options(UPlot), columns, place.current);
      observer.observe(place.current);
    }, () => {}); // after an upgrade its address is another one; the page offers to reload
    return () => { gone = true; observer.disconnect(); chart?.destroy(); };
  }, [again, JSON.stringify(columns), JSON.stringify(marks), height, unit]);
  useEffect(() => {
    const redraw = () => setAgain((times) => times + 1);
    dark.addEventListener("change", redraw);
    return () => dark.removeEventListener("change", redraw);
  }, []);
  return html`<figure class="chart"><figcaption>${title}</figcaption>
    <div class="plot" ref=${place} role="img" aria-label=${`${title}. ${summary ?? ""} The figures are in the table below.`}
      style=${{ height: `${height}px` }}></div>
    <${Table} ...${{ title, x, series, labels, unit }} /></figure>`;
}

function Table({ title, x, series, labels, unit }) {
  const [open, setOpen] = useState(false);
  return html`<details class="figures" onToggle=${(event) => setOpen(event.target.open)}><summary>As a table</summary>
    ${open && html`<div class="scroll" tabindex="0" role="region" aria-label=${`Figures of ${title}`}><table>
      <thead><tr><th scope="col">${labels ? "" : "Day"}</th>${series.map((each) => html`<th scope="col" key=${each.label}>${each.label}</th>`)}</tr></thead>
      <tbody>${x.map((at, i) => html`<tr key=${at}><th scope="row">${labels ? labels[i] : stamp(at)}</th>
        ${series.map((each) => html`<td key=${each.label}>${UNITS[each.unit ?? unit](each.values[i])}</td>`)}</tr>`)}</tbody>
    </table></div>`}</details>`;
}

function stamp(seconds) {
  const text = new Date(seconds * 1000).toISOString();
  return text.endsWith("T00:00:00.000Z") ? text.slice(0, 10) : `${text.slice(0, 10)} ${text.slice(11, 16)} UTC`;
}

// A canvas needs colours that are resolved: custom properties are read off an element that uses them.
function colorOf(place, name) {
  place.style.color = `var(--${name})`;
  const { color } = getComputedStyle(place);
  place.style.color = "";
  return color;
}

function optionsOf({ place, series, labels, marks, height, unit, max }) {
  const ink = colorOf(place, "dim");
  const line = colorOf(place, "line");
  const font = `11px ${getComputedStyle(place).fontFamily}`;
  const every = labels ? Math.ceil((labels.length * 42) / Math.max(1, place.clientWidth - 50)) : 1; // labels that would touch are left out
  const axis = { stroke: ink, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
  return (UPlot) => ({
    width: place.clientWidth,
    height,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 14, 0, 0],
    scales: { x: { time: !labels, range: labels ? [-0.6, labels.length - 0.4] : undefined }, y: { range: (_, low, high) => [0, max ?? (high * 1.08 || 1)] } },
    axes: [
      { ...axis, grid: { show: false }, size: 24, space: 64, values: labels ? (_, at) => at.map((i) => (i % every ? "" : labels[i] ?? "")) : days(),
        splits: labels ? () => labels.map((_, i) => i) : undefined },
      { ...axis, size: unit === "bytes" ? 56 : 40, space: 34, values: (_, at) => at.map((value) => (value ? UNITS[unit](value) : "0")) },
    ],
    series: [{}, ...series.map((each) => seriesOf(UPlot, each, colorOf(place, each.color)))],
    hooks: { draw: [(chart) => marks.forEach((mark) => drawMark(chart, mark, colorOf(place, mark.color ?? "ink"), font))] },
  });
}

function days() {
  return (_, at) => at.map((seconds) => day(seconds * 1000));
}

function seriesOf(UPlot, { label, kind, dash }, color) {
  if (kind === "bars") {
    return { label, fill: color, stroke: color, width: 0, points: { show: false }, paths: UPlot.paths.bars({ size: [0.72, 40], gap: 1 }) };
  }
  return { label, stroke: color, width: 1.5, dash, points: { show: false }, spanGaps: false };
}

function drawMark(chart, { x, label }, color, font) {
  const { ctx, bbox } = chart;
  const left = Math.round(chart.valToPos(x, "x", true));
  ctx.save();
  ctx.strokeStyle = color;
  ctx.fillStyle = color;
  ctx.setLineDash([4, 3]);
  ctx.beginPath();
  ctx.moveTo(left, bbox.top);
  ctx.lineTo(left, bbox.top + bbox.height);
  ctx.stroke();
  if (label) {
    ctx.font = font.replace("11px", `${11 * devicePixelRatio}px`);
    ctx.textBaseline = "top";
    ctx.textAlign = left > bbox.left + bbox.width * 0.7 ? "right" : "left";
    ctx.fillText(` ${label} `, left, bbox.top);
  }
  ctx.restore();
}
