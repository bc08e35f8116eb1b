// A policy as it stands in a configuration file. Values that are not set are left out.
export function toml(policy) {
  const tables = Object.entries(policy).filter(([, value]) => isTable(value));
  const keys = Object.entries(policy).filter(([, value]) => !isTable(value) && value !== null);
  const first = keys.map(([key, value]) => `${key} = ${text(value)}`).join("\n");
  return [first, ...tables.map(([name, section]) => table(name, section))].filter(Boolean).join("\n\n");
}

// Every setting as [key with its section, value]
export function settings(policy) {
  return Object.entries(policy).flatMap(([name, value]) =>
    (isTable(value) ? Object.entries(value).map(([key, each]) => [`${name}.${key}`, each]) : [[name, value]]));
}

function isTable(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function table(name, section) {
  const isTables = (value) => Array.isArray(value) && typeof value[0] === "object";
  const set = Object.entries(section).filter(([, value]) => value !== null && !(Array.isArray(value) && !value.length));
  const keys = set.filter(([, value]) => !isTables(value)).map(([key, value]) => `${key} = ${text(value)}`);
  const tables = set.filter(([, value]) => isTables(value)).flatMap(([key, value]) => value.map((each) => array(`${name}.${key}`, each)));
  return [keys.length ? [`[${name}]`, ...keys].join("\n") : "", ...tables].filter(Boolean).join("\n\n");
}

function array(name, values) {
  const set = Object.entries(values).filter(([, value]) => value !== null && value !== false);
  return [`[[${name}]]`, ...set.map(([key, value]) => `${key} = ${text(value)}`)].join("\n");
}

function text(value) {
  return Array.isArray(value) ? `[${value.map(text).join(", ")}]` : JSON.stringify(value);
}
