import { setTimeout as sleep } from "node:timers/promises";
import { Node, READ_ONLY, readableElsewhere, unavailable } from "./database-node.js";
import { current } from "./environment.js";
import { Lag } from "./lag.js";
import { measured, ofDatabase } from "./measured.js";
import { LATEST, position, remember, written } from "./position.js";

const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 500;

const DEFAULTS = {
  name: "main",
  variable: "DATABASE_URL",
  replicaVariable: "DATABASE_REPLICA_URLS",
  maxLag: 1_000,
  interval: 500,
  patience: 5_000,
  failures: 3,
  pause: 1_000,
};

/** The pool of each server; those of `pool` win. In milliseconds. */
const POOL = {
  max: 5,
  connectionTimeoutMillis: 2_000,
  idleTimeoutMillis: 30_000,
  statement_timeout: 3_000,
  query_timeout: 4_000, // for a server that has gone silent, where its own timeout can't help
  keepAlive: true,
};

/**
 * A primary, and replicas where a variable names some.
 * @param {typeof import("pg")} pg
 * @param {import("./database.d.ts").DatabaseOptions} [options]
 */
export function createDatabase(pg, options = {}) {
  return new Database(pg, options);
}

/**
 * Writes go to the primary; reads to a replica that is up, lags little, and has replayed all that the caller wrote, or
 * else to the primary. How far a caller wrote is asked of the primary after each commit, and known by the caller's cookie.
 */
export class Database {
  #pg;
  #options;
  #primary;
  #replicas = new Map(); // by host and database, as passwords change
  #lag = new Lag();
  #probing;
  #unmeasured;
  #ended = false;
  #counts = { writes: 0, reads: 0, replicaReads: 0, primaryReads: 0, retries: 0, failures: 0 };

