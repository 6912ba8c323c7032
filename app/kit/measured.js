/** By this name measure.cjs of Expressway's machines, or anybody else, finds what there is to measure, whichever copy it is of. */
const PARTS = Symbol.for("expressway.kit");

/**
 * Have a part measured by whoever likes to: `tell` is called now and then, never on a request's way, and has numbers by name.
 * @param {() => Record<string, number>} tell
 * @returns {() => void} to be called when the part ends
 */
export function measured(tell) {
  globalThis[PARTS] ??= new Set();
  const parts = globalThis[PARTS];
  parts.add(tell);
  return () => void parts.delete(tell);
}

/** What is told of a cache, by its snapshot: reads by where they came from, and breakers that aren't closed. */
export function ofCache({ breaker, shards, hits, misses, stale, bypassed }) {
  return { hits, misses, stale, bypassed, open: open(shards ? Object.values(shards) : [{ breaker }]) };
}

/** What is told of a database, by its snapshot; of replicas only where it has any, and their lag only where it is known. */
export function ofDatabase({ primary, replicas, retries }) {
  const told = { retries, open: open([primary, ...replicas]) };
  if (replicas.length > 0) told.rotation = replicas.filter(({ inRotation }) => inRotation).length;
  const lags = replicas.map(({ lag }) => lag).filter((lag) => lag !== null);
  if (lags.length > 0) told.lag = Math.max(...lags);
  return told;
}

function open(servers) {
  return servers.filter(({ breaker }) => breaker !== "closed").length;
}
