// One image of one host: the reasons as the host asked them, its names, and how to pull it again.
import * as format from "../format.js";
import { html } from "../html.js";
import { Ago, Copy, Facts, Panel } from "../parts.js";
import { link } from "../router.js";
import { HELD_BY, QUESTIONS, REASONS } from "../words.js";

export function ImagePanel({ image, onClose }) {
  const digest = image.references.find((name) => name.includes("@"));
  const name = digest ?? image.references[0];
  return html`<${Panel} title=${image.references[0] ?? format.shortId(image.id)} onClose=${onClose}>
    <p class="verdict"><b>${image.action === "evict" ? (image.held_by ? "Due, but held" : "Goes now") : "Kept"}</b>: ${image.explanation || image.reason}</p>
    <p><a href=${link("images", image.id)}>This image on all hosts</a>${image.elsewhere > 0 && ` (${format.plural(image.elsewhere, "other host")} ${image.elsewhere === 1 ? "has" : "have"} it)`}</p>
    <${Facts} of=${[
      ["Torch", [image.torch_version, image.accelerator].filter(Boolean).join(", ")],
      ["Last use", image.running ? "now" : html`<${Ago} at=${image.last_used} none="not seen" />`],
      ["By", image.last_used_by],
      ["Idle since", image.idle_since && html`<${Ago} at=${image.idle_since} />`],
      ["Due", image.deadline && html`<${Ago} at=${image.deadline} ahead />`],
      ["Size", format.bytes(image.size_bytes)],
      ["Its removal frees", format.bytes(image.estimated_bytes)],
      ["Held by", image.held_by && (HELD_BY[image.held_by] ?? image.held_by)],
    ]} />
    ${image.warnings.length > 0 && html`<h3>Warnings</h3><ul>${image.warnings.map((text) => html`<li key=${text}>${text}</li>`)}</ul>`}
    <h3>The reasons, in the order the host asks them</h3>
    <${Ladder} image=${image} />
    <h3>Names</h3>
    <ul class="names">${image.references.map((reference) => html`<li key=${reference}><code>${reference}</code></li>`)}<li><code>${image.id}</code></li></ul>
    ${name && html`<h3>Pull it again</h3><p><${Copy} text=${`docker pull ${name}`} /></p>`}
    <p class="dim">Everything that the host knows: <${Copy} text=${`torchkeeper explain ${image.references[0] ?? format.shortId(image.id)}`} /></p>
  <//>`;
}

// Only what the host said: what comes before the reason that decided was answered with no, what comes after was not asked.
function Ladder({ image }) {
  const decided = REASONS.indexOf(image.reason);
  if (decided < 0) return html`<p>The host says <code>${image.reason}</code>, which this page does not know.</p>`;
  return html`<ol class="ladder">${REASONS.map((reason, i) => html`<li key=${reason} class=${i === decided ? "decides" : i < decided ? "no" : "later"}
      aria-current=${i === decided ? "true" : undefined}>
    <span class="answer">${i === decided ? "yes" : i < decided ? "no" : "not asked"}</span> ${QUESTIONS[reason]} <code class="dim">${reason}</code></li>`)}</ol>`;
}
