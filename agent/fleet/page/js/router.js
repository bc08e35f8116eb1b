// The address: `#/<page>/<id>?<view>`. Everything that a reader chose is in it, so that it can be pasted elsewhere.
import { signal } from "@preact/signals";

export const PAGES = { "": "Fleet", hosts: "Host", images: "Images", history: "History", alerts: "Alerts", policy: "Policy" };
export const PAGE_KEYS = { f: "", i: "images", h: "history", a: "alerts", p: "policy" }; // after g
const lastView = new Map(); // of each page, for the links back to it

export const route = signal(parse(location.hash));

export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page = "", id = ""] = path.split("/").map(decoded);
  return { page, id, view: Object.fromEntries(new URLSearchParams(query)) };
}

// A link to a page. A value that is empty is left out of the address.
export function link(page = "", id = "", view = {}) {
  const path = [page, id].filter(Boolean).map(encodeURIComponent).join("/");
  const set = Object.entries(view).filter(([, value]) => value);
  return `#/${path}${set.length ? `?${new URLSearchParams(set)}` : ""}`;
}

export function back(page) {
  return link(page, "", lastView.get(page) ?? {});
}

export function go(address) {
  if (location.hash !== address) location.hash = address;
}

// Changes what this page shows. Typing replaces the entry in the browser's history, a choice adds one.
export function setView(changes, { typing = false } = {}) {
  const { page, id, view } = route.value;
  const address = link(page, id, { ...view, ...changes });
  if (address === location.hash) return;
  history[typing ? "replaceState" : "pushState"](null, "", address);
  follow();
}

function follow() {
  const next = parse(location.hash);
  if (!next.id) lastView.set(next.page, next.view);
  route.value = next;
}

function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

addEventListener("hashchange", follow);
addEventListener("popstate", follow);
