// Starts the page: the frame around all pages, the keys, the title and the icon.
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { effect } from "@preact/signals";
import * as format from "./format.js";
import { changed, hosts, me } from "./fleet.js";
import { Help, openHelp } from "./help.js";
import { html } from "./html.js";
import { onKey } from "./keys.js";
import { Connection, countProblems, problems } from "./problems.js";
import { link, PAGES, route } from "./router.js";
import { link as connection, pageVersion, start } from "./stream.js";
import * as time from "./time.js";
import { showIcon } from "./icon.js";
import { Alerts } from "./pages/alerts.js";
import { Fleet } from "./pages/fleet.js";
import { History } from "./pages/history.js";
import { Host } from "./pages/host.js";
import { Image } from "./pages/image.js";
import { Images } from "./pages/images.js";
import { Policy } from "./pages/policy.js";

const NAVIGATION = ["", "images", "history", "alerts", "policy"];
const WORDS = { connecting: "connecting", live: "live", lost: "not connected", paused: "paused", denied: "signed out" };

function Page() {
  const { page, id } = route.value;
  if (page === "hosts" && id) return html`<${Host} key=${id} id=${id} />`;
  if (page === "images") return id ? html`<${Image} key=${id} id=${id} />` : html`<${Images} />`;
  if (page === "") return html`<${Fleet} />`;
  const found = { history: History, alerts: Alerts, policy: Policy }[page];
  return found ? html`<${found} />` : html`<h1 tabindex="-1">No such page</h1><p><a href="#/">Fleet</a></p>`;
}

function Frame() {
  const main = useRef(null);
  const { page, id } = route.value;
  const first = useRef(true);
  useEffect(() => {
    if (first.current) { first.current = false; return; }
    scrollTo(0, 0);
    main.current.querySelector("h1")?.focus({ preventScroll: true });
  }, [page, id]);
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); main.current.focus(); }}>To the content</a>
    <header><a class="brand" href="#/">torchkeeper</a>
      <nav aria-label="Pages">${NAVIGATION.map((each) => html`<a key=${each} href=${link(each)}
        aria-current=${each === page || (each === "" && page === "hosts") ? "page" : undefined}>${PAGES[each]}<${Badge} page=${each} /></a>`)}</nav>
      <div class="right"><${Live} /><${Zone} /><button type="button" class="quiet" onClick=${openHelp} aria-label="Keys and words">?</button>
        ${me.value.user && html`<span class="dim user">${me.value.role}: ${me.value.user}</span>`}</div></header>
    <${Connection} />
    <main id="main" ref=${main} tabindex="-1" class=${connection.value.state === "lost" ? "lost" : ""}><${Page} /></main>
    <footer><span>torchkeeper ${pageVersion}</span><span class="phone-only">Times: <${Zone} /></span>
      <span class="phone-only"><button type="button" class="as-link" onClick=${openHelp}>Keys and words</button></span></footer><${Help} />`;
}

function Badge({ page }) {
  if (page !== "alerts") return null;
  changed.value;
  let sum = 0;
  for (const row of hosts.values()) sum += row.criticals + row.warnings;
  return sum ? html` <span class=${`badge ${problems.value ? "critical" : ""}`}>${format.count(sum)}</span>` : null;
}

function Live() {
  const { state } = connection.value;
  return html`<span class="link-state" role="status"><span class=${`dot ${state === "live" ? "online" : state === "connecting" ? "stale" : "offline"}`} aria-hidden="true"></span>${WORDS[state]}</span>`;
}

function Zone() {
  const { local } = time;
  return html`<button type="button" class="quiet" aria-label=${`${local.value ? "local" : "UTC"} times, change`} title="Times in UTC, or in the zone of this machine"
    onClick=${() => time.setLocal(!local.value)}>${local.value ? "local" : "UTC"}</button>`;
}

function titleOf({ page, id }, number) {
  const name = page === "hosts" || (page === "images" && id) ? id.replace(/^sha256:(.{12}).*/, "$1") : PAGES[page] ?? "No such page";
  return `${number ? `(${number}) ` : ""}${name} - torchkeeper`;
}

effect(() => { changed.value; connection.value; countProblems(); });
effect(() => { document.title = titleOf(route.value, problems.value); });
effect(() => showIcon(problems.value));
addEventListener("keydown", onKey);
time.start();
render(html`<${Frame} />`, document.body);
start();
