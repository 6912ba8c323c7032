// A shard is added to real databases while others write: nothing lost, nothing twice, nothing failed.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { moveKeys } from "@expressway/kit/move";
import { createShards } from "@expressway/kit/shards";
import pg from "pg";
import { waitUntil } from "../../test/processes.js";
import { ringOf } from "../ring.js";
import { PATIENT, postgresServer } from "./real.js";

const TABLES = { orders: "user_key", lines: "user_key" };
const SCHEMA = `
create table orders (id uuid primary key default gen_random_uuid(), user_key text not null, number integer not null,
  price numeric, at timestamptz default now(), raw bytea, twice integer generated always as (number * 2) stored);
create index on orders (user_key);
create table lines (order_id uuid references orders, user_key text not null, what jsonb);
create index on lines (user_key)`;
const KEYS = Array.from({ length: 400 }, (_, i) => `user:${i}`);
const LATE = 200;
// Workers look once a second, if the host lets them.
const QUICK = { tables: TABLES, settle: 4_000 };

let server;
let names = 0;

before(async () => {
  server = await postgresServer();
});
after(() => server.end());

/** Databases of one server, and the variable with the first `told` of them. */
async function databases(t, count, told = count, schema = SCHEMA) {
  names += 1;
  const urls = [];
  for (let place = 0; place < count; place += 1) {
    await server.sql(`create database of_${names}_${place}`);
    urls.push(server.url().replace(/postgres$/, `of_${names}_${place}`));
    await on(urls[place], schema);
  }
  const variable = `SHARDS_${names}`;
  process.env[variable] = urls.slice(0, told).join(",");
  t.after(() => delete process.env[variable]);
  return { variable, urls, tell: (many) => (process.env[variable] = urls.slice(0, many).join(",")) };
}

