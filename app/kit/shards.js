import { createDatabase } from "./database.js";
import { current } from "./environment.js";
import { ringOf, shardName } from "./ring.js";
import { ShardView } from "./shard-view.js";

/** As a database's own. */
const PATIENCE = 5_000;

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
      const name = shardName(index);
      const address = () => addresses()[index];
      const replicaVariable = `DATABASE_SHARD_${index}_REPLICA_URLS`;
      return [name, createDatabase(pg, { ...options, name, address, replicaVariable })];
    }),
  );
  const { patience = PATIENCE, log = (message) => console.log(message) } = options;
  return new Shards(shards, variable, patience, log);
}

/** Keys on databases by ketama hashing, and by what these say of a move that is under way (docs/adr/0027-add-shard.md). */
class Shards {
  #shards;
  #variable;
  #view;

  constructor(shards, variable, patience, log) {
    this.#shards = shards;
    this.#variable = variable;
    this.#view = new ShardView([...shards.values()], patience, log);
  }

  /** The database that has `key`. */
  for(key) {
    checkKey(key);
    return new Keyed(
      key,
      () => this.#way(key),
      () => this.#database(this.nameOf(key)),
    );
  }

  nameOf(key) {
    checkKey(key);
    return ringOf(this.#view.last.count).get(key);
  }

  /** What `work` has for each shard, in their order; it fails when one fails. */
  async each(work, { all = false } = {}) {
    const { count, next } = this.#view.fresh ?? (await this.#view.known());
    const asked = all
      ? [...this.#shards.keys()]
      : Array.from({ length: next ?? count }, (_, place) => shardName(place));
    return Promise.all(
      asked.map(async (name) => {
        try {
          return await work(this.#database(name), name);
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
    this.#view.end();
    await Promise.all([...this.#shards.values()].map((database) => database.end()));
  }

  /** The database that has a key, and where it goes if a move takes it elsewhere. */
  async #way(key) {
    const { count, next } = this.#view.fresh ?? (await this.#view.known());
    const owner = ringOf(count).get(key);
    const database = this.#database(owner);
    if (next === null) return { database };
    const later = ringOf(next).get(key);
    return later === owner ? { database } : { database, later: () => this.#database(later) };
  }

  #database(name) {
    const database = this.#shards.get(name);
    if (!database)
      throw new Error(`${name} has no address in ${this.#variable}: a shard that was added after this process began`);
    return database;
  }
}

/** A key's database, wherever that is when a statement is made. */
class Keyed {
  #key;
  #way;
  #usual;

  constructor(key, way, usual) {
    this.#key = key;
    this.#way = way;
    this.#usual = usual;
  }

  position() {
    return this.#usual().position();
  }

  async write(work, values) {
    const { database, later } = await this.#way();
    if (!later) return database.write(work, values);
    return this.#held(
      database,
      later,
      (where) => where.write(work, values),
      async (client) => (typeof work === "function" ? work(client) : client.query(work, values)),
    );
  }

  async read(statement, values, options) {
    const { database, later } = await this.#way();
    if (!later) return database.read(statement, values, options);
    return this.#held(
      database,
      later,
      (where) => where.read(statement, values, { ...options, primary: true }),
      (client) => client.query(statement, values),
    );
  }

  /** Done where the key is now, which it stays meanwhile: its bucket can't move while the transaction is open. */
  #held(database, later, there, here) {
    return database.write(async (client) => {
      const { rows } = await client.query("select expressway_kit.shard_enter($1) as moved", [this.#key]);
      return rows[0].moved ? there(later()) : here(client);
    });
  }
}

function checkKey(key) {
  if (typeof key !== "string" || key === "")
    throw new TypeError(`a shard's key is a text that isn't empty, not ${key}`);
}
