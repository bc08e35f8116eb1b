// What to do while no host has reported.
import { broker, overview } from "../fleet.js";
import { html } from "../html.js";
import { Ago, Copy } from "../parts.js";

export function FirstRun() {
  const monitor = overview.value?.monitor;
  const url = monitor?.broker_url || "mqtt://BROKER:1883";
  const prefix = monitor?.prefix || "torchkeeper";
  return html`<section class="first-run"><h2>No host has reported yet</h2>
    <p>On a host, put this into <code>/etc/torchkeeper/torchkeeper.toml</code>. The prefix must be the same there and here.</p>
    <p><${Copy} text=${`[mqtt]\nurl = "${url}"\nprefix = "${prefix}"`} /></p>
    <p>Then ask there whether it reaches the broker, and start it:</p>
    <p><${Copy} text="torchkeeper check" /></p><p><${Copy} text="torchkeeper run" /></p>
    <p class="dim">${broker.value.state === "connected"
      ? html`The collector${monitor?.collector ? html` <b>${monitor.collector}</b>` : ""} is connected to the broker${
        broker.value.since ? html` since <${Ago} at=${broker.value.since} />` : ""}. This page changes by itself.`
      : "The collector is not connected to the broker yet."}</p></section>`;
}
