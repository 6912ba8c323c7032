import HashRing from "hashring";

/** Points of each shard on the ring: with these, 2 shards have 49.9 and 50.1 % of 100,000 keys. */
const POINTS = { "vnode count": 640 };
/** The last of the values that a key's hash may have. */
const LAST = 2 ** 32 - 1;

const rings = new Map();

/** A shard's name, by its place. */
export const shardName = (place) => `shard-${place}`;

/**
 * Ketama hashing over `count` shards: one that is added takes its part of the keys, and no other key moves.
 * @param {number} count
 */
export function ringOf(count) {
  if (!rings.has(count)) {
    const names = Array.from({ length: count }, (_, place) => shardName(place));
    rings.set(count, new HashRing(names, "md5", POINTS));
  }
  return rings.get(count);
}

/**
 * The hashes of the keys that the last of `count` shards has: `low < hash <= high`, in their order.
 * @param {number} count
 * @returns {{ low: number, high: number }[]}
 */
export function arcsOfLast(count) {
  const { ring } = ringOf(count);
  const last = shardName(count - 1);
  const arcs = [];
  const add = (low, high) => {
    if (low === high) return;
    if (arcs.at(-1)?.high === low) arcs.at(-1).high = high;
    else arcs.push({ low, high });
  };
  // The first point has what lies beyond the last one too.
  ring.forEach(({ value, server }, place) => server === last && add(place === 0 ? -1 : ring[place - 1].value, value));
  if (ring[0].server === last) add(ring.at(-1).value, LAST);
  return arcs;
}
