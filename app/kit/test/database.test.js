// The database on a real primary and two real replicas: positions, lag, failover.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createDatabase } from "@expressway/kit/database";
import pg from "pg";
import { now } from "../../test/clock.js";
import { waitUntil } from "../../test/processes.js";
import { PATIENT, postgresServer, way } from "./real.js";

let primary;
let replicas;
let names = 0; // outside of requests, a process's positions are by the database's name

before(async () => {
  primary = await postgresServer();
  await primary.sql("create table rows (id integer generated always as identity primary key, text text unique)");
  replicas = await Promise.all([postgresServer(primary), postgresServer(primary)]);
});
after(() => Promise.all([primary, ...replicas].map((server) => server.end())));
beforeEach(async () => {
  await Promise.all(replicas.map((replica) => replica.sql("select pg_wal_replay_resume()")));
});

/** A database on these ways: the primary's, and the replicas'. */
async function setUp(t, options = {}, readers = replicas) {
  const road = await way(t, primary.port);
  const roads = await Promise.all(readers.map(({ port }) => way(t, port)));
  process.env.DATABASE_URL = primary.url(road.port);
  process.env.DATABASE_REPLICA_URLS = roads.map(({ port }) => primary.url(port)).join(",");
  t.after(() => {
    delete process.env.DATABASE_URL;
    delete process.env.DATABASE_REPLICA_URLS;
  });
  names += 1;
  const database = createDatabase(pg, { name: `test${names}`, log: () => {}, ...options });
  t.after(() => database.end());
  await waitUntil(() => database.snapshot().replicas.every(({ inRotation }) => inRotation), "in rotation");
  return { database, road, roads };
}

const rotation = (database) => database.snapshot().replicas.map(({ inRotation }) => inRotation);
const count = async (database, options) => (await database.read("select count(*)::int from rows", [], options)).rows[0].count;
const whose = async (database, options) => (await database.read("select pg_is_in_recovery() as it", [], options)).rows[0].it;
/** Whether a replica answers, as it does unless this host holds its probe up for a second. */
const byReplica = (database, options) => waitUntil(() => whose(database, options), "a replica answers");
const insert = (database, text) => database.write("insert into rows (text) values ($1) returning id", [text]);

test("reads go to the replicas, writes to the primary, and without replicas both do", async (t) => {
  const { database } = await setUp(t);
  await byReplica(database);
  assert.equal(await whose(database, { primary: true }), false);
  await insert(database, "a");
  await Promise.all(Array.from({ length: 20 }, () => whose(database, { after: "" })));

  const alone = createDatabase(pg, { replicaVariable: "NO_SUCH_VARIABLE" });
  t.after(() => alone.end());
  assert.equal(await whose(alone), false);
  await insert(alone, "b");
  assert.deepEqual(alone.snapshot().replicas, []);
});

test("nobody reads older than the own write, however far replicas are behind", async (t) => {
  const { database } = await setUp(t, { maxLag: 60_000 });
  for (const replica of replicas) await replica.sql("select pg_wal_replay_pause()");
  const before = await count(database, { primary: true });

  for (let i = 1; i <= 20; i += 1) {
    await insert(database, `own ${i}`);
    assert.equal(await count(database), before + i);
  }
  await waitUntil(() => rotation(database).every(Boolean), "they lag less than they may");

  for (const replica of replicas) await replica.sql("select pg_wal_replay_resume()");
  await byReplica(database); // which has caught up
  assert.equal(await count(database), before + 20);
});

test("a caller's position travels in its cookie, to another machine", async (t) => {
  const { database } = await setUp(t, { maxLag: 60_000, name: "main" });
  const other = createDatabase(pg, { maxLag: 60_000, log: () => {} });
  t.after(() => other.end());
  await waitUntil(() => rotation(other).every(Boolean), "in rotation");
  const machines = [];
  for (const each of [database, other]) {
    const server = createServer(async (request, response) => {
      if (request.method === "POST") await insert(each, request.url);
      response.end(JSON.stringify({ replica: await whose(each), rows: await count(each) }));
    }).listen(0, "127.0.0.1");
    t.after(() => server.close());
    await once(server, "listening");
    machines.push(`http://127.0.0.1:${server.address().port}`);
  }
  for (const replica of replicas) await replica.sql("select pg_wal_replay_pause()");

  const wrote = await fetch(`${machines[0]}/cookie`, { method: "POST", headers: { Connection: "close" } });
  const cookie = wrote.headers.get("set-cookie").split(";")[0];
  const mine = await wrote.json();
  const there = await (await fetch(machines[1], { headers: { Cookie: cookie, Connection: "close" } })).json();
  const stranger = await (await fetch(machines[1], { headers: { Connection: "close" } })).json();
  const made = await (await fetch(machines[1], { headers: { Cookie: "lsn=main.zzz~x", Connection: "close" } })).json();

  assert.match(cookie, /^lsn=main\.[0-9a-f]{16}$/);
  assert.deepEqual([mine.replica, there], [false, mine]);
  assert.deepEqual([stranger.replica, stranger.rows], [true, mine.rows - 1], "others' reads stay with the replicas");
  assert.deepEqual(made, stranger, "what isn't a position counts for nothing");
});

