// Reads from the API. Errors carry the sentence of the problem document.
import { useEffect, useRef, useState } from "preact/hooks";
import { compareClocks } from "./time.js";

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status; // 0: no answer at all
  }
}

// Addresses are relative to the page, so that it works below any prefix of a proxy.
export async function get(path, options = {}) {
  let response;
  try {
    response = await fetch(`api/${path}`, { headers: { accept: "application/json" }, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The monitor does not answer.");
  }
  if (!response.ok) throw new ApiError(response.status, await detailOf(response));
  compareClocks(response);
  return response.json();
}

async function detailOf(response) {
  const problem = await response.json().catch(() => ({}));
  return problem.detail || problem.title || `The monitor answered ${response.status}.`;
}

// `path?name=value` without the values that are empty.
export function query(path, values) {
  const set = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return set.length ? `${path}?${new URLSearchParams(set)}` : path;
}

// What a path answers: {data, error, busy, reload}. Old data stay until the new ones are there. `path` null: nothing.
export function useApi(path, { again } = {}) {
  const [state, setState] = useState({ data: null, error: null, busy: Boolean(path) });
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    if (!path) return undefined;
    const control = new AbortController();
    setState((old) => ({ ...old, busy: true }));
    get(path, { signal: control.signal }).then(
      (data) => setState({ data, error: null, busy: false }),
      (error) => error.name === "AbortError" || setState((old) => ({ ...old, error, busy: false })),
    );
    return () => control.abort();
  }, [path, asked, again]);
  return { ...state, reload: () => setAsked((times) => times + 1) };
}

// A list in pages, each asked for with `after`: {rows, last, error, busy, more, reload}; `last`: the last answer. `path` has no `after`.
export function usePages(path, field, { again } = {}) {
  const [state, setState] = useState({ rows: [], last: null, next: null, error: null, busy: true });
  const current = useRef(null);
  const load = (after) => {
    current.current?.abort();
    const control = (current.current = new AbortController());
    setState((old) => ({ ...old, busy: true }));
    const address = after === null ? path : `${path}${path.includes("?") ? "&" : "?"}after=${encodeURIComponent(after)}`;
    get(address, { signal: control.signal }).then(
      (data) => setState((old) => ({
        rows: after === null ? data[field] : [...old.rows, ...data[field]], last: data, next: data.next, error: null, busy: false,
      })),
      (error) => error.name === "AbortError" || setState((old) => ({ ...old, error, busy: false })),
    );
  };
  useEffect(() => {
    load(null);
    return () => current.current?.abort();
  }, [path, again]);
  const more = state.next !== null && !state.busy ? () => load(state.next) : null;
  return { ...state, more, reload: () => load(null) };
}