async function on(url, text, values) {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

function shardsOf(t, variable, options) {
  const shards = createShards(pg, { variable, log: () => {}, pool: PATIENT, ...options });
  t.after(() => shards.end());
  return shards;
}

/** Writes numbered orders, and reads each back at once, until it is stopped; knows what was acknowledged. */
function writer(shards, id) {
  const found = { acknowledged: [], failures: [], stale: 0, on: true };
  const run = async (lane) => {
    for (let n = 0; found.on; n += 1) {
      const key = KEYS[(n * 7 + lane * 131 + id * 17) % KEYS.length];
      const number = (id * 10 + lane) * 1_000_000 + n;
      try {
        const database = shards.for(key);
        if (n % 2 === 0) {
          await database.write("insert into orders (user_key, number, price, raw) values ($1, $2, 1.10, '\\x00ff')", [
            key,
            number,
          ]);
        } else {
          await database.write(async (client) => {
            const { rows } = await client.query("insert into orders (user_key, number) values ($1, $2) returning id", [
              key,
              number,
            ]);
            await client.query("insert into lines values ($1, $2, '{\"a\": [1, 2]}')", [rows[0].id, key]);
          });
        }
        found.acknowledged.push(`${key} ${number}`);
        const { rows } = await database.read(
          "select count(*)::int as seen from orders where user_key = $1 and number = $2",
          [key, number],
        );
        if (rows[0].seen !== 1) found.stale += 1;
      } catch (error) {
        found.failures.push(error);
      }
    }
  };
  const lanes = [0, 1].map(run);
  found.stop = async () => {
    found.on = false;
    await Promise.all(lanes);
  };
  return found;
}

/** Every order that is anywhere. */
async function orders(urls) {
  const rows = await Promise.all(urls.map((url) => on(url, "select user_key || ' ' || number as it from orders")));
  return rows.map((each) => each.map(({ it }) => it));
}

async function assertAllThere(urls, ...writers) {
  for (const { failures, stale, acknowledged } of writers) {
    assert.deepEqual(failures.map(String), []);
    assert.equal(stale, 0, "reads of one's own writes");
    assert.ok(acknowledged.length > 100, `${acknowledged.length} writes`);
  }
  const all = writers.flatMap(({ acknowledged }) => acknowledged);
  assert.deepEqual((await orders(urls)).flat().sort(), all.sort());
}

/** As a fleet does: what is there is recorded, then one more database is made, and its address told. */
async function begun(t, writers = 2) {
  const { variable, urls, tell } = await databases(t, 3, 2);
  const recorded = await moveKeys(pg, { ...QUICK, variable });
  assert.deepEqual([recorded.state, recorded.from, recorded.to], ["recorded", 2, 3]);
  tell(3);
  const writing = [];
  t.after(() => Promise.all(writing.map((each) => each.stop()))); // before what they write to ends
  const workers = Array.from({ length: writers }, () => shardsOf(t, variable));
  writing.push(...workers.map((shards, id) => writer(shards, id + 1)));
  const keys = () => new Set(writing.flatMap(({ acknowledged }) => acknowledged.map((each) => each.split(" ")[0])));
  await waitUntil(() => keys().size === KEYS.length, "every key has rows");
  return { variable, urls, workers, writing };
}

test("2 shards become 3 under load: nothing is lost, twice or failed, and a third of the keys has moved", async (t) => {
  const { variable, urls, workers, writing } = await begun(t);
  assert.deepEqual(await orders([urls[2]]), [[]], "a shard that nobody moved keys to has none");

  const moved = await moveKeys(pg, { ...QUICK, variable });
  await sleep(300);
  const held = await orders(urls);
  const finished = await moveKeys(pg, { ...QUICK, variable, action: "finish" });
  await sleep(1_200);
  await Promise.all(writing.map((each) => each.stop()));

  t.diagnostic(JSON.stringify(moved));
  await assertAllThere(urls, ...writing);
  assert.equal(moved.state, "moved");
  assert.equal(moved.keys.all, KEYS.length);
  assert.ok(moved.keys.moved > 0.28 * KEYS.length && moved.keys.moved < 0.39 * KEYS.length, `${moved.keys.moved}`);
  assert.ok(held[2].length > 0 && moved.rows > 0);
  assert.equal(finished.state, "finished");
  // Each row is where its key says, and what a move needs is gone.
  for (const [place, found] of (await orders(urls)).entries()) {
    assert.deepEqual(new Set(found.map((each) => workers[0].nameOf(each.split(" ")[0]))), new Set([`shard-${place}`]));
  }
  for (const url of urls) {
    const [state] = await on(
      url,
      "select ring, moving_to, to_regclass('expressway_kit.shard_keys') as keys from expressway_kit.shards",
    );
    assert.deepEqual(state, { ring: 3, moving_to: null, keys: null });
    assert.deepEqual(await on(url, "select tgname from pg_trigger where not tgisinternal"), []);
  }
  await assert.rejects(moveKeys(pg, { ...QUICK, variable, action: "undo" }), /none to undo/);
  const next = await moveKeys(pg, { ...QUICK, variable });
  assert.deepEqual([next.state, next.from, next.to], ["recorded", 3, 4]);
});

test("a move that is killed is gone on with, and one killed between its two commits leaves nothing twice", async (t) => {
  const { variable, urls, writing } = await begun(t);
  await killed(t, variable, urls);
  assert.ok((await orders([urls[2]]))[0].length > 0);
  await leaveCopies(urls);

  const moved = await moveKeys(pg, { ...QUICK, variable });
  await moveKeys(pg, { ...QUICK, variable, action: "finish" });
  await Promise.all(writing.map((each) => each.stop()));

  await assertAllThere(urls, ...writing);
  assert.ok(moved.keys.moved > 0.28 * KEYS.length, `${moved.keys.moved}`);
});

test("a move that is half done is undone under load: every key is back, and nothing lost or twice", async (t) => {
  const { variable, urls, workers, writing } = await begun(t);
  await killed(t, variable, urls);
  const before = (await orders([urls[2]]))[0].length;
  await assert.rejects(moveKeys(pg, { ...QUICK, variable, action: "finish" }), /haven't moved yet/);
  // Keys that nobody had before their buckets moved.
  for (let number = 0; number < LATE; number += 1) {
    await workers[0]
      .for(`late:${number}`)
      .write("insert into orders (user_key, number) values ($1, $2)", [`late:${number}`, number]);
    writing[0].acknowledged.push(`late:${number} ${number}`);
  }

  const undone = await moveKeys(pg, { ...QUICK, variable, action: "undo" });
  await sleep(300);
  await Promise.all(writing.map((each) => each.stop()));

  await assertAllThere(urls, ...writing);
  assert.deepEqual([undone.state, undone.keys], ["undone", { moved: 0, all: KEYS.length + LATE }]);
  assert.ok(before > 0 && undone.rows >= before, `${undone.rows} of ${before}`);
  assert.deepEqual(await orders([urls[2]]), [[]]);
  assert.deepEqual(new Set(KEYS.map((key) => workers[0].nameOf(key))), new Set(["shard-0", "shard-1"]));
});

test("whoever knows of no move can't write a row where it is no more", async (t) => {
  const { variable, urls } = await databases(t, 3, 2);
  await moveKeys(pg, { ...QUICK, variable });
  const key = KEYS.find((each) => owner(each, 2) === "shard-0" && owner(each, 3) === "shard-2");
  const other = KEYS.find((each) => owner(each, 2) === "shard-0" && owner(each, 3) === "shard-0");
  await on(urls[0], "insert into orders (user_key, number) values ($1, 1)", [key]);
  const late = new pg.Client(urls[0]);
  await late.connect();
  t.after(() => late.end());
  await late.query("begin; select 1"); // before the move
  process.env[variable] = urls.join(",");

  await moveKeys(pg, { ...QUICK, variable, settle: 0 });

  for (const text of [
    "insert into orders (user_key, number) values ($1, 2)",
    "update orders set user_key = $1, number = 3",
  ]) {
    await on(urls[0], "insert into orders (user_key, number) values ($1, 1)", [other]);
    await assert.rejects(on(urls[0], text, [key]), {
      code: "XS001",
      message: "the row's key has moved to another shard",
    });
  }
  await assert.rejects(late.query("insert into orders (user_key, number) values ($1, 2)", [key]), { code: "XS001" });
  assert.deepEqual(
    (await on(urls[2], "select number from orders where user_key = $1", [key])).map(({ number }) => number),
    [1],
  );
});

test("a transaction that is older than the move of its key fails at a stricter isolation", async (t) => {
  const { variable, urls } = await databases(t, 3, 2);
  await moveKeys(pg, { ...QUICK, variable });
  const key = KEYS.find((each) => owner(each, 2) === "shard-0" && owner(each, 3) === "shard-2");
  const late = new pg.Client(urls[0]);
  await late.connect();
  t.after(() => late.end());
  process.env[variable] = urls.join(",");
  let opened;
  await moveKeys(pg, {
    ...QUICK,
    variable,
    settle: 3_000,
    tell: ({ doing }) => {
      if (doing.startsWith("waiting")) opened = late.query("begin isolation level repeatable read; select 1");
    },
  });
  await opened;

  await assert.rejects(late.query("insert into orders (user_key, number) values ($1, 2)", [key]), { code: "40001" });
});

test("a worker that isn't told of the new shard goes on with the keys that it can reach", async (t) => {
  const { variable, urls } = await databases(t, 3, 2);
  await moveKeys(pg, { ...QUICK, variable });
  const shards = shardsOf(t, variable);
  process.env[variable] = urls.join(",");
  await moveKeys(pg, { ...QUICK, variable });
  const [there, here] = ["shard-2", "shard-0"].map((name) => KEYS.find((key) => owner(key, 3) === name));

  await shards.for(here).write("insert into orders (user_key, number) values ($1, 1)", [here]);
  await assert.rejects(shards.for(there).read("select 1"), /shard-2 has no address in SHARDS_\d+/);
});

test("a read across all shards leaves out the one that is to come, and a migration doesn't", async (t) => {
  const { variable, urls } = await databases(t, 3, 2);
  await moveKeys(pg, { ...QUICK, variable });
  process.env[variable] = urls.join(",");
  const shards = shardsOf(t, variable);
  const named = (options) => shards.each(async (_database, name) => name, options);

  assert.deepEqual(await named(), ["shard-0", "shard-1"]);
  assert.deepEqual(await named({ all: true }), ["shard-0", "shard-1", "shard-2"]);
  await moveKeys(pg, { ...QUICK, variable });
  await waitUntil(async () => (await named()).length > 2, "it has looked again");
  assert.deepEqual(await named(), ["shard-0", "shard-1", "shard-2"]);
});

test("one database becomes the first of two", async (t) => {
  const { variable, urls } = await databases(t, 2, 1);
  await on(urls[0], "insert into orders (user_key, number) select key, 1 from unnest($1::text[]) key", [KEYS]);
  await moveKeys(pg, { ...QUICK, variable, settle: 0 });
  process.env[variable] = urls.join(",");
  await moveKeys(pg, { ...QUICK, variable, settle: 0 });

  const { keys } = await moveKeys(pg, { ...QUICK, variable, settle: 0, action: "finish" });

  assert.ok(keys.moved > 0.42 * KEYS.length && keys.moved < 0.58 * KEYS.length, `${keys.moved}`);
  const [zero, one] = await orders(urls);
  assert.equal(zero.length + one.length, KEYS.length);
  assert.deepEqual(new Set(one.map((each) => owner(each.split(" ")[0], 2))), new Set(["shard-1"]));
});

test("a row arrives as it was: all that a type can hold, and what a column computes", async (t) => {
  const schema = `create table orders (user_key varchar(40) primary key, f float8, r real, n numeric, at timestamptz, i interval,
    b bytea, j json, jb jsonb, a text[], r2 int4range, "od""d" text, gone int, g int generated always as (1 + 1) stored);
    alter table orders drop column gone`;
  const { variable, urls } = await databases(t, 2, 1, schema);
  const key = KEYS.find((each) => owner(each, 2) === "shard-1");
  await on(
    urls[0],
    `insert into orders values ('${key}', 0.1 + 0.2, 'NaN', 1.500, 'infinity', '1 mon -3 days 04:05:06.7', '\\x00ff',
    '{"a":  1, "a": 2}', '{"z": 1e400}', array['a,"b', null, ''], '[1,5)', 'x')`,
  );
  const before = await on(urls[0], "select orders::text as it from orders");
  await moveKeys(pg, { tables: { orders: "user_key" }, variable, settle: 0 });
  process.env[variable] = urls.join(",");
  await moveKeys(pg, { tables: { orders: "user_key" }, variable, settle: 0 });

  assert.deepEqual(await on(urls[1], "select orders::text as it from orders"), before);
  assert.deepEqual(await on(urls[0], "select * from orders"), []);
});

test("rows that change on arrival stay where they were", async (t) => {
  const { variable, urls } = await databases(t, 2, 1);
  await on(urls[0], "insert into orders (user_key, number, price) select key, 1, 1.50 from unnest($1::text[]) key", [
    KEYS,
  ]);
  await moveKeys(pg, { ...QUICK, variable, settle: 0 });
  await on(
    urls[1],
    "create function less() returns trigger language plpgsql as $$ begin new.price = 0; return new; end $$",
  );
  process.env[variable] = urls.join(",");
  const arrives = moveKeys(pg, {
    ...QUICK,
    variable,
    settle: 3_000,
    tell: async ({ doing }) => {
      if (doing.startsWith("waiting"))
        await on(urls[1], "create trigger less before insert on orders for each row execute function less()");
    },
  });

  await assert.rejects(arrives, /is another on arrival, so it stays where it was/);
  assert.equal((await orders(urls)).flat().length, KEYS.length);
  assert.deepEqual((await orders(urls))[1], []);
});

test("what can't move is refused with every reason, and nothing changed", async (t) => {
  const { variable, urls } = await databases(
    t,
    3,
    2,
    `
    create table orders (id integer generated always as identity primary key, user_key text, other integer);
    create table refunds (order_id integer references orders on delete cascade);
    create function noted() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger noted after insert on orders for each row execute function noted()`,
  );
  await on(urls[2], "drop table refunds; alter table orders add more text");
  await moveKeys(pg, { tables: { orders: "user_key" }, variable });
  process.env[variable] = urls.join(",");
  const refused = async (tables, ...reasons) => {
    const error = await moveKeys(pg, { tables, variable, settle: 0 }).then(assert.fail, (failed) => failed);
    for (const reason of reasons) assert.match(error.message, reason);
  };

  await refused(
    { orders: "user_key", nothing: "key", refunds: "order_id" },
    /orders has other columns, or another order of them, on shard-2 than on shard-0/,
    /orders needs an index that begins with user_key/,
    /orders\.id counts by itself on each shard/,
    /orders has triggers, which rows that move would set off: noted/,
    /there is no table nothing on shard-0, shard-1, shard-2/,
    /there is no table refunds on shard-2/,
  );
  await refused({ orders: "other" }, /orders\.other is integer: a key is text/, /orders is referred to by refunds/);
  await refused({ orders: "none" }, /orders has no column none/);
  await refused({}, /no table is named/);
  await refused({ "orders; drop": "user_key" }, /no name of a table/);
  await refused({ orders: 'a"b' }, /no name of orders's column/);
  assert.deepEqual(
    await on(urls[0], "select ring, moving_to, to_regclass('expressway_kit.shard_keys') as keys from expressway_kit.shards"),
    [{ ring: 2, moving_to: null, keys: null }],
  );
});

test("a new shard that has rows already is refused, as is a second mover", async (t) => {
  const { variable, urls } = await databases(t, 2, 1);
  await moveKeys(pg, { ...QUICK, variable });
  process.env[variable] = urls.join(",");
  await on(urls[1], "insert into orders (user_key, number) values ('user:1', 1)");
  await assert.rejects(moveKeys(pg, { ...QUICK, variable }), /shard-1 has rows already/);
  await on(urls[1], "delete from orders");

  let second;
  await moveKeys(pg, {
    ...QUICK,
    variable,
    tell: ({ doing }) => {
      if (doing.startsWith("waiting"))
        second = assert.rejects(moveKeys(pg, { ...QUICK, variable }), /another process moves keys now/);
    },
  });
  await second;
});

const owner = (key, count) => ringOf(count).get(key);

test("PostgreSQL finds the keys that move as the ring does", async (t) => {
  const { variable, urls } = await databases(t, 3, 2);
  await moveKeys(pg, { ...QUICK, variable });
  process.env[variable] = urls.join(",");
  await moveKeys(pg, { ...QUICK, variable, settle: 0 });
  const keys = ["ä", "日本", " ", ...Array.from({ length: 20_000 }, (_, i) => `key-${i}`)];

  const rows = await on(
    urls[0],
    "select key from unnest($1::text[]) key where expressway_kit.shard_bucket(key) is not null",
    [keys],
  );

  assert.deepEqual(
    rows.map(({ key }) => key),
    keys.filter((key) => owner(key, 3) === "shard-2"),
  );
});

/** A move in a process of its own, which dies when some of the rows have moved. */
async function killed(t, variable, urls) {
  const folder = mkdtempSync(join(tmpdir(), "kit-move-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ expressway: { shards: TABLES } }));
  symlinkSync(fileURLToPath(new URL("../../node_modules", import.meta.url)), join(folder, "node_modules"));
  const child = fork(fileURLToPath(new URL("../move-shard.js", import.meta.url)), ["move", "--settle=4"], {
    cwd: folder,
    env: { ...process.env, DATABASE_SHARD_URLS: process.env[variable] },
    stdio: "ignore",
  });
  const ended = once(child, "exit");
  const moved = async () => {
    const [there] = await on(urls[0], "select to_regclass('expressway_kit.shard_buckets') is not null as it");
    if (!there.it) return 0;
    return (await on(urls[0], "select from expressway_kit.shard_buckets where moved")).length;
  };
  // A transaction keeps the bucket of a key, and so the move, from its end until that is killed.
  const late = new pg.Client(urls[1]);
  await late.connect();
  t.after(() => late.end());
  const prepared = "select to_regprocedure('expressway_kit.shard_enter(text)') is not null as it";
  await waitUntil(async () => (await late.query(prepared)).rows[0].it, "what a move needs is there");
  await late.query("begin");
  await late.query("select expressway_kit.shard_enter($1)", [KEYS.find((key) => owner(key, 2) === "shard-1" && owner(key, 3) === "shard-2")]);
  await waitUntil(async () => (await moved()) > 10, "some buckets have moved");
  child.kill("SIGKILL");
  assert.equal((await ended)[1], "SIGKILL");
  await late.query("rollback");
  const left = await on(urls[1], "select from expressway_kit.shard_buckets where not moved");
  assert.ok(left.length > 0, "it had not ended");
}

/** As one that was killed after the copy was committed, and before its source was: rows of a bucket that hasn't moved. */
async function leaveCopies(urls) {
  const rows = await on(
    urls[1],
    `select of::text as row from orders of join expressway_kit.shard_keys on key = user_key
     join expressway_kit.shard_buckets using (bucket) where not moved limit 20`,
  );
  assert.ok(rows.length > 0);
  for (const { row } of rows) {
    await on(
      urls[2],
      `set expressway.mover = 'on'; insert into orders (id, user_key, number)
      select (of.row).id, (of.row).user_key, (of.row).number from (select ${pg.escapeLiteral(row)}::orders as row) of`,
    );
  }
}
