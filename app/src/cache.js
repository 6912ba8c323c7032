import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

// All in milliseconds.
const VALUE_TTL = 60_000; // bounds staleness if an invalidation is lost (Redis fails over, a worker is killed)
const LEASE_TTL = 5_000; // longer than a database read may take
const WAIT = 3_000; // for someone else's read; then read the database too
const POLL = 10;
const COOL_DOWN = 1_000; // after a failure: no request waits for Redis meanwhile
const RECENT = 10_000; // what a primary was told and its replica not yet, when that took its place
const SETTLE = 2_500; // after Redis is back: longer than any worker takes to reconnect (redis.js)

const VALUE = "value:";

/**
 * Cache-aside: one database read for any number of parallel misses, on all workers of all servers, and no stale fill.
 *
 * Who misses puts a lease under the key, reads the database, and replaces the lease with the value; who finds a lease
 * waits for the value. A write deletes the key after its commit, lease and all: a reader that read the old row then
 * finds its lease gone and stores nothing. While Redis is away, reads go to the database, and parallel ones of a key
 * within a worker share one.
 */
export class Cache {
  #redis;
  #flights = new Map();
  #owed = new Map(); // invalidations that Redis hasn't heard of, to when they stop mattering
  #recent = new Map(); // those that it has, to when
  #downUntil = 0;

  /** @param {object | null} redis from connectRedis; null: no cache */
  constructor(redis) {
    this.#redis = redis;
    let interrupted = false;
    redis?.on("close", () => {
      interrupted = true;
    });
    redis?.on("ready", () => {
      // It may have kept what was written to the database meanwhile, or be another node, which doesn't know all that
      // the one before was told: let every worker tell it before any reads from it.
      if (interrupted) {
        this.#downUntil = Date.now() + SETTLE;
        this.#owe(this.#heardLately());
      }
      interrupted = false;
      this.#settle().catch(() => {});
    });
  }

  /**
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} load reads the database
   * @returns {Promise<{value: T, from: "hit" | "miss" | "bypass"}>}
   */
  async read(key, load) {
    const lease = `lease:${randomUUID()}`;
    const patience = Date.now() + WAIT;
    for (;;) {
      let held;
      try {
        held = await this.#ask((redis) => redis.claim(key, lease, LEASE_TTL));
      } catch {
        return { value: await this.#share(key, load), from: "bypass" };
      }
      if (held === null) return { value: await this.#fill(key, lease, load), from: "miss" };
      if (held.startsWith(VALUE)) return { value: JSON.parse(held.slice(VALUE.length)), from: "hit" };
      if (Date.now() > patience) return { value: await load(), from: "miss" };
      await sleep(POLL);
    }
  }

  /** Forget keys, after the write they depend on is committed. */
  async invalidate(...keys) {
    for (const key of keys) this.#flights.delete(key); // who asks from now on must not get what was read before
    if (this.#redis === null) return;
    this.#owe(keys);
    await this.#settle().catch(() => {});
  }

  async #fill(key, lease, load) {
    let value;
    try {
      value = await load();
    } catch (error) {
      await this.#ask((redis) => redis.release(key, lease)).catch(() => {});
      throw error;
    }
    await this.#ask((redis) => redis.fill(key, lease, VALUE + JSON.stringify(value), VALUE_TTL)).catch(() => {});
    return value;
  }

  /** Run `command`, after what Redis is owed, unless Redis is away. */
  async #ask(command) {
    if (Date.now() < this.#downUntil || this.#redis?.status !== "ready") throw new Error("no cache");
    try {
      // One connection carries both in this order, so Redis has forgotten the keys when it runs the command.
      const settled = this.#settle();
      const [answer] = await Promise.all([command(this.#redis), settled]);
      return answer;
    } catch (error) {
      this.#downUntil = Date.now() + COOL_DOWN;
      throw error;
    }
  }

  /** Send the invalidations that Redis hasn't heard of; what fails stays owed. */
  async #settle() {
    if (this.#redis.status !== "ready" || this.#owed.size === 0) return;
    const owed = [...this.#owed.keys()];
    this.#owed.clear();
    try {
      await this.#redis.del(owed);
      this.#remember(owed);
    } catch (error) {
      this.#owe(owed);
      this.#downUntil = Date.now() + COOL_DOWN;
      throw error;
    }
  }

  #remember(keys) {
    const now = Date.now();
    for (const key of keys) {
      this.#recent.delete(key); // so that this map stays in order of time too
      this.#recent.set(key, now);
    }
    for (const [key, when] of this.#recent) {
      if (when > now - RECENT) break;
      this.#recent.delete(key);
    }
  }

  #heardLately() {
    const since = Date.now() - RECENT;
    return [...this.#recent].filter(([, when]) => when > since).map(([key]) => key);
  }

  #owe(keys) {
    const now = Date.now();
    for (const key of keys) {
      this.#owed.delete(key); // so that the map stays in order of time
      this.#owed.set(key, now + VALUE_TTL);
    }
    // By then the stale values have expired in Redis: a long outage must not fill this process's memory.
    for (const [key, until] of this.#owed) {
      if (until > now) break;
      this.#owed.delete(key);
    }
  }

  #share(key, load) {
    const running = this.#flights.get(key);
    if (running) return running;
    const flight = load().finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    this.#flights.set(key, flight);
    return flight;
  }
}