test("a replica that lags is out of rotation in time, and back when it has caught up", async (t) => {
  const { database } = await setUp(t, { interval: 500 });
  await replicas[0].sql("select pg_wal_replay_pause()");
  const began = now();
  const writing = setInterval(() => insert(database, null).catch(() => {}), 50);
  t.after(() => clearInterval(writing));

  await waitUntil(() => !rotation(database)[0], "out");
  const took = now() - began;
  assert.ok(took < 3_000, `${took} ms`);
  await waitUntil(() => `${rotation(database)}` === "false,true", "and no other");
  await replicas[0].sql("select pg_wal_replay_resume()");
  await waitUntil(() => rotation(database)[0], "back");
});

for (const [what, fail] of [
  ["refuses", (road) => road.cut()],
  ["hangs", (road) => Object.assign(road, { silent: true })],
]) {
  test(`a replica that ${what} is out of rotation in 3 s, and no read fails`, async (t) => {
    const { database, roads } = await setUp(t, { pool: { query_timeout: 700, connectionTimeoutMillis: 700 } });
    const failed = [];
    let [asked, answered] = [0, 0];
    const reading = setInterval(() => {
      if (asked - answered > 50) return; // a slow host would have ever more of them
      asked += 1;
      whose(database).catch((error) => failed.push(error.message)).finally(() => (answered += 1));
    }, 20);
    t.after(() => clearInterval(reading));

    const began = now();
    await fail(roads[0]);
    await waitUntil(() => !rotation(database)[0], "out");
    const took = now() - began;
    await sleep(1_000);
    clearInterval(reading);

    assert.ok(took < 3_000, `${took} ms`);
    assert.deepEqual(failed, []);
    assert.ok(asked > 5);
  });
}

test("a read that a replica doesn't answer is made on another one", async (t) => {
  const { database, roads } = await setUp(t, { interval: 20_000, pool: { query_timeout: 2_500 } });
  await byReplica(database);
  roads[0].silent = true;

  assert.equal(await whose(database), true);

  const { retries, replicaReads, replicas: seen } = database.snapshot();
  assert.deepEqual([retries, replicaReads], [1, 2]);
  assert.equal(seen.filter(({ inRotation }) => inRotation).length, 1, "one answer too late is enough");
});

test("a read that waits for a replica is made on another one as soon as that answers no probe", async (t) => {
  const { database, roads } = await setUp(t, { interval: 300 });
  await byReplica(database);
  roads[0].silent = true;
  const began = now();

  assert.deepEqual(await Promise.all([whose(database), whose(database), whose(database)]), [true, true, true]);

  const took = now() - began;
  assert.ok(took < 2_500, `${took} ms: a statement's own time is 4,000`);
  assert.ok(database.snapshot().retries > 0, "none of them was sent to the silent one");
});

test("a replica that broke off statements, and yet answered every probe, is read again", async (t) => {
  const { database } = await setUp(t, { interval: 200, pause: 500, pool: PATIENT }, [replicas[0]]);
  // On a replica longer than any host takes to break them off, elsewhere not at all.
  const statement = "select pg_sleep(case when pg_is_in_recovery() then 60 else 0 end)";
  const slow = Array.from({ length: 5 }, () => database.read(statement));
  const sleeping = "from pg_stat_activity where query like 'select pg_sleep%'";
  await waitUntil(async () => (await replicas[0].sql(`select 1 ${sleeping}`)).length === 5, "all of them are there");
  const open = waitUntil(() => database.snapshot().replicas[0].breaker === "open", "open");
  await replicas[0].sql(`select pg_terminate_backend(pid) ${sleeping}`);
  await Promise.all([open, ...slow]);

  await waitUntil(() => rotation(database)[0], "back");

  assert.equal(await whose(database, { after: "" }), true);
});

test("while the primary is gone, replicas are read, and writes wait for it", async (t) => {
  const { database, road } = await setUp(t, { patience: 20_000 });
  await byReplica(database); // which has all of it
  const had = await count(database);
  await road.cut();
  await waitUntil(() => database.snapshot().primary.connections === 0, "what died is known to");
  const write = insert(database, "waited");
  await sleep(300);
  assert.equal(await count(database, { after: "" }), had);
  await road.mend();
  await write;

  assert.equal(await count(database), had + 1);
  assert.ok(database.snapshot().retries > 0);
});

