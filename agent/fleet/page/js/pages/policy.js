// The policies that hosts have in force, and what another TTL would free.
import { useState } from "preact/hooks";
import * as format from "../format.js";
import { useApi } from "../api.js";
import { html } from "../html.js";
import { Copy, Failure, Waiting } from "../parts.js";
import { link, route } from "../router.js";
import { settings, toml } from "../toml.js";
import { WhatIf } from "./what_if.js";

export function Policy() {
  const { data, error, reload } = useApi("policies");
  return html`<h1 tabindex="-1">Policy</h1>
    <${WhatIf} />
    <section aria-labelledby="force-title"><h2 id="force-title">In force</h2>
      <p class="dim">Each host reads its own file. Nothing on this page changes a host.</p>
      ${error && html`<${Failure} ...${{ error, reload }} />`}
      ${!data && !error && html`<${Waiting} />`}
      ${data?.policies.length === 0 && html`<p class="nothing">No host has reported its policy.</p>`}
      ${data?.policies.map((each, i) => html`<${InForce} key=${each.digest} of=${each} first=${i === 0} usual=${data.policies[0].policy} />`)}</section>`;
}

function InForce({ of, first, usual }) {
  const [open, setOpen] = useState(first || route.value.view.policy === of.digest);
  return html`<article class="policy"><h3>${format.plural(of.hosts, "host runs", "hosts run")} this one
      <span class="dim">for example <a href=${link("hosts", of.example, { past: "policy" })}>${of.example}</a></span></h3>
    ${!first && html`<p>${differences(of.policy, usual)}</p>`}
    <button type="button" class="as-link" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>${open ? "Hide the whole policy" : "Show the whole policy"}</button>
    ${open && html`<${Copy} text=${toml(of.policy)} />`}</article>`;
}

// What sets it apart from the policy that most hosts have
function differences(policy, usual) {
  const known = new Map(settings(usual));
  const lines = settings(policy)
    .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(known.get(key)))
    .map(([key, value]) => [key, written(value), written(known.get(key))]);
  if (!lines.length) return "The same settings, written by another version.";
  return html`${lines.map(([key, mine, other], i) => html`<span key=${key}>${i > 0 && "; "}<code>${key}</code> is <b>${mine}</b>, not ${other}</span>`)}`;
}

function written(value) {
  if (value === null || value === undefined) return "unset";
  return typeof value === "string" ? value : JSON.stringify(value);
}
