import { Breaker } from "./breaker.js";
import { position } from "./position.js";
import { createPool } from "./postgres.js";

/** SQLSTATE of a write on a server that takes none: a primary that a failover has demoted. */
export const READ_ONLY = "25006";
/** How long a probe may take to connect, and to be answered; in milliseconds. */
const PROBE_TIMEOUT = 1_000;

// SQLSTATE classes in which the server, not the statement, is at fault: connection, resources, operator, system.
const CLASSES = new Set(["08", "53", "57", "58"]);
// A statement that took too long is of the operator's class too.
const QUERY_CANCELED = "57014";
// A replica that has to go on with its log cancels what is in the way.
const CONFLICT = "40001";
const NETWORK = /^(ECONN|EPIPE|ETIMEDOUT|EHOST|ENET|ENOTFOUND|EAI_AGAIN|EADDRNOTAVAIL)/;
// What node-postgres and its pool say without a code.
const LOST = /^(Connection terminated|Connection ended|Query read timeout|Client has encountered a connection error|Client was closed)/;
const BUSY = "timeout exceeded when trying to connect"; // all of the pool in use

/** Whether the server is at fault, or couldn't be reached: another one, or the same one later, may do it. */
export function unavailable(error) {
  return error.message === BUSY || error.isBrokenCircuitError === true || atFault(error);
}

function atFault({ code = "", message = "" }) {
  if (code === READ_ONLY) return true;
  if (/^[0-9A-Z]{5}$/.test(code) && CLASSES.has(code.slice(0, 2))) return code !== QUERY_CANCELED;
  return NETWORK.test(code) || LOST.test(message);
}

/** Whether a read that ended so may be made elsewhere; not when it was no read. */
export function readableElsewhere(error) {
  return error.code !== READ_ONLY && (unavailable(error) || error.code === CONFLICT);
}

/** One server: its connections, whether it may be asked, and how far it has come. */
export class Node {
  #pool;
  #probes;
  #watched = false;
  #waiting = new Set(); // who waits for an answer: how each is told that there will be none
  active = 0; // what it is doing now
  reached = ""; // how far its log goes, or has been replayed, at least
  standby = null;
  failure = null; // why it couldn't be reached, if it couldn't

  /**
   * @param {typeof import("pg")} pg
   * @param {string} name
   * @param {() => string} address
   * @param {object} options pool: those of node-postgres; failures, pause: the breaker's; log
   */
  constructor(pg, name, address, { pool, failures, pause, log }) {
    this.name = name;
    this.breaker = new Breaker({ failures, pause, longestPause: 5 * pause, counts: atFault });
    this.#pool = createPool(pg, { ...pool, address });
    // By itself, so that a pool which is all in use isn't taken for a server that is gone.
    this.#probes = createPool(pg, {
      address,
      max: 1,
      idleTimeoutMillis: 0,
      connectionTimeoutMillis: PROBE_TIMEOUT,
      query_timeout: PROBE_TIMEOUT,
      application_name: pool.application_name,
      patience: 0,
    });
    for (const each of [this.#pool, this.#probes]) {
      // One that is lost while it is in use tells whoever uses it; without a listener it would end the process as well.
      each.on("connect", (client) => client.on("error", () => {}));
      each.on("error", (error) => {
        // Who comes back may have less than it had: a standby replays again from where it last was sure.
        this.reached = "";
        log(`${name}: connection lost: ${error.message}`);
      });
    }
  }

  /** A connection, or an error before anything was sent. */
  connect() {
    return this.breaker.run(() => this.#pool.connect());
  }

  /** A statement by itself. */
  async query(statement, values) {
    this.active += 1;
    try {
      return await this.breaker.run(() => this.#answer(statement, values));
    } catch (error) {
      if (unavailable(error)) this.reached = "";
      throw error;
    } finally {
      this.active -= 1;
    }
  }

  #answer(statement, values) {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      const over = () => this.#waiting.delete(reject);
      this.#pool.query(statement, values).finally(over).then(resolve, reject);
    });
  }

  /** Ask how far it has come. */
  async probe() {
    this.#watched = true;
    try {
      const { rows } = await this.#probes.query(
        `select pg_is_in_recovery() as standby,
           case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as lsn`,
      );
      if (this.failure !== null || rows[0].standby !== this.standby) this.breaker.reset();
      this.failure = null;
      this.standby = rows[0].standby;
      this.reached = rows[0].lsn ? position(rows[0].lsn) : "";
      // Nobody reads from a replica whose breaker is open; before its pause is over, this fails at once.
      if (this.breaker.state === "open") this.breaker.run(() => this.#answer("select 1")).catch(() => {});
    } catch (error) {
      this.failure = error;
      this.reached = "";
      // Others have what a replica has, and needn't be waited for until its statements' own time is up.
      if (this.standby && readableElsewhere(error)) for (const reject of this.#waiting) reject(error);
    }
  }

  /** Whether the last probe, where there are any, was answered. */
  get up() {
    return this.failure === null && (!this.#watched || this.standby !== null);
  }

  snapshot() {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return {
      up: this.up && this.breaker.state !== "open",
      breaker: this.breaker.state,
      connections: totalCount,
      idle: idleCount,
      waiting: waitingCount,
    };
  }

  async end() {
    await Promise.all([this.#pool.end(), this.#probes.end()]);
  }
}
