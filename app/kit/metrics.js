/**
 * What parts say of themselves, in Prometheus' text format; of this process, as each worker of a machine has its own.
 * @param {Record<string, {snapshot: () => object}>} parts
 * @returns {string}
 */
export function metrics(parts) {
  const families = new Map(); // the lines of a name have to stand together
  for (const [part, { snapshot }] of Object.entries(bound(parts))) add(families, snapshot(), { part });
  return [...families].flatMap(([name, lines]) => [`# TYPE ${name} untyped`, ...lines, ""]).join("\n");
}

/** What parts say of themselves; one that can't is told so, and the others are told. */
export function snapshots(parts) {
  return Object.fromEntries(
    Object.entries(bound(parts)).map(([name, { snapshot }]) => {
      try {
        return [name, snapshot()];
      } catch (error) {
        return [name, { error: error.message }];
      }
    }),
  );
}

function bound(parts) {
  return Object.fromEntries(
    Object.entries(parts).map(([name, part]) => {
      if (typeof part?.snapshot !== "function") throw new TypeError(`the part ${name} has no snapshot()`);
      return [name, { snapshot: () => part.snapshot() }];
    }),
  );
}

function add(families, found, labels) {
  for (const [key, value] of Object.entries(found)) {
    const name = `expressway_kit_${key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
    if (value === null) continue; // not known
    if (typeof value === "object") add(families, value, { ...labels, of: labels.of ? `${labels.of}.${key}` : key });
    else if (typeof value === "string") line(families, name, { ...labels, is: value }, 1);
    else line(families, name, labels, Number(value));
  }
}

function line(families, name, labels, value) {
  const text = Object.entries(labels).map(([label, each]) => `${label}="${each.replace(/["\\\n]/g, "_")}"`);
  if (!families.has(name)) families.set(name, []);
  families.get(name).push(`${name}{${text.join(",")}} ${value}`);
}
