// Small parts that every page uses. None shows anything by colour or by hovering alone.
import { useEffect, useId, useRef, useState } from "preact/hooks";
import * as format from "./format.js";
import { html } from "./html.js";
import { link } from "./router.js";
import { absolute, local, ms, now } from "./time.js";
import { outcome } from "./words.js";

const COPIED_FOR = 2_000; // ms that a copy button says so

export function State({ state }) {
  return html`<span class="state"><span class=${`dot ${state}`} aria-hidden="true">${state === "unknown" ? "?" : ""}</span>${state}</span>`;
}

// A relative time; the absolute one is its title, and what a screen reader says.
export function Ago({ at, ahead = false, none = format.UNKNOWN }) {
  const time = ms(at);
  if (time === null) return html`<span class="dim">${none}</span>`;
  const text = ahead ? format.until(time, now.value) : format.ago(time, now.value);
  return html`<time datetime=${new Date(time).toISOString()} title=${absolute(time)}>${text}</time>`;
}

export function At({ at }) {
  const time = ms(at);
  return html`<time datetime=${new Date(time).toISOString()}>${absolute(time, local.value)}</time>`;
}

// How full a disk is: a bar with its limit, the share and the bytes.
export function Meter({ used, total, high }) {
  if (!total) return html`<span class="dim" title="the agent does not see the engine's disk">${format.UNKNOWN}</span>`;
  const share = used / total;
  const over = share > high;
  return html`<span class="meter">
    <span class=${`bar ${over ? "over" : ""}`} aria-hidden="true">
      <span class="fill" style=${{ width: `${Math.min(100, share * 100)}%` }}></span>
      <span class="mark" style=${{ left: `${high * 100}%` }}></span>
    </span>
    <span class=${`share ${over ? "over" : ""}`}>${format.percent(share)}</span>
    <span class="dim of">${over && html`<span class="unseen">over its limit; </span>`}of ${format.bytes(total).replace(".0 ", " ")}</span>
  </span>`;
}

export function HostLink({ host }) {
  return html`<a class="name" href=${link("hosts", host)}>${host}</a>`;
}

// The first name of an image, and how many more it has; its ID if it has none.
export function ImageLink({ id, references, plain = false }) {
  const named = references.length ? references[0] : `${format.shortId(id)} (no name)`;
  const more = references.length > 1 ? html` <span class="dim">+${references.length - 1}</span>` : "";
  const title = references.join("\n") || id;
  return plain
    ? html`<span class="name" title=${title}>${named}${more}</span>`
    : html`<a class="name" href=${link("images", id)} title=${title}>${named}${more}</a>`;
}

export function Outcome({ code }) {
  const kind = code ?? "pending";
  return html`<span class=${`outcome ${kind}`}>${outcome(code)}</span>`;
}

// A command or an ID, with a button that copies it.
export function Copy({ text, label = "Copy" }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), COPIED_FOR);
  };
  return html`<span class="copy"><code>${text}</code> <button type="button" class="quiet" onClick=${copy}
    aria-label=${`${label}: ${text}`}>${copied ? "Copied" : label}</button></span>`;
}

// A browser offers its clipboard on https and on loopback only; elsewhere a field is selected and copied.
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  return undefined;
}

// A sentence in which `commands in backticks` can be copied.
export function Sentence({ text }) {
  const parts = text.split(/`([^`]+)`/);
  return html`${parts.map((part, i) => (i % 2 ? html`<${Copy} key=${i} text=${part} />` : part))}`;
}

// One of several choices; each is a button that says whether it is chosen.
export function Choice({ label, options, value, onChoose }) {
  return html`<div class="choice" role="group" aria-label=${label}><span class="dim" aria-hidden="true">${label}</span>
    ${options.map(([code, words]) => html`<button type="button" key=${code} aria-pressed=${code === value ? "true" : "false"}
      onClick=${() => onChoose(code)}>${words}</button>`)}</div>`;
}

export function Select({ label, options, value, onChoose }) {
  const id = useId();
  return html`<label class="field" for=${id}><span class="dim">${label}</span>
    <select id=${id} value=${value} onChange=${(event) => onChoose(event.target.value)}>
      ${options.map(([code, words]) => html`<option key=${code} value=${code} selected=${code === value}>${words}</option>`)}
    </select></label>`;
}

// A text field that filters. `main`: the key `/` goes to it.
export function Filter({ label, value, onInput, main = false, placeholder = label }) {
  return html`<input type="search" class="filter" aria-label=${label} placeholder=${placeholder} value=${value} spellcheck=${false}
    autocomplete="off" data-filter=${main ? "" : undefined} onInput=${(event) => onInput(event.target.value)} />`;
}

// Text that is asked of the server waits until typing pauses.
export function useSlowly(value, delay = 250) {
  const [slow, setSlow] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSlow(value), delay);
    return () => clearTimeout(timer);
  }, [value, delay]);
  return slow;
}

export function Failure({ error, reload }) {
  return html`<p class="failure" role="alert">${error.message} ${reload && html`<button type="button" onClick=${reload}>Try again</button>`}</p>`;
}

export function Waiting() {
  return html`<p class="dim waiting" role="status">Loading\u2026</p>`;
}

// Said above what is made from the images of hosts, while those of some are on their way into the database.
export function Incomplete({ hosts = 0 }) {
  return hosts > 0 && html`<p class="note" role="status">Not complete yet: the monitor is still storing the images of ${format.plural(hosts, "host")}.</p>`;
}

// A panel over or beside the page. It takes the focus, and gives it back when it closes; `Esc` closes it.
export function Panel({ title, onClose, children }) {
  const heading = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    heading.current.focus();
    return () => before?.focus?.();
  }, []);
  useEffect(() => {
    const onKey = (event) => { if (event.key === "Escape" && !document.querySelector("dialog[open]")) onClose(); };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [onClose]);
  return html`<aside class="panel" aria-label=${title}>
    <div class="panel-head"><h2 tabindex="-1" ref=${heading}>${title}</h2>
      <button type="button" onClick=${onClose}>Close <kbd>Esc</kbd></button></div>
    ${children}</aside>`;
}

// Facts in two columns: [[term, value], ...]; values that are not known are left out.
export function Facts({ of }) {
  return html`<dl class="facts">${of.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([term, value]) => html`<div key=${term}><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>`;
}
