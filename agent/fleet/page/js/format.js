// Figures as the command line writes them: decimal bytes, durations in their two largest units.
const SIZES = ["B", "kB", "MB", "GB", "TB", "PB"];
const SPANS = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
export const UNKNOWN = "\u2013"; // an en dash: not known, which is not 0

// 4.8 GB
export function bytes(count) {
  if (count === null || count === undefined) return UNKNOWN;
  let value = Math.abs(count);
  let unit = 0;
  while (value >= 999.5 && unit < SIZES.length - 1) { value /= 1000; unit += 1; }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${count < 0 ? "-" : ""}${value.toFixed(digits)} ${SIZES[unit]}`;
}

// 9,412
export function count(number) {
  return number === null || number === undefined ? UNKNOWN : number.toLocaleString("en-US");
}

// 9,412 hosts; 1 host
export function plural(number, noun, nouns = `${noun}s`) {
  return `${count(number)} ${number === 1 ? noun : nouns}`;
}

// 99 %; a disk that is not quite full is never "100 %"
export function percent(share) {
  if (share === null || share === undefined || Number.isNaN(share)) return UNKNOWN;
  const value = share * 100;
  return `${value < 100 && value > 99 ? Math.floor(value) : Math.round(value)} %`;
}

// 15 d 3 h
export function duration(milliseconds) {
  let rest = Math.round(Math.abs(milliseconds) / 1000);
  const parts = [];
  for (const [unit, size] of SPANS) {
    const number = Math.floor(rest / size);
    rest -= number * size;
    if (number || parts.length) parts.push(number ? `${number} ${unit}` : "");
    if (parts.length === 2) break;
  }
  return parts.filter(Boolean).join(" ") || "0 s";
}

// 15 d: what fits in a column
export function roughly(milliseconds) {
  const seconds = Math.abs(milliseconds) / 1000;
  const [unit, size] = SPANS.find(([, each]) => seconds >= each) ?? SPANS.at(-1);
  return `${Math.floor(seconds / size)} ${unit}`;
}

export function ago(time, now) {
  if (time === null || time === undefined) return UNKNOWN;
  return now - time < 1000 ? "now" : `${roughly(now - time)} ago`;
}

export function until(time, now) {
  if (time === null || time === undefined) return UNKNOWN;
  return time <= now ? "now" : `in ${roughly(time - now)}`;
}

// The first 12 digits of an image ID, as Docker shows it
export function shortId(id) {
  return id.replace(/^sha256:/, "").slice(0, 12);
}

// a, b and 3 more
export function listed(names, most = 2) {
  const more = names.length - most;
  return names.slice(0, most).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
