import HashRing from "hashring";
import { createDatabase } from "./database.js";
import { current } from "./environment.js";

/** Points of each shard on the ring: with these, 2 shards have 49.9 and 50.1 % of 100,000 keys. */
const POINTS = { "vnode count": 640 };

/**
 * The databases that a variable names, each of which has a part of the keys.
 * @param {typeof import("pg")} pg
 * @param {import("./shards.d.ts").ShardsOptions} [options]
 */
export function createShards(pg, { variable = "DATABASE_SHARD_URLS", ...options } = {}) {
  const addresses = () => (current(variable) ?? "").split(",").map((url) => url.trim());
  const count = addresses().filter(Boolean).length;
  if (count === 0) throw new TypeError(`${variable} names no shard: its addresses, separated by commas`);
  const shards = new Map(
    // By their place, as the rest of an address may change; so a shard is only ever added at the end.
    Array.from({ length: count }, (_, index) => {
      const name = `shard-${index}`;
      const address = () => addresses()[index];
      const replicaVariable = `DATABASE_SHARD_${index}_REPLICA_URLS`;
      return [name, createDatabase(pg, { ...options, name, address, replicaVariable })];
    }),
  );
  return new Shards(shards);
}

/** Ketama hashing: a shard that is added takes its part of the keys, and no other key moves. */
class Shards {
  #shards;
  #ring;

  constructor(shards) {
    this.#shards = shards;
    this.#ring = new HashRing([...shards.keys()], "md5", POINTS);
  }

  /** The database that has `key`. */
  for(key) {
    return this.#shards.get(this.nameOf(key));
  }

  nameOf(key) {
    if (typeof key !== "string" || key === "") throw new TypeError(`a shard's key is a text that isn't empty, not ${key}`);
    return this.#ring.get(key);
  }

  /** What `work` has for each shard, in their order; it fails when one fails. */
  async each(work) {
    return Promise.all(
      [...this.#shards].map(async ([name, database]) => {
        try {
          return await work(database, name);
        } catch (error) {
          error.message = `${name}: ${error.message}`;
          throw error;
        }
      }),
    );
  }

  snapshot() {
    return Object.fromEntries([...this.#shards].map(([name, database]) => [name, database.snapshot()]));
  }

  async end() {
    await Promise.all([...this.#shards.values()].map((database) => database.end()));
  }
}
