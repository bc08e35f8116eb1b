// The help: keys, and the words that the page uses. `Esc` closes it, as the browser does for a dialog.
import { createRef } from "preact";
import { html } from "./html.js";
import { PAGE_KEYS, PAGES } from "./router.js";

const dialog = createRef();

export function openHelp() {
  dialog.current.showModal();
}

const KEYS = [
  ["/", "filter"],
  ...Object.entries(PAGE_KEYS).map(([key, page]) => [`g ${key}`, PAGES[page]]),
  ["\u2191 \u2193 PgUp PgDn Home End", "move in a table"],
  ["Enter", "open the row"],
  ["Esc", "close a panel, leave the filter"],
  ["?", "this help"],
];

const WORDS = [
  ["online", "its agent was heard within 3 minutes"],
  ["stale", "nothing was heard for 3 minutes; its last list is shown"],
  ["offline", "its agent said goodbye, or the broker lost it"],
  ["idle", "time since an image was last used, arrived, was first seen, or lost its last protection"],
  ["due", "its TTL has ended; it goes unless something holds it"],
  ["held", "due, but waiting: outside the window, paused, or only observed"],
  ["reclaimable", "what the evictions that are due would free"],
  ["pulled again", "an evicted image that came back before its TTL would have ended: a sign of a TTL that is too short"],
  ["blind time", "time in which uses may have gone unseen; it makes images younger, never older"],
];

export function Help() {
  return html`<dialog ref=${dialog} aria-labelledby="help-title"><div class="panel-head"><h2 id="help-title">Keys and words</h2>
      <form method="dialog"><button>Close <kbd>Esc</kbd></button></form></div>
    <div class="help"><dl>${KEYS.map(([key, words]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${words}</dd></div>`)}</dl>
      <dl>${WORDS.map(([word, words]) => html`<div key=${word}><dt>${word}</dt><dd>${words}</dd></div>`)}</dl></div></dialog>`;
}