test("a write that waited long enough is an error, in time", async (t) => {
  const { database, road } = await setUp(t, { patience: 400 });
  await road.cut();
  const began = now();

  await assert.rejects(insert(database, "never"));

  const took = now() - began;
  assert.ok(took < 2_000, `${took} ms`);
});

test("a write whose answer was lost is not made twice", async (t) => {
  const { database, road } = await setUp(t, { pool: { query_timeout: 2_500 } });
  await insert(database, "connected");
  const had = await count(database, { primary: true });
  road.silent = true;
  road.passes = true;

  await assert.rejects(insert(database, "unknown"), /Query read timeout/);
  assert.equal(database.snapshot().primary.connections, 0, "nobody else is to wait for its answer");

  road.silent = false;
  assert.ok((await count(database, { primary: true })) <= had + 1);
});

test("a statement's own error is an error at once, and no reason to leave the server", async (t) => {
  const { database } = await setUp(t);
  await insert(database, "unique");

  for (let i = 0; i < 5; i += 1) await assert.rejects(insert(database, "unique"), { code: "23505" });
  await byReplica(database); // which has all of it
  await assert.rejects(database.read("insert into rows (text) values ('no')"), /read-only transaction/);

  const { primary: node, retries } = database.snapshot();
  assert.deepEqual([node.breaker, node.connections, retries], ["closed", 1, 0]);
});

test("a transaction is all or nothing, and its reader sees it", async (t) => {
  const { database } = await setUp(t);
  const had = await count(database, { primary: true });

  const found = await database.write(async (client) => {
    await client.query("insert into rows (text) values ('t1'), ('t2')");
    return "done";
  });
  await assert.rejects(
    database.write(async (client) => {
      await client.query("insert into rows (text) values ('t3')");
      throw new Error("the app's own");
    }),
    /the app's own/,
  );
  await insert(database, "t4");
  await assert.rejects(
    database.write(async (client) => {
      await client.query("insert into rows (text) values ('t1')").catch(() => {});
    }),
    /rolled back/,
  );

  assert.equal(found, "done");
  const [{ rows }] = await primary.sql("select count(*)::int as rows from rows");
  assert.equal(rows, had + 3, "as others see it");
  assert.equal(database.snapshot().primary.connections, 1, "its connection is used again");
});

test("replicas come and go with the variable", async (t) => {
  const { database } = await setUp(t);
  const both = process.env.DATABASE_REPLICA_URLS;

  process.env.DATABASE_REPLICA_URLS = both.split(",")[1];
  await waitUntil(() => rotation(database).length === 1, "one went");
  process.env.DATABASE_REPLICA_URLS = both;
  await waitUntil(() => rotation(database).length === 2 && rotation(database).every(Boolean), "and came back");
});

test("after a failover, writes go on without a restart, with every acknowledged one", async (t) => {
  const old = await postgresServer();
  await old.sql("create table rows (id integer generated always as identity primary key, text text unique)");
  const next = await postgresServer(old);
  await old.sql("alter system set synchronous_standby_names = '*'");
  await old.sql("select pg_reload_conf()");
  const standby = () => old.sql("select sync_state from pg_stat_replication");
  await waitUntil(async () => (await standby())[0]?.sync_state === "sync", "whoever writes waits for it");
  t.after(() => Promise.all([old.end(), next.end()]));
  const road = await way(t, old.port);
  process.env.DATABASE_URL = old.url(road.port);
  t.after(() => delete process.env.DATABASE_URL);
  const database = createDatabase(pg, { log: () => {}, patience: 60_000, pool: PATIENT });
  t.after(() => database.end());
  const acknowledged = [];
  const failed = [];
  const write = (text, inTransaction) => {
    if (!inTransaction) return insert(database, text);
    return database.write((client) => client.query("insert into rows (text) values ($1)", [text]));
  };
  let going = true;
  t.after(() => (going = false));
  const writers = Array.from({ length: 3 }, async (_, who) => {
    for (let i = 0; going; i += 1) {
      const text = `${who} ${i}`;
      await write(text, who === 0).then(() => acknowledged.push(text), (error) => failed.push(error.message));
      await sleep(5);
    }
  });
  await waitUntil(() => acknowledged.length > 20, "writing");

  await old.stop(); // without a word, as without power
  await sleep(300);
  road.to = next.port; // the name leads there before it takes writes
  await sleep(500);
  await next.sql("select pg_promote()");
  const then = acknowledged.length;
  await waitUntil(() => acknowledged.length > then + 20, "writing again");
  going = false;
  await Promise.all(writers);

  const there = new Set((await next.sql("select text from rows")).map(({ text }) => text));
  assert.deepEqual(acknowledged.filter((text) => !there.has(text)), []);
  assert.ok(failed.length <= writers.length, `only what was on its way: ${failed}`);
});
