// A table of any number of rows of one height, of which only those in sight are in the document.
//
// columns: [{id, label, width, from, phone, cell(row), sort, number}]. `from`: the width of the table below which the
// column is left out. `phone`: its place in a row of three lines (a b / c d / e); without it, it is left out there, where
// `before` and `after` stand for the heads, which a phone has no room for.
import { Component } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { local, now } from "./time.js";
import { html } from "./html.js";

const ROW = 34; // px
const PHONE_ROW = 84; // px; three lines
const SPARE = 6; // rows above and below those in sight
const query = matchMedia("(max-width: 700px)");

export const phone = signal(query.matches);
query.addEventListener("change", () => { phone.value = query.matches; });

// `at(i)` is the row; `keyOf(row, i)` its key. `top`: another value scrolls to the first row.
export function Rows({ id, label, columns, count, at, keyOf, onOpen, opened, sort, onSort, rowClass, top, more, onHold }) {
  const scroller = useRef(null);
  const body = useRef(null);
  const [range, setRange] = useState([0, 40]);
  const [width, setWidth] = useState(0);
  const [active, setActive] = useState(0);
  const height = phone.value ? PHONE_ROW : ROW;
  const stamp = `${now.value}${local.value}`;
  const shown = useMemo(
    () => columns.filter((column) => (phone.value ? column.phone : width >= (column.from ?? 0))),
    [columns, phone.value, width],
  );

  const measure = useMeasure(scroller, body, height, count, setRange, setWidth);
  useLayoutEffect(() => {
    setActive(0);
    toTop(scroller.current);
    measure();
  }, [top]);
  useEffect(() => { if (more && range[1] >= count) more(); }, [range[1], count, more]);

  const move = (to) => {
    const index = Math.max(0, Math.min(count - 1, to));
    setActive(index);
    reveal(scroller.current, body.current, index, height);
  };
  const onKeyDown = (event) => {
    if (event.target !== scroller.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(seen(scroller.current) / height) - 2);
    const steps = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: count - 1 };
    if (event.key in steps) move(steps[event.key]);
    else if (event.key === "Enter" && onOpen && active < count) onOpen(at(active), active);
    else return;
    event.preventDefault();
  };

  const first = Math.min(range[0], Math.max(0, count - 1));
  const last = Math.min(range[1], count);
  const rows = [];
  for (let i = first; i < last; i += 1) {
    const row = at(i);
    rows.push(html`<${Row} key=${keyOf(row, i)} id=${`${id}-${i}`} row=${row} index=${i} height=${height} columns=${shown}
      active=${i === active} open=${opened !== undefined && keyOf(row, i) === opened} stamp=${stamp} rowClass=${rowClass}
      onClick=${(event) => { setActive(i); if (onOpen && isPlainClick(event)) onOpen(at(i), i); }} />`);
  }
  const hold = onHold && { onPointerEnter: () => onHold("pointer", true), onPointerLeave: () => onHold("pointer", false),
    onFocusIn: () => onHold("focus", true), onFocusOut: () => onHold("focus", false) };
  return html`
    <div class=${`rows ${phone.value ? "phone" : ""}`} ref=${scroller} role="grid" tabindex="0" aria-label=${label}
      aria-rowcount=${count + 1} aria-colcount=${shown.length} onKeyDown=${onKeyDown} ...${hold}
      aria-activedescendant=${active >= first && active < last ? `${id}-${active}` : undefined}
      style=${{ "--columns": shown.map((column) => column.width).join(" ") }}>
      <${Heads} columns=${shown} sort=${sort} onSort=${onSort} />
      ${count > 0 && html`<div class="rows-body" role="rowgroup" ref=${body} style=${{ height: `${count * height}px` }}>${rows}</div>`}
    </div>`;
}

function Heads({ columns, sort, onSort }) {
  return html`<div role="rowgroup" class=${`rows-head ${phone.value && !(onSort && columns.some((column) => column.sort)) ? "unseen" : ""}`}><div role="row" class="row-heads" aria-rowindex="1">
    ${columns.map((column) => html`<${Head} key=${column.id} ...${{ column, sort, onSort }} />`)}</div></div>`;
}

