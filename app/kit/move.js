import { setTimeout as sleep } from "node:timers/promises";
import { current } from "./environment.js";
import { problems } from "./move-check.js";
import * as sql from "./move-sql.js";
import { ringOf, shardName } from "./ring.js";
import { LEASE } from "./shard-view.js";

/** Rows that a bucket has on average: while its keys wait, so many are copied. */
const ROWS = 300;
const [FEWEST, MOST] = [64, 65_536];
/** Rows in one statement. */
const BATCH = 1_000;
/** Milliseconds that the mover waits for a lock, while others queue behind it; and how long it tries again. */
const LOCK_WAIT = 250;
const PATIENCE = 60_000;
/** Milliseconds that a bucket's keys wait, less than a statement may take (3 s); tried so often, then however long it takes. */
const HOLD = 1_000;
const TRIES = 5;
const SIGN_OF_LIFE = 5_000;
const TOO_LONG = "EHOLD";
/** SQLSTATE of a lock that wasn't had in time, and of two that wait for each other; and a bucket that keys wait for. */
const AGAIN = new Set(["55P03", "40P01", TOO_LONG]);
const NAME = /^[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?$/;

/** The move can't begin, or can't go on; what is where is as it was, and the next call goes on. */
export class MoveError extends Error {}

/**
 * Take a shard that has no keys yet into use, or go on with it: move the rows of the keys that are its, while others write.
 * @param {typeof import("pg")} pg
 * @param {import("./move.d.ts").MoveOptions} options
 */
export async function moveKeys(
  pg,
  { tables, variable = "DATABASE_SHARD_URLS", action = "move", settle = 2 * LEASE, buckets, tell = () => {} },
) {
  const named = namedTables(tables);
  const urls = (current(variable) ?? "").split(",").map((url) => url.trim());
  if (!urls.every(Boolean)) throw new MoveError(`${variable} names no shard: its addresses, separated by commas`);
  const clients = urls.map((connectionString) => {
    const client = new pg.Client({ connectionString, connectionTimeoutMillis: 10_000, keepAlive: true });
    client.on("error", () => {}); // who uses it is told
    return client;
  });
  const lock = new pg.Client({ connectionString: urls[0], connectionTimeoutMillis: 10_000 });
  lock.on("error", () => {});
  let alive;
  try {
    await Promise.all([...clients, lock].map((each) => each.connect()));
    await lock.query("begin");
    await lock.query("set local idle_in_transaction_session_timeout = 0");
    const { rows } = await lock.query(sql.tryMover);
    if (!rows[0].mine) throw new MoveError("another process moves keys now");
    // A connection that nobody speaks on is closed on the way.
    alive = setInterval(() => lock.query("select 1").catch(() => {}), SIGN_OF_LIFE);
    return await new Move(clients, named, { settle, buckets, tell }).run(action);
  } finally {
    clearInterval(alive);
    await Promise.all([...clients, lock].map((each) => each.end().catch(() => {})));
  }
}

class Move {
  #clients;
  #tables;
  #settle;
  #buckets;
  #tell;
  #began = performance.now();
  #rows = 0;
  #longest = 0;

  constructor(clients, tables, { settle, buckets, tell }) {
    this.#clients = clients;
    this.#tables = tables;
    this.#settle = settle;
    this.#buckets = buckets;
    this.#tell = tell;
  }

  async run(action) {
    const states = await Promise.all(this.#clients.map(stateOf));
    const known = states.filter(Boolean);
    const moving = known.find(({ moving_to }) => moving_to !== null);
    const ring = Math.max(0, ...known.map((each) => each.ring)); // more than one, and a move was being finished
    if (action === "undo") return this.#undo(states, moving, ring);
    if (action === "finish") return this.#finish(states, moving, ring);
    if (known.length === 0) return this.#record();
    if (moving && ring < moving.moving_to) return this.#forward(moving.ring, moving.buckets);
    if (moving) throw new MoveError(`a move to ${ring} shards is being finished: go on with that`);
    // A record that was cut short.
    for (const [place, client] of this.#of(ring).entries()) {
      if (states[place]) continue;
      await client.query(sql.STATE);
      await client.query(sql.setState, [ring, null, null]);
    }
    if (this.#clients.length < ring)
      throw new MoveError(`keys are on ${ring} shards, and this machine knows ${this.#clients.length}`);
    if (this.#clients.length === ring) return this.#recorded(ring);
    if (await this.#leftovers(states)) await this.#everyoneKnows();
    return this.#forward(ring, await this.#prepare(ring));
  }

  /** Nobody has said it yet: what has keys is what there is now, and stays so when one more is there. */
  async #record() {
    const count = this.#clients.length;
    for (const client of this.#clients) await client.query(sql.STATE);
    await this.#setState(count, null, null, count);
    return this.#recorded(count);
  }

  async #recorded(count) {
    return this.#result("recorded", count, count + 1, { moved: 0, all: await this.#count(count) });
  }

  async #prepare(ring) {
    const count = ring + 1;
    await this.#check(count);
    for (const client of this.#of(count)) await client.query(sql.STATE);
    await this.#clean(count); // what one that was cut short here has left
    const buckets = this.#buckets ?? (await this.#bucketsFor(ring));
    this.#tell({ doing: "preparing", buckets });
    for (const client of this.#of(count))
      await transaction(client, () => client.query(sql.machinery(this.#tables, count, buckets)));
    for (const client of this.#of(count)) {
      for (const [place, table] of this.#tables.entries())
        await this.#patiently(client, () => client.query(sql.guard(table, place)));
    }
    // Whoever wrote before the guard was there has committed, and whoever writes now is noted by it.
    for (const client of this.#of(ring)) await transaction(client, () => client.query(sql.noteKeys(this.#tables)));
    return buckets;
  }

  async #forward(ring, buckets) {
    const to = ring + 1;
    if (this.#clients.length < to)
      throw new MoveError(`a move to ${to} shards is under way, and this machine knows ${this.#clients.length}`);
    await this.#describe(to);
    await this.#setState(ring, to, buckets, to);
    await this.#everyoneKnows();
    await this.#eachBucket(ring, buckets, true);
    return this.#result("moved", ring, to, await this.#keys(to), buckets);
  }

  async #undo(states, moving, ring) {
    if (!moving) {
      if (!(await this.#leftovers(states))) throw new MoveError("no move is under way, so there is none to undo");
      await this.#clean(this.#clients.length);
      return this.#result("undone", ring, ring + 1, { moved: 0, all: await this.#count(ring) });
    }
    if (ring >= moving.moving_to) throw new MoveError(`a move to ${ring} shards is being finished: no way leads back`);
    const to = moving.moving_to;
    await this.#describe(to);
    await this.#setState(ring, to, moving.buckets, to);
    await this.#everyoneKnows();
    await this.#eachBucket(ring, moving.buckets, false);
    const left = await this.#keys(to);
    if (left.moved > 0) throw new MoveError(`${shardName(ring)} has ${left.moved} keys that came from no other shard`);
    await this.#setState(ring, null, null, to);
    await this.#everyoneKnows();
    await this.#clean(to);
    return this.#result("undone", ring, to, left, moving.buckets);
  }

  async #finish(states, moving, ring) {
    if (!moving) {
      if (!(await this.#leftovers(states))) throw new MoveError("no move is under way, so there is none to finish");
      await this.#everyoneKnows();
      await this.#clean(ring);
      return this.#result("finished", ring - 1, ring, await this.#keys(ring));
    }
    const to = moving.moving_to;
    for (const [place, client] of this.#of(to - 1).entries()) {
      const { rows } = await client.query(
        "select count(*)::integer as left from expressway_kit.shard_buckets where not moved",
      );
      if (rows[0].left > 0)
        throw new MoveError(`${rows[0].left} buckets of ${shardName(place)} haven't moved yet: move them first`);
      const { rows: noted } = await client.query("select key from expressway_kit.shard_keys");
      const keys = noted.map(({ key }) => key).filter((key) => ringOf(to - 1).get(key) === shardName(place));
      const there = await this.#sums(client, keys);
      if (there.some(({ rows: count }) => count > 0))
        throw new MoveError(`${shardName(place)} has rows of keys that have moved`);
    }
    await this.#setState(to, null, null, to);
    await this.#everyoneKnows();
    await this.#clean(to);
    return this.#result("finished", to - 1, to, await this.#keys(to), moving.buckets);
  }

  async #eachBucket(ring, buckets, forward) {
    const target = this.#clients[ring];
    const of = ring * buckets;
    let done = 0;
    let told = performance.now();
    for (const [place, source] of this.#of(ring).entries()) {
      const owns = (key) => ringOf(ring).get(key) === shardName(place);
      for (let bucket = 0; bucket < buckets; bucket += 1) {
        await this.#again((tries) => this.#moveBucket(source, target, bucket, owns, forward, tries >= TRIES));
        done += 1;
        if (performance.now() - told > 1_000 || done === of) {
          told = performance.now();
          this.#tell({ doing: forward ? "moving" : "moving back", done, of, rows: this.#rows });
        }
      }
    }
  }

  /**
   * A transaction of each database, of which that with the copy is committed first: the rows are where the source says at
   * any instant, and for one between the two commits also where they were.
   */
  async #moveBucket(source, target, bucket, owns, forward, patient) {
    await transaction(source, () =>
      transaction(target, async () => {
        for (const each of [source, target])
          await each.query(`set local lock_timeout = ${LOCK_WAIT}; ${sql.PLAIN}; ${sql.AS_MOVER}`);
        const since = performance.now();
        await source.query(sql.exclusive(bucket));
        const { rows } = await source.query("select moved from expressway_kit.shard_buckets where bucket = $1", [bucket]);
        const keys = await this.#keysOf([source, target], bucket, owns);
        if (rows[0].moved === forward) {
          // What one that was cut short between its two commits has left.
          if (!forward) await this.#remove(target, keys);
          return;
        }
        const [from, into] = forward ? [source, target] : [target, source];
        const inTime = () => {
          if (patient || performance.now() - since < HOLD) return;
          throw Object.assign(new Error("keys would wait for too long"), { code: TOO_LONG });
        };
        await this.#remove(into, keys);
        await this.#copy(from, into, keys, inTime);
        await into.query(
          "insert into expressway_kit.shard_keys select key, $2 from unnest($1::text[]) key on conflict do nothing",
          [keys, bucket],
        );
        const [before, after] = await Promise.all([this.#sums(from, keys), this.#sums(into, keys)]);
        inTime();
        if (JSON.stringify(before) !== JSON.stringify(after))
          throw new MoveError(`bucket ${bucket} is another on arrival, so it stays where it was`);
        const count = before.reduce((sum, each) => sum + each.rows, 0);
        const gone = await this.#remove(from, keys);
        if (gone !== count)
          throw new MoveError(
            `bucket ${bucket} has ${count} rows, and ${gone} were to be removed: it stays where it was`,
          );
        await source.query("update expressway_kit.shard_buckets set moved = $2 where bucket = $1", [bucket, forward]);
        if (!forward) await source.query("commit");
        this.#rows += count;
        this.#longest = Math.max(this.#longest, performance.now() - since);
      }),
    );
  }

  async #keysOf(clients, bucket, owns) {
    const answers = [];
    for (const client of clients)
      answers.push((await client.query("select key from expressway_kit.shard_keys where bucket = $1", [bucket])).rows);
    return [...new Set(answers.flat().map(({ key }) => key))].filter(owns);
  }

  async #copy(from, into, keys, inTime) {
    for (const table of this.#tables) {
      await from.query(`declare moving no scroll cursor for ${sql.rowsOf(table)}`, [keys]);
      for (;;) {
        const { rows } = await from.query(`fetch ${BATCH} from moving`);
        if (rows.length === 0) break;
        inTime();
        await into.query(sql.insert(table), [rows.map(({ row }) => row)]);
      }
      await from.query("close moving");
    }
  }

  async #remove(client, keys) {
    let gone = 0;
    // Rows that refer to others come after them.
    for (const table of this.#tables.toReversed()) gone += (await client.query(sql.remove(table), [keys])).rowCount;
    return gone;
  }

  async #sums(client, keys) {
    const found = [];
    for (const table of this.#tables) found.push((await client.query(sql.sumOf(table), [keys])).rows[0]);
    return found;
  }

  async #keys(count) {
    return { moved: await this.#countOf(this.#clients[count - 1]), all: await this.#count(count) };
  }

  async #count(shards) {
    const counts = await Promise.all(this.#of(shards).map((client) => this.#countOf(client)));
    return counts.reduce((sum, each) => sum + each, 0);
  }

  async #countOf(client) {
    return (await client.query(sql.countKeys(this.#tables))).rows[0].keys;
  }

  async #bucketsFor(ring) {
    let most = 0;
    for (const client of this.#of(ring)) {
      let rows = 0;
      for (const { name } of this.#tables)
        rows += Number((await client.query(`select count(*) from ${sql.quoted(name)}`)).rows[0].count);
      most = Math.max(most, rows);
    }
    return Math.min(MOST, Math.max(FEWEST, Math.ceil(most / (ring + 1) / ROWS)));
  }

  async #check(count) {
    const described = await this.#describe(count);
    const { rows } = await this.#clients[0].query(
      "select to_regclass(each)::text as name from unnest($1::text[]) each",
      [this.#tables.map(({ name }) => sql.quoted(name))],
    );
    const names = rows.map(({ name }) => name);
    const found = this.#tables.flatMap((table, place) => problems(table, described[place], names));
    if (found.length > 0) throw new MoveError(found.join("\n"));
    if ((await this.#countOf(this.#clients[count - 1])) > 0) {
      throw new MoveError(`${shardName(count - 1)} has rows already, and no move brought them: empty its tables first`);
    }
  }

  /** What each table is like in each database; keeps its columns. */
  async #describe(count) {
    const described = [];
    for (const table of this.#tables) {
      const found = [];
      for (const client of this.#of(count))
        found.push((await client.query(sql.DESCRIPTION, [sql.quoted(table.name), table.column])).rows[0]);
      table.columns = found[0]?.columns;
      described.push(found);
    }
    return described;
  }

  async #setState(ring, movingTo, buckets, count) {
    for (const client of this.#of(count)) await client.query(sql.setState, [ring, movingTo, buckets]);
  }

  /** Until every worker has looked, or found that what it knows is too old. */
  async #everyoneKnows() {
    this.#tell({ doing: "waiting until every worker knows", seconds: this.#settle / 1_000 });
    await sleep(this.#settle);
  }

  async #leftovers(states) {
    for (const [place, client] of this.#clients.entries()) {
      if (!states[place]) continue;
      const { rows } = await client.query("select to_regclass('expressway_kit.shard_buckets') is not null as there");
      if (rows[0].there) return true;
    }
    return false;
  }

  async #clean(count) {
    for (const client of this.#of(count)) {
      const { rows } = await client.query(sql.guarded);
      for (const { name } of rows)
        await this.#patiently(client, () => client.query(`drop trigger ${sql.TRIGGER} on ${name}`));
      await transaction(client, () => client.query(sql.cleanUp));
    }
  }

  /** With a table's lock, for which others aren't kept waiting. */
  #patiently(client, work) {
    return this.#again(() =>
      transaction(client, async () => {
        await client.query(`set local lock_timeout = ${LOCK_WAIT}`);
        await work();
      }),
    );
  }

  async #again(work) {
    const deadline = performance.now() + PATIENCE;
    for (let tries = 0; ; tries += 1) {
      try {
        return await work(tries);
      } catch (error) {
        if (!AGAIN.has(error.code)) throw error;
        if (performance.now() > deadline)
          throw new MoveError(`a transaction of the app has a lock for more than ${PATIENCE / 1_000} s`, {
            cause: error,
          });
        await sleep(LOCK_WAIT * (1 + Math.random()));
      }
    }
  }

  #of(count) {
    return this.#clients.slice(0, count);
  }

  #result(state, from, to, keys, buckets = 0) {
    return {
      state,
      from,
      to,
      keys,
      rows: this.#rows,
      buckets,
      longestWait: Math.round(this.#longest),
      seconds: Math.round((performance.now() - this.#began) / 100) / 10,
    };
  }
}

/** [{name, column}] of what package.json says. */
export function namedTables(tables) {
  const entries = Object.entries(tables ?? {});
  if (entries.length === 0)
    throw new MoveError(
      "no table is named: package.json's expressway.shards has them, each with the column of its key",
    );
  for (const [name, column] of entries) {
    if (!NAME.test(name)) throw new MoveError(`${name} is no name of a table`);
    if (typeof column !== "string" || !/^[A-Za-z_][\w$]*$/.test(column))
      throw new MoveError(`${column} is no name of ${name}'s column`);
  }
  return entries.map(([name, column]) => ({ name, column }));
}

async function stateOf(client) {
  const { rows } = await client.query("select to_regclass('expressway_kit.shards') is not null as there");
  if (!rows[0].there) return null;
  return (await client.query("select ring, moving_to, buckets from expressway_kit.shards")).rows[0] ?? null;
}

async function transaction(client, work) {
  await client.query("begin");
  try {
    const result = await work();
    await client.query("commit");
    return result;
  } catch (error) {
    await client.query("rollback").catch(() => {});
    throw error;
  }
}
