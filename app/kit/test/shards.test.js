import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createShards } from "@expressway/kit/shards";
import pg from "pg";
import { PATIENT, postgresServer } from "./real.js";

let server;
let made = 0;

before(async () => {
  server = await postgresServer();
  for (const name of ["one", "two", "three"]) await server.sql(`create database ${name}`);
});
after(() => server.end());

/** Shards, each a database of one server. */
function shardsOf(t, ...names) {
  return shardsAs(t, "app", names);
}

function shardsAs(t, user, names, options = {}) {
  const url = server.url().replace("app@", `${user}@`);
  process.env.DATABASE_SHARD_URLS = names.map((name) => url.replace(/postgres$/, name)).join(",");
  t.after(() => delete process.env.DATABASE_SHARD_URLS);
  const shards = createShards(pg, { log: () => {}, patience: 0, pool: PATIENT, ...options });
  t.after(() => shards.end());
  return shards;
}

/** So many databases that nobody has used, each with a table. */
async function fresh(count) {
  made += 1;
  const names = Array.from({ length: count }, (_, place) => `fresh_${made}_${place}`);
  for (const name of names) {
    await server.sql(`create database ${name}`);
    await on(name, "create table users (key text)");
  }
  return names;
}

async function on(name, text) {
  const client = new pg.Client(server.url().replace(/postgres$/, name));
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const KEYS = Array.from({ length: 30_000 }, (_, i) => `user:${i}`);

test("a third shard takes a third of the keys, and no other key moves", (t) => {
  const [two, three] = [shardsOf(t, "one", "two"), shardsOf(t, "one", "two", "three")];

  const moved = KEYS.filter((key) => two.nameOf(key) !== three.nameOf(key));

  const share = moved.length / KEYS.length;
  assert.ok(share > 0.3 && share < 0.37, `${share}`);
  assert.deepEqual(new Set(moved.map((key) => three.nameOf(key))), new Set(["shard-2"]));
});

test("shards have about as many keys each", (t) => {
  const three = shardsOf(t, "one", "two", "three");

  for (const keys of Object.values(Object.groupBy(KEYS, (key) => three.nameOf(key)))) {
    assert.ok(keys.length > 0.3 * KEYS.length && keys.length < 0.37 * KEYS.length, `${keys.length}`);
  }
});

test("a key stays where it was when the library, or an address, is another", (t) => {
  const shards = shardsOf(t, "one", "two", "three");
  const where = () => ["user:1", "user:2", "user:3", "order:1", "ä", "x"].map((key) => shards.nameOf(key));
  const found = where();

  process.env.DATABASE_SHARD_URLS = process.env.DATABASE_SHARD_URLS.replaceAll("app@", "app:changed@");

  assert.deepEqual(found, ["shard-1", "shard-1", "shard-0", "shard-0", "shard-2", "shard-1"]);
  assert.deepEqual(where(), found);
});

test("a key's rows are on its shard, and reads across all are asked for", async (t) => {
  const shards = shardsOf(t, "one", "two", "three");
  await shards.each((database) => database.write("create table users (key text)"));
  const keys = KEYS.slice(0, 30);
  for (const key of keys) await shards.for(key).write("insert into users values ($1)", [key]);

  const found = await shards.each(async (database, name) => {
    const { rows } = await database.read("select key from users");
    return rows.map(({ key }) => [key, name]);
  });

  assert.deepEqual(new Map(found.flat()), new Map(keys.map((key) => [key, shards.nameOf(key)])));
  assert.deepEqual(Object.keys(shards.snapshot()), ["shard-0", "shard-1", "shard-2"]);
});

test("a shard that is added has no keys until a move brings them, whoever forgot to say so before", async (t) => {
  const names = await fresh(3);
  const before = shardsOf(t, ...names.slice(0, 2));
  for (const key of KEYS.slice(0, 30)) await before.for(key).write("insert into users values ($1)", [key]);

  const shards = shardsOf(t, ...names);

  for (const key of KEYS.slice(0, 30)) {
    const { rows } = await shards.for(key).read("select key from users where key = $1", [key]);
    assert.deepEqual(rows, [{ key }]);
  }
  assert.deepEqual(await shards.each(async (_database, name) => name), ["shard-0", "shard-1"]);
  assert.deepEqual(await on(names[2], "select to_regclass('expressway_kit.shards') as it"), [{ it: null }]);
});

test("workers that start at once record the same", async (t) => {
  const names = await fresh(2);
  const said = [];
  const workers = Array.from({ length: 8 }, () => shardsAs(t, "app", names, { log: (line) => said.push(line) }));

  await Promise.all(workers.map((shards) => shards.for("user:1").read("select 1")));

  assert.deepEqual(said, []);
  for (const name of names) assert.deepEqual(await on(name, "select ring from expressway_kit.shards"), [{ ring: 2 }]);
});

test("what the stack's master user makes later is where it would be without the kit", async (t) => {
  const names = await fresh(2);
  await server.sql("create role expressway login"); // as which a stack's app connects, unless it has a role of its own
  for (const name of names) await on(name, `grant create on database ${name} to expressway; grant create on schema public to expressway`);

  await shardsAs(t, "expressway", names).each((database) => database.write("create table later (key text)"));

  const where = "select schemaname from pg_tables where tablename in ('later', 'shards') order by 1";
  for (const name of names) assert.deepEqual((await on(name, where)).map((row) => row.schemaname), ["expressway_kit", "public"]);
});

test("a user that may not make a schema is served all the same, and the log says what to do", async (t) => {
  const names = await fresh(2);
  await server.sql("create role guest login");
  for (const name of names) await on(name, "grant all on users to guest");
  const said = [];
  const shards = shardsAs(t, "guest", names, { log: (line) => said.push(line) });

  await shards.for("user:1").write("insert into users values ('user:1')");
  await sleep(1_200); // one more look

  assert.equal(said.length, 1, said.join("\n"));
  assert.match(said[0], /can't be recorded \(permission denied .*\): do it with move-shard\.js before another is added/);
});

test("a shard that fails is named", async (t) => {
  const [one] = await fresh(1);
  const shards = shardsOf(t, one, "none");

  await assert.rejects(shards.each((database) => database.read("select 1")), /shard-1: .*"none" does not exist/);
});

test("no shards, and no key, are refused", (t) => {
  assert.throws(() => createShards(pg), /DATABASE_SHARD_URLS names no shard/);
  const shards = shardsOf(t, "one");
  assert.throws(() => shards.for(""), /isn't empty/);
  assert.throws(() => shards.for(undefined), /not undefined/);
});
