import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Keys } from "./cache-keys.js";
import { ClusterNodes, OneNode } from "./cache-nodes.js";
import { FRESH, NONE, SCRIPTS, UNSURE, YOURS } from "./cache-scripts.js";
import { current } from "./environment.js";
import { measured, ofCache } from "./measured.js";
import { createRedis } from "./redis.js";

// All in milliseconds.
const FIRST_POLL = 10; // for the end of another machine's read
const LONGEST_POLL = 50;
const RECENT = 10_000; // what a primary was told and its replica not yet, when that took its place
const BEHIND = 60_000; // for how long a write's position counts: far longer than a replica that is read may be behind
const FORGETTING = 1_000; // for Redis to take an invalidation: a write waits longer than a read would
const AGAIN = 20; // until an invalidation that failed is tried again

const DEFAULTS = {
  namespace: "cache",
  version: 1,
  ttl: 60_000, // bounds staleness if an invalidation is lost (Redis fails over, a worker is killed)
  negativeTtl: 10_000,
  jitter: 0.1,
  staleWhileRevalidate: 0,
  staleIfError: 0,
  lease: 5_000, // longer than a database read may take
  wait: 3_000, // for someone else's read; then read the database too
  timeout: 200,
  outageTtl: 0,
  failures: 5,
  pause: 1_000,
  position: () => "",
};

/**
 * A cache on the Redis that a variable names; without the variable, one that only shares reads within this process.
 * @param {typeof import("ioredis").Redis} Redis
 * @param {import("./cache.d.ts").CacheOptions} [options]
 */
export function createCache(Redis, options = {}) {
  const { variable = "REDIS_URL", cluster, log = (message) => console.log(message), ...settings } = options;
  const redis = current(variable) ? connect(Redis, { variable, cluster }, log) : null;
  try {
    return new Cache(redis, settings);
  } catch (error) {
    redis?.disconnect(); // else it would keep a process alive that ends for this
    throw error;
  }
}

/**
 * Cache-aside: one database read for any number of parallel misses, on all workers of all servers, and no stale fill.
 *
 * Who misses puts a lease under the key, reads the database, and replaces the lease with the value; who finds a lease
 * waits for the value. A write deletes the key after its commit, lease and all: a reader that read the old row then
 * finds its lease gone and stores nothing. Everybody asks Redis, even if the same process reads that key already, since
 * Redis knows whether a write came between. While Redis is away, reads go to the database, and parallel ones of a key
 * within a worker share one.
 *
 * In a cluster a key and all that is said of it are on one shard, and each shard is asked, left alone and told by itself.
 */
export class Cache {
  #redis;
  #options;
  #keys;
  #nodes = null; // of Redis; null without it
  #believed = new Map(); // in a cluster: which generations count, as they were when last read
  #flights = new Map(); // reads of the database: by lease, and by key while Redis is away
  #callers = new WeakMap(); // of these, how far whoever began one had written
  #watches = new Map(); // waits for other processes' leases
  #owed = new Map(); // invalidations that Redis hasn't heard of, to when they stop mattering and the write's position
  #recent = new Map(); // those that it has, to when and the write's position
  #longest; // for how long Redis keeps any value
  #unmeasured = () => {};
  #counts = { hits: 0, misses: 0, stale: 0, bypassed: 0, loads: 0, loadErrors: 0, redisErrors: 0, invalidations: 0 };

  /**
   * @param {object | null} redis a connection with the scripts of cache-scripts.js; null: no cache
   * @param {import("./cache.d.ts").CacheSettings} [options]
   */
  constructor(redis, options = {}) {
    this.#redis = redis;
    this.#options = check({ ...DEFAULTS, ...options });
    const { namespace, version, failures, pause } = this.#options;
    const clustered = redis?.isCluster === true;
    this.#keys = new Keys(`${namespace}:v${version}`, clustered);
    this.#longest = lifetime(this.#options);
    if (redis === null) return;
    const onReady = (node, interrupted) => {
      // Every worker tells it, before any reads from it.
      if (interrupted) this.#owe(this.#heardLately(node));
      this.#settle(node)?.catch(() => {});
    };
    const breaker = { failures, pause, longestPause: 5 * pause };
    this.#nodes = clustered ? new ClusterNodes(redis, breaker, onReady) : new OneNode(redis, breaker, onReady);
    this.#unmeasured = measured(() => ofCache(this.snapshot()));
  }

  /**
   * @template T
   * @param {string} key
   * @param {(after: string) => Promise<T>} load reads the database
   * @param {import("./cache.d.ts").ReadOptions} [options]
   * @returns {Promise<T>}
   */
  async get(key, load, options) {
    return (await this.read(key, load, options)).value;
  }

