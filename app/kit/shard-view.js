import { setTimeout as sleep } from "node:timers/promises";
import { READ_ONLY, unavailable } from "./database-node.js";
import { record } from "./move-sql.js";

/** Milliseconds from one look at where the keys are to the next. */
const INTERVAL = 1_000;
/** How old what was seen may be, in milliseconds, before a statement waits for another look: half of what a move waits. */
export const LEASE = 5_000;
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 500;

/** SQLSTATE of a table that isn't there. */
const NO_TABLE = "42P01";

/**
 * Which shards have keys, as the databases themselves say. Who finds nothing said records that all have that there are, so
 * that one which is added later has none until a move brings them.
 *
 * Whoever moves keys tells every database before anything moves, and then waits for longer than LEASE. So any one
 * database's word is enough, except that a new one doesn't know that it is new.
 */
export class ShardView {
  #databases;
  #patience;
  #log;
  #mayRecord = true;
  #seen = null; // {count, next}
  #at = -Infinity;
  #looking = null;
  #recorded = false;
  #timer;

  /**
   * @param {import("./database.js").Database[]} databases
   * @param {number} patience
   * @param {(message: string) => void} log
   */
  constructor(databases, patience, log) {
    this.#databases = databases;
    this.#patience = patience;
    this.#log = log;
    this.#timer = setInterval(() => this.#look().catch(() => {}), INTERVAL);
    this.#timer.unref();
  }

  /** What was last seen; all shards when nothing was yet. */
  get last() {
    return this.#seen ?? { count: this.#databases.length, next: null };
  }

  /** What was seen of late, or undefined. */
  get fresh() {
    return performance.now() - this.#at < LEASE ? this.#seen : undefined;
  }

  /** What was seen of late, or is seen now. Fails as the databases do. */
  async known() {
    const deadline = performance.now() + this.#patience;
    for (let pause = FIRST_PAUSE; !this.fresh; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      try {
        await this.#look();
      } catch (error) {
        if (performance.now() + pause > deadline) throw error;
        await sleep(pause);
      }
    }
    return this.#seen;
  }

  end() {
    clearInterval(this.#timer);
  }

  #look() {
    this.#looking ??= this.#ask().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #ask() {
    const since = performance.now();
    const before = this.#seen;
    const answers = this.#databases.map(async (database, place) => {
      const state = await this.#stateOf(database);
      // The first is never new, nor is one that had keys; and what is recorded stays so.
      const knows = !this.#recorded && (place === 0 || place < (before?.count ?? 0));
      if (state === null && !knows) throw new Error("it doesn't say which shards have keys");
      return state;
    });
    try {
      const state = (await Promise.any(answers)) ?? (await this.#record());
      this.#recorded = state !== null;
      this.#seen = state ?? { count: this.#databases.length, next: null };
      this.#at = since;
    } catch (error) {
      throw error.errors?.[0] ?? error;
    }
  }

  /** The first database's word counts, which another process may have been quicker to give; null when it takes none. */
  async #record() {
    if (!this.#mayRecord) return null;
    const [first, ...others] = this.#databases;
    try {
      await first.ask(record(this.#databases.length));
    } catch (error) {
      if (unavailable(error) && error.code !== READ_ONLY) throw error;
      this.#mayRecord = false;
      this.#log(
        `which shards have keys can't be recorded (${error.message}): do it with move-shard.js before another is added`,
      );
      return null;
    }
    const state = await this.#stateOf(first);
    // Without these the first one's word is enough, and the next move repeats it.
    await Promise.allSettled(others.slice(0, state.count - 1).map((each) => each.ask(record(state.count))));
    return state;
  }

  async #stateOf(database) {
    if (!this.#recorded) {
      // First, as PostgreSQL logs each statement that names a table which isn't there.
      const { rows } = await database.ask("select to_regclass('expressway_kit.shards') is not null as there");
      if (!rows[0].there) return null;
    }
    try {
      const { rows } = await database.ask("select ring, moving_to from expressway_kit.shards");
      return rows.length === 0 ? null : { count: rows[0].ring, next: rows[0].moving_to };
    } catch (error) {
      if (error.code === NO_TABLE) return null;
      throw error;
    }
  }
}