  constructor(pg, { pool = {}, log = (message) => console.log(message), ...options }) {
    for (const name of Object.keys(options)) {
      if (!(name in DEFAULTS) && name !== "address") throw new TypeError(`a database has no option ${name}`);
    }
    this.#pg = pg;
    this.#options = { ...DEFAULTS, ...options, pool: { ...POOL, ...pool }, log };
    const { name, variable, address = () => current(variable) } = this.#options;
    if (!/^[\w-]+$/.test(name)) throw new TypeError(`a database's name is of letters, digits, _ and -, not ${name}`);
    this.#primary = new Node(pg, `${name} primary`, address, this.#options);
    this.#follow();
    if (this.#replicas.size > 0) this.#probe();
    // Replicas may also come later; a machine of Expressway tells so in a file.
    this.#probing = setInterval(() => this.#probe(), this.#options.interval);
    this.#probing.unref();
    this.#unmeasured = measured(() => ofDatabase(this.snapshot()));
  }

  /**
   * A statement, or a function that is given a client within a transaction, on the primary.
   *
   * What fails before anything was sent, or is refused as the server takes no writes (any more), is tried again for a
   * while; nothing else is, as it may have been done.
   */
  async write(work, values) {
    this.#counts.writes += 1;
    return this.#again(async () => {
      const client = await this.#primary.connect().catch((error) => {
        throw unavailable(error) ? new NothingSent(error) : error;
      });
      let broken;
      try {
        const result = typeof work === "function" ? await transaction(client, work) : await client.query(work, values);
        broken = await this.#note(client);
        return result;
      } catch (error) {
        if (unavailable(error) || error.broken) broken = error;
        throw error.code === READ_ONLY ? new NothingSent(error) : error;
      } finally {
        client.release(broken); // with an error: closed
      }
    });
  }

  /** A statement that changes nothing, on whichever server may answer it. */
  async read(statement, values, { after = "", primary = false } = {}) {
    this.#counts.reads += 1;
    const own = written(this.#options.name);
    const needed = after > own ? after : own;
    const tried = new Set();
    return this.#again(async () => {
      const node = primary ? this.#primary : this.#choose(needed, tried);
      try {
        const result = await node.query(statement, values);
        this.#counts[node === this.#primary ? "primaryReads" : "replicaReads"] += 1;
        return result;
      } catch (error) {
        if (!readableElsewhere(error)) throw error;
        tried.add(node);
        if (node === this.#primary) tried.clear(); // all have had their turn
        throw new NothingSent(error, node !== this.#primary);
      }
    });
  }

  /** A statement on the primary: once, and not counted. */
  ask(statement) {
    return this.#primary.query(statement);
  }

  /** How far the caller has written: for `after` of a read that somebody else makes. */
  position() {
    return written(this.#options.name);
  }

  snapshot() {
    const replicas = [...this.#replicas.values()].map((node) => ({
      ...node.snapshot(),
      inRotation: this.#inRotation(node),
      lag: this.#lag.of(node.reached),
    }));
    return { primary: this.#primary.snapshot(), replicas, ...this.#counts };
  }

  async end() {
    this.#ended = true;
    clearInterval(this.#probing);
    this.#unmeasured();
    await Promise.all([this.#primary, ...this.#replicas.values()].map((node) => node.end()));
  }

  /** Run `attempt` until it does, fails for good, or has failed for as long as it may. */
  async #again(attempt) {
    const deadline = Date.now() + this.#options.patience;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof NothingSent)) {
          this.#counts.failures += 1;
          throw error;
        }
        if (Date.now() + pause > deadline || this.#ended) {
          this.#counts.failures += 1;
          throw error.cause;
        }
        this.#counts.retries += 1;
        // All that wait must not come back at the same instant.
        if (!error.elsewhere) await sleep(pause * (0.5 + Math.random() / 2));
      }
    }
  }

  /** Have the caller, and so its later reads, know how far the log is. Returns what broke the connection, if anything. */
  async #note(client) {
    if (this.#replicas.size === 0) return undefined;
    try {
      const { rows } = await client.query("select pg_current_wal_insert_lsn() as lsn");
      remember(this.#options.name, position(rows[0].lsn));
      return undefined;
    } catch (error) {
      // It is written all the same: its caller reads from the primary.
      remember(this.#options.name, LATEST);
      return error;
    }
  }

  /** The least busy replica that may answer, or the primary. */
  #choose(needed, tried) {
    let best = this.#primary;
    for (const node of this.#replicas.values()) {
      if (tried.has(node) || node.reached < needed || !this.#inRotation(node)) continue;
      if (best === this.#primary || node.active < best.active) best = node;
    }
    return best;
  }

  #inRotation(node) {
    if (!node.up || !node.standby || node.breaker.state !== "closed") return false;
    const lag = this.#lag.of(node.reached);
    return lag !== null && lag <= this.#options.maxLag;
  }

  /** Have a node for each address that the variable holds now. */
  #follow() {
    const addresses = this.#addresses();
    for (const [key, node] of this.#replicas) {
      if (addresses.has(key)) continue;
      this.#replicas.delete(key);
      node.end().catch(() => {});
    }
    for (const [key, url] of addresses) {
      if (this.#replicas.has(key)) continue;
      const address = () => this.#addresses().get(key) ?? url;
      this.#replicas.set(key, new Node(this.#pg, `${this.#options.name} replica ${key}`, address, this.#options));
    }
  }

  /** The replicas' addresses by host and database. */
  #addresses() {
    const urls = (current(this.#options.replicaVariable) ?? "").split(",").map((url) => url.trim());
    const parsed = urls.filter((url) => URL.canParse(url)).map((url) => [new URL(url), url]);
    return new Map(parsed.map(([{ host, pathname }, url]) => [host + pathname, url]));
  }

  /** Ask every server how far it is: one at a time would let one that hangs hide the others. */
  #probe() {
    this.#follow();
    if (this.#replicas.size === 0) return;
    for (const node of [this.#primary, ...this.#replicas.values()]) {
      if (node.probing) continue;
      node.probing = node.probe().finally(() => {
        node.probing = null;
        if (node === this.#primary && node.standby === false) this.#lag.primaryAt(node.reached);
      });
    }
  }
}

/** An error that may be tried again: nothing was sent, or nothing was done. */
class NothingSent extends Error {
  constructor(cause, elsewhere = false) {
    super(cause.message, { cause });
    this.elsewhere = elsewhere; // at once, as another server is asked
  }
}

async function transaction(client, work) {
  let began = false;
  try {
    // In one message, so that it costs no further way.
    const [, { rows }] = await client.query("begin; select current_setting('transaction_read_only') as read_only");
    if (rows[0].read_only === "on") {
      throw Object.assign(new Error("the primary takes no writes"), { code: READ_ONLY, broken: true });
    }
    began = true;
    const result = await work(client);
    const { command } = await client.query("commit");
    if (command !== "COMMIT") throw new Error("the transaction was rolled back: one of its statements had failed");
    return result;
  } catch (error) {
    if (began && !unavailable(error)) {
      await client.query("rollback").catch((failed) => {
        error.broken = failed;
      });
    }
    // Only what `begin` says is known to have come before all of `work`.
    if (began && error.code === READ_ONLY) throw new Error(error.message, { cause: error });
    throw error;
  }
}