  /** As `get`, and where the value came from. */
  async read(key, load, options) {
    const found = await this.#read(this.#keys.name(key), load, options ? this.#with(options) : this.#options);
    this.#counts[COUNTED[found.from]] += 1;
    return found;
  }

  /** Forget keys, after the write they depend on is committed. */
  async invalidate(...keys) {
    const names = keys.map((key) => this.#keys.name(key));
    for (const name of names) this.#flights.delete(name); // who asks from now on must not get what was read before
    await this.#forget(names);
  }

  /** Forget all keys of the namespace, on all machines. */
  async invalidateAll() {
    this.#flights.clear();
    await this.#forget(this.#keys.generations());
  }

  /** What this process has seen, and whether it asks Redis. */
  snapshot() {
    const { redis, breaker, shards } = this.#nodes?.snapshot() ?? { redis: "off", breaker: "closed" };
    return { redis, breaker, owed: this.#owed.size, ...this.#counts, ...(shards && { shards }) };
  }

  close() {
    this.#unmeasured();
    this.#redis?.disconnect();
  }

  async #read(name, load, options) {
    const lease = randomUUID();
    const patience = Date.now() + options.wait;
    for (;;) {
      let claimed;
      try {
        claimed = await this.#claim(name, lease, options);
      } catch {
        return { value: await this.#alone(name, () => load(""), options.outageTtl), from: "bypass" };
      }
      const [state, text, late, holder, after = ""] = claimed;
      const loadAfter = () => load(after);
      if (state === FRESH) return { value: JSON.parse(text), from: "hit" };
      const upTo = (bound) => text !== "" && late <= bound;
      const stale = () => ({ value: JSON.parse(text), from: "stale" });
      if (upTo(options.staleWhileRevalidate)) {
        if (state === YOURS) this.#lead(name, lease, loadAfter, options).catch(() => {});
        return stale();
      }
      try {
        if (state === YOURS) return { value: await this.#lead(name, lease, loadAfter, options), from: "miss" };
        // Who reads it is this process, and no write has come between: else the lease would be gone.
        if (this.#flights.has(holder)) return { value: await this.#flights.get(holder), from: "hit" };
        if (Date.now() > patience) return { value: await this.#alone(holder, loadAfter, 0), from: "miss" };
      } catch (error) {
        if (upTo(options.staleIfError)) return stale();
        throw error;
      }
      await this.#watch(name, holder, patience);
    }
  }

  /** Read the database, and replace the lease with what it had. */
  async #lead(name, lease, load, options) {
    const flight = this.#load(load);
    this.#flights.set(lease, flight);
    try {
      const value = await flight;
      await this.#fill(name, lease, value, options);
      return value;
    } catch (error) {
      await this.#ask(name, (redis) => redis.release(name, lease)).catch(() => {});
      throw error;
    } finally {
      this.#flights.delete(lease);
    }
  }

  async #fill(name, lease, value, options) {
    const ttl = value === null ? Math.min(options.ttl, options.negativeTtl) : options.ttl;
    // Values that were read together must not all expire together; earlier, as the longest is a promise.
    const fresh = Math.round(ttl * (1 - options.jitter * Math.random()));
    const kept = fresh + Math.max(options.staleWhileRevalidate, options.staleIfError);
    const text = JSON.stringify(value);
    await this.#ask(name, (redis) => redis.fill(name, lease, text, fresh, kept)).catch(() => {});
  }

  async #claim(name, lease, options) {
    const generation = this.#keys.generation(name);
    if (this.#redis?.isCluster) return this.#claimBelieving(name, generation, lease, options);
    const claim = (redis) => redis.claim(name, generation, lease, options.lease);
    // An answer that comes too late may be a lease that nobody would fill.
    return this.#ask(name, claim, ([state]) => state === YOURS && this.#redis.release(name, lease));
  }

  /**
   * A claim in a cluster, where no command may have two keys (cache-scripts.js): the generation is asked for beside it, of
   * the same shard and in the same round trip, and the claim counts only if it is the one that the claim was made with. So
   * whatever was forgotten before this read began is known to it, as with a script of both keys.
   */
  async #claimBelieving(name, generation, lease, options) {
    for (let sure = 0; ; sure = 1) {
      const believed = this.#believed.get(generation) ?? NONE;
      const claim = (redis) =>
        Promise.all([redis.claimBelieving(name, lease, options.lease, believed, sure), redis.get(generation)]);
      const release = ([[state]]) => state === YOURS && this.#redis.release(name, lease);
      const [claimed, counts] = await this.#ask(name, claim, release);
      this.#believed.set(generation, counts ?? NONE);
      if (claimed[0] !== UNSURE && believed === (counts ?? NONE)) return claimed;
    }
  }

  /** Wait until the lease has ended, however many of this process wait for it. */
  #watch(name, lease, deadline) {
    const running = this.#watches.get(lease);
    if (running) return running;
    const watch = this.#poll(name, lease, deadline).finally(() => this.#watches.delete(lease));
    this.#watches.set(lease, watch);
    return watch;
  }

  async #poll(name, lease, deadline) {
    for (let pause = FIRST_POLL; Date.now() <= deadline; pause = Math.min(1.5 * pause, LONGEST_POLL)) {
      await sleep(pause);
      try {
        if ((await this.#ask(name, (redis) => redis.hget(name, "lease"))) !== lease) return;
      } catch {
        return; // who waits asks Redis next, and does without it then
      }
    }
  }

  /** Run `command`, after what the node that has `name` is owed, unless that is away or takes too long. */
  async #ask(name, command, unheard) {
    const node = this.#nodes?.at(name);
    if (node?.state !== "ready") throw new Error("no cache");
    const { breaker } = node;
    if (breaker.state !== "closed") {
      this.#try(node);
      throw new Error("no cache");
    }
    return breaker.run(async () => {
      const asked = this.#next(node, command);
      try {
        const answer = await this.#timely(asked);
        // It may have been sent on to another node, which has just taken the place of this one.
        if (this.#nodes.at(name)?.state === "ready") return answer;
        throw new Error("no cache");
      } catch (error) {
        if (unheard) asked.then(unheard).catch(() => {});
        throw error;
      }
    });
  }

  #next(node, command) {
    const settled = this.#settle(node);
    return settled ? settled.then(() => command(this.#redis)) : command(this.#redis);
  }

  /** Find out whether a node answers again, once its pause is over: no read waits for that. */
  #try({ breaker, redis }) {
    breaker.run(() => this.#timely(redis.ping())).catch(() => {});
  }

  async #timely(answer) {
    try {
      return await within(this.#options.timeout, answer);
    } catch (error) {
      this.#counts.redisErrors += 1;
      throw error;
    }
  }

  async #forget(names) {
    if (this.#redis === null) return;
    this.#counts.invalidations += 1;
    const after = this.#options.position();
    const patience = performance.now() + FORGETTING;
    for (let unheard = names; ; await sleep(AGAIN)) {
      this.#owe(unheard.map((name) => [name, after]));
      unheard = await this.#tellAll(unheard);
      // Other workers may ask a node whose connection only this one lost, or hasn't yet, as that of a shard just added. One that
      // is away for longer is away for all.
      const hope = unheard.some((name) => this.#nodes.known(name)?.reachableWithin(FORGETTING));
      if (!hope || performance.now() > patience) return;
    }
  }

  /** Tell the nodes that have `names` all they are owed. @returns the names of those that didn't hear it */
  async #tellAll(names) {
    const nodes = names.map((name) => this.#nodes.at(name));
    const told = (node) => this.#settle(node)?.then(() => true, () => false) ?? false;
    const heard = new Map([...new Set(nodes)].map((node) => [node, told(node)]));
    const answers = await Promise.all(nodes.map((node) => heard.get(node)));
    return names.filter((_, i) => !answers[i]);
  }

  /** Send the invalidations that a node hasn't heard of; what fails stays owed. */
  #settle(node) {
    if (this.#owed.size === 0 || !node || node.state === "away") return undefined;
    const owed = [...this.#owed].filter(([name]) => this.#nodes.at(name) === node).map(([name, { after }]) => [name, after]);
    if (owed.length === 0) return undefined;
    for (const [name] of owed) this.#owed.delete(name);
    return within(FORGETTING, this.#tell(owed)).then(
      () => this.#remember(owed),
      (error) => {
        this.#owe(owed);
        throw error;
      },
    );
  }

  async #tell(owed) {
    const told = owed.flatMap(([name, after]) => {
      // Not a count: one that Redis loses would begin again, and find values of its first round.
      if (this.#keys.isGeneration(name)) return [this.#redis.set(name, `${randomUUID()}@${after}`)];
      return after ? [this.#redis.forget(name, after, BEHIND)] : [];
    });
    const keys = owed.filter(([name, after]) => !after && !this.#keys.isGeneration(name)).map(([name]) => name);
    if (this.#redis.isCluster) told.push(...keys.map((name) => this.#redis.del(name)));
    else if (keys.length > 0) told.push(this.#redis.del(keys));
    await Promise.all(told);
  }

  #remember(told) {
    const now = Date.now();
    for (const [name, after] of told) {
      this.#recent.delete(name); // so that this map stays in order of time too
      this.#recent.set(name, { when: now, after });
    }
    for (const [name, { when }] of this.#recent) {
      if (when > now - RECENT) break;
      this.#recent.delete(name);
    }
  }

  #heardLately(node) {
    const since = Date.now() - RECENT;
    return [...this.#recent]
      .filter(([name, { when }]) => when > since && this.#nodes.at(name) === node)
      .map(([name, { after }]) => [name, after]);
  }

  #owe(invalidations) {
    const now = Date.now();
    for (const [name, after] of invalidations) {
      const before = this.#owed.get(name)?.after ?? "";
      this.#owed.delete(name); // so that the map stays in order of time
      this.#owed.set(name, { until: now + this.#longest, after: after > before ? after : before });
    }
    // By then the stale values have expired in Redis: a long outage must not fill this process's memory.
    for (const [name, { until }] of this.#owed) {
      if (until > now) break;
      this.#owed.delete(name);
    }
  }

  /** One read of the database for all of this process that ask under `name` meanwhile, and for `hold` after it. */
  #alone(name, load, hold) {
    const after = this.#options.position();
    const running = this.#flights.get(name);
    // A replica may have answered that lacks what a caller has written who is further.
    if (running && after <= (this.#callers.get(running) ?? after)) return running;
    const flight = this.#load(load);
    this.#callers.set(flight, after);
    const drop = () => {
      if (this.#flights.get(name) === flight) this.#flights.delete(name);
    };
    flight.then(() => (hold > 0 ? setTimeout(drop, hold).unref() : drop()), drop);
    this.#flights.set(name, flight);
    return flight;
  }

  async #load(load) {
    this.#counts.loads += 1;
    try {
      return (await load()) ?? null;
    } catch (error) {
      this.#counts.loadErrors += 1;
      throw error;
    }
  }

  #with(options) {
    const merged = check({ ...this.#options, ...options });
    this.#longest = Math.max(this.#longest, lifetime(merged));
    return merged;
  }
}

const COUNTED = { hit: "hits", miss: "misses", stale: "stale", bypass: "bypassed" };

function lifetime({ ttl, staleWhileRevalidate, staleIfError }) {
  return ttl + Math.max(staleWhileRevalidate, staleIfError);
}

function check(options) {
  for (const [name, value] of Object.entries(options)) {
    if (!(name in DEFAULTS)) throw new TypeError(`a cache has no option ${name}`);
    if (typeof DEFAULTS[name] === "number" && name !== "version" && !(Number.isFinite(value) && value >= 0)) {
      throw new TypeError(`the cache's ${name} must be a number of at least 0, not ${value}`);
    }
  }
  if (options.jitter > 1) throw new TypeError(`the cache's jitter must be a share from 0 to 1, not ${options.jitter}`);
  return options;
}

/** What `promise` resolves to, unless it takes longer. */
function within(milliseconds, promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    const late = () => reject(new Error(`Redis took longer than ${milliseconds} ms`));
    // A turn later, in which answers are read: where the process itself was busy, Redis isn't the one that is late.
    timer = setTimeout(() => setImmediate(late), milliseconds);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

/** A connection that fails fast while Redis is away, and comes back by itself, on another node if need be. */
function connect(Redis, where, log) {
  const redis = createRedis(Redis, {
    ...where,
    enableOfflineQueue: false, // a cache that must be waited for is no cache
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: 1_000,
    socketTimeout: 2_000, // silence while an answer is due: drop the connection and open another
    retryStrategy: (attempt) => Math.min(100 * attempt, 1_000),
    scripts: SCRIPTS,
    // Nobody is asked who isn't there (cache-nodes.js), and commands may wait while a shard that was added is connected.
    // Never sent again unseen: an invalidation would come after others.
    clusterOptions: { enableOfflineQueue: true, retryDelayOnFailover: 0, retryDelayOnClusterDown: 0 },
  });

  // One line when it goes and one when it is back, not one per attempt.
  let reachable = true;
  const gone = (error) => {
    if (reachable) log(`cache unavailable, reading from the database: ${error.message}`);
    reachable = false;
  };
  const back = () => {
    if (!reachable) log("cache available again");
    reachable = true;
  };
  redis.on("error", gone);
  if (redis.isCluster) {
    redis.on("+node", (node) => {
      node.on("error", (error) => node.options.readOnly || gone(error));
      node.on("ready", () => redis.nodes("master").every(({ status }) => status === "ready") && back());
    });
  } else {
    redis.on("ready", back);
  }
  return redis;
}