function Head({ column, sort, onSort }) {
  const name = column.sort && onSort ? column.sort : null;
  const down = sort === `-${name}`;
  const chosen = name && (down || sort === name);
  const next = down ? name : chosen || column.up ? (chosen ? `-${name}` : name) : `-${name}`;
  return html`<div role="columnheader" class=${`cell ${column.number ? "number" : ""}`}
    aria-sort=${chosen ? (down ? "descending" : "ascending") : undefined}>
    ${phone.value && !name ? html`<span class="unseen">${column.label}</span>` : name
      ? html`<button type="button" onClick=${() => onSort(next)} title=${column.title}>${column.label}<span aria-hidden="true"
          class="arrow">${chosen ? (down ? "\u2193" : "\u2191") : ""}</span></button>`
      : html`<span title=${column.title}>${column.label}</span>`}
  </div>`;
}

// Renders again only if its row is another object, or its place or the time changed.
class Row extends Component {
  shouldComponentUpdate(next) {
    const old = this.props;
    return next.row !== old.row || next.index !== old.index || next.active !== old.active || next.open !== old.open ||
      next.height !== old.height || next.columns !== old.columns || next.stamp !== old.stamp || next.rowClass !== old.rowClass;
  }

  render({ id, row, index, height, columns, active, open, rowClass, onClick }) {
    return html`<div role="row" id=${id} aria-rowindex=${index + 2} onClick=${onClick} aria-selected=${active ? "true" : "false"}
      class=${`row ${active ? "active" : ""} ${open ? "open" : ""} ${rowClass?.(row) ?? ""}`}
      style=${{ height: `${height}px`, transform: `translateY(${index * height}px)` }}>
      ${columns.map((column) => html`<div role="gridcell" key=${column.id}
        class=${`cell ${column.number ? "number" : ""} ${column.phone ? `at-${column.phone}` : ""}`}>${word(column.before)}${column.cell(row)}${word(column.after)}</div>`)}
    </div>`;
  }
}

function word(text) {
  return text && html`<span class="phone-word dim">${text}</span>`;
}

// Keeps the range of rows in sight; measured once for each frame, as every measuring makes the browser lay out.
function useMeasure(scroller, body, height, count, setRange, setWidth) {
  const frame = useRef(0);
  const measure = () => {
    frame.current = 0;
    if (!scroller.current) return;
    setWidth(scroller.current.clientWidth);
    if (!body.current) return;
    const top = body.current.getBoundingClientRect().top;
    const view = phone.value ? { top: 0, bottom: innerHeight } : scroller.current.getBoundingClientRect();
    const first = Math.max(0, Math.floor((view.top - top) / height) - SPARE);
    const last = Math.min(count, Math.max(0, Math.ceil((view.bottom - top) / height)) + SPARE);
    setRange((old) => (old[0] === first && old[1] === last ? old : [first, last]));
  };
  const latest = useRef(measure);
  latest.current = measure;
  const soon = useRef(() => { frame.current ||= requestAnimationFrame(() => latest.current()); });
  useEffect(() => {
    const element = scroller.current;
    const observer = new ResizeObserver(soon.current);
    observer.observe(element);
    element.addEventListener("scroll", soon.current, { passive: true });
    addEventListener("scroll", soon.current, { passive: true });
    addEventListener("resize", soon.current);
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", soon.current);
      removeEventListener("scroll", soon.current);
      removeEventListener("resize", soon.current);
      cancelAnimationFrame(frame.current);
    };
  }, []);
  useLayoutEffect(measure, [count, height]);
  return measure;
}

function toTop(scroller) {
  if (phone.value) scrollTo({ top: Math.min(scrollY, scroller.offsetTop - headerHeight()) });
  else scroller.scrollTop = 0;
}

// Scrolls so that a row is in sight, below the heads that stay on top.
function reveal(scroller, body, index, height) {
  if (!body) return;
  const heads = scroller.firstElementChild.offsetHeight;
  if (phone.value) {
    const top = body.getBoundingClientRect().top + index * height;
    if (top < headerHeight()) scrollBy({ top: top - headerHeight() });
    else if (top + height > innerHeight) scrollBy({ top: top + height - innerHeight });
    return;
  }
  const top = index * height;
  const room = scroller.clientHeight - heads - height;
  scroller.scrollTop = Math.max(top - room, Math.min(top, scroller.scrollTop));
}

function headerHeight() {
  return document.querySelector("header")?.offsetHeight ?? 0;
}

function seen(scroller) {
  return phone.value ? innerHeight : scroller.clientHeight;
}

// Not a click on a link or a button in the row, and not the end of marking text.
function isPlainClick(event) {
  return !event.target.closest("a, button") && !getSelection()?.toString();
}
