import { Breaker } from "./breaker.js";
import { slotOf } from "./cache-keys.js";

// All in milliseconds.
const SETTLE = 2_500; // after a node is back: longer than any worker takes to reconnect (connect, LOOK)
const LOOK = 400; // after the connection to a shard's node ended, until the others are asked who has its slots

/** One node that may be asked for keys: the only one, or the primary of a shard. */
class Node {
  /** No read from it before all workers have told it what they wrote meanwhile. */
  unsettledUntil = 0;

  /** @param {number} [lostAt] since when it can't be reached, if it can't now */
  constructor(redis, breaker, interrupted, lostAt = Date.now()) {
    this.redis = redis;
    this.breaker = new Breaker(breaker);
    this.interrupted = interrupted;
    this.lostAt = redis.status === "ready" ? null : lostAt;
    redis.on("ready", () => {
      this.lostAt = null;
    });
    for (const event of ["close", "end"]) redis.on(event, () => this.lose());
  }

  lose() {
    this.lostAt ??= Date.now();
  }

  /** Whether it can be reached, or could a moment ago, or this process has only just heard of it. */
  reachableWithin(milliseconds) {
    return this.lostAt === null || Date.now() - this.lostAt < milliseconds;
  }

  /** @returns {"ready" | "away" | "settling"} */
  get state() {
    if (this.redis.status !== "ready") return "away";
    return Date.now() < this.unsettledUntil ? "settling" : "ready";
  }

  /**
   * To be called when it may be asked: if it was away it may have kept what was written to the database meanwhile, or be
   * another node, which doesn't know all that the one before was told.
   * @returns {boolean} whether it was
   */
  settle() {
    const { interrupted } = this;
    if (interrupted) {
      this.unsettledUntil = Date.now() + SETTLE;
      this.breaker.reset();
    }
    this.interrupted = false;
    return interrupted;
  }
}

/** A single Redis. */
export class OneNode {
  #node;

  /**
   * @param {import("ioredis").Redis} redis
   * @param {object} breaker its options
   * @param {(node: Node, interrupted: boolean) => void} onReady called when a node may be told and asked
   */
  constructor(redis, breaker, onReady) {
    this.#node = new Node(redis, breaker, false);
    redis.on("close", () => {
      this.#node.interrupted = true;
    });
    redis.on("ready", () => onReady(this.#node, this.#node.settle()));
  }

  at() {
    return this.#node;
  }

  known() {
    return this.#node;
  }

  snapshot() {
    return { redis: this.#node.state, breaker: this.#node.breaker.state };
  }
}

/**
 * The nodes of a cluster: each shard fails, and settles, by itself.
 *
 * A primary that this process found at its start may be asked at once. Any that is new, comes back or was a replica may have
 * taken the place of one that died, and lack what only that one was told.
 */
export class ClusterNodes {
  #cluster;
  #breaker;
  #onReady;
  #nodes = new Map(); // by host and port, as the cluster names them; the last one there, also when its connection ended
  #slots = new Map(); // by hash tag
  #started = false;
  #looking = null;

  /** As OneNode's. @param {import("ioredis").Cluster} cluster */
  constructor(cluster, breaker, onReady) {
    this.#cluster = cluster;
    this.#breaker = breaker;
    this.#onReady = onReady;
    for (const redis of cluster.nodes()) this.#add(redis);
    cluster.on("+node", (redis) => this.#add(redis));
    cluster.on("-node", (redis) => this.#remove(redis));
    cluster.on("refresh", () => {
      for (const node of this.#nodes.values()) this.#see(node);
    });
    if (cluster.status === "ready") this.#start();
    else cluster.once("ready", () => this.#start());
  }

  /** The node that has `name` now, as far as is known; undefined while none is known. */
  at(name) {
    const node = this.known(name);
    if (node) this.#see(node);
    return this.#cluster.status === "ready" ? node : undefined;
  }

  /** The node that had `name` when the cluster was last heard. */
  known(name) {
    return this.#nodes.get(this.#cluster.slots[this.#slot(name)]?.[0]);
  }

  /** Of the whole, and of each shard, in the order of its lowest slot: `slots` that nobody has are in none. */
  snapshot() {
    const counts = new Map();
    this.#cluster.slots.forEach(([owner]) => counts.set(owner, (counts.get(owner) ?? 0) + 1));
    const shards = [...counts].map(([owner, slots]) => {
      const node = this.#cluster.status === "ready" ? this.#nodes.get(owner) : undefined;
      return { redis: node?.state ?? "away", breaker: node?.breaker.state ?? "closed", slots };
    });
    const states = new Set(shards.map(({ redis }) => redis));
    const breakers = shards.map(({ breaker }) => breaker);
    return {
      redis: states.size > 1 ? "partial" : ([...states][0] ?? "away"),
      breaker: ["open", "half-open"].find((state) => breakers.includes(state)) ?? "closed",
      shards: Object.fromEntries(shards.entries()),
    };
  }

  #add(redis) {
    const node = new Node(redis, this.#breaker, this.#started, this.#nodes.get(idOf(redis))?.lostAt ?? undefined);
    this.#nodes.set(idOf(redis), node);
    redis.on("ready", () => this.#see(node, true));
    if (this.#started) this.#open(node);
  }

  #remove(redis) {
    const node = this.#nodes.get(idOf(redis));
    if (node?.redis === redis) node.lose();
    if (!this.#started || this.#looking) return;
    this.#looking = setTimeout(() => {
      this.#looking = null;
      // Away altogether, it asks by itself.
      if (this.#cluster.status === "ready") this.#cluster.refreshSlotsCache();
    }, LOOK).unref();
  }

  #start() {
    this.#started = true;
    for (const node of this.#nodes.values()) this.#open(node);
  }

  /** Connect before it is needed, which ioredis doesn't. Replicas are never asked. */
  #open({ redis }) {
    if (!redis.options.readOnly && redis.status === "wait") redis.connect().catch(() => {});
  }

  /** Notice that it has become a primary, or a replica. */
  #see(node, connected = false) {
    const { redis } = node;
    if (redis.options.readOnly) node.interrupted = true;
    else if (redis.status === "ready" && (connected || node.interrupted)) this.#onReady(node, node.settle());
  }

  #slot(name) {
    const tag = name.slice(0, name.indexOf("}") + 1);
    let slot = this.#slots.get(tag);
    if (slot === undefined) {
      slot = slotOf(tag);
      this.#slots.set(tag, slot);
    }
    return slot;
  }
}

function idOf({ options }) {
  return `${options.host}:${options.port}`;
}
