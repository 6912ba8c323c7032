// The cache on a real cluster: keys of all shards, their failovers, and a slot that moves.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createCache } from "@expressway/kit/cache";
import { Redis } from "ioredis";
import { now } from "../../test/clock.js";
import { send, start, waitUntil } from "../../test/processes.js";
import { Keys, slotOf } from "../cache-keys.js";
import { redisCluster } from "./cluster.js";

// A lease that outlasts any host.
const PATIENT = { timeout: 2_000, wait: 20_000, lease: 60_000 };
let namespaces = 0;
let cluster;

before(async () => {
  cluster = await redisCluster();
});
after(() => cluster.end());

function inCluster(t, url = `redis://127.0.0.1:${cluster.primaries[0].port}`) {
  Object.assign(process.env, { REDIS_URL: url, REDIS_CLUSTER: "true" });
  t.after(() => {
    delete process.env.REDIS_URL;
    delete process.env.REDIS_CLUSTER;
  });
}

/** As many workers as asked for, each with a client of its own. */
async function workers(t, count, options = {}) {
  namespaces += 1;
  inCluster(t);
  const said = [];
  const made = Array.from({ length: count }, () =>
    createCache(Redis, { namespace: `test${namespaces}`, jitter: 0, ...PATIENT, log: (line) => said.push(line), ...options }),
  );
  for (const cache of made) t.after(() => cache.close());
  await waitUntil(() => made.every((cache) => cache.snapshot().redis === "ready"), "connected");
  return Object.assign(made, { said, keys: new Keys(`test${namespaces}:v1`, true) });
}

const shardOf = (slot) => Math.floor((slot * 3) / 16_384);
const names = (count) => Array.from({ length: count }, (_, i) => `k${i}`);
const told = ({ value, from }) => `${from} ${value}`;

/** End a node as kill -9 does, until the test has ended. */
async function kill(t, node) {
  t.after(async () => {
    await node.start();
    await cluster.whole();
  });
  await node.stop();
}

test("a key is in the slot that Redis says", async () => {
  for (const key of ["123456789", "{shop:v2:17}:items:5", "{shop:v2:17}", "a{}{b}", "ä{ö}", ""]) {
    assert.equal(slotOf(key), await cluster.primaries[0].ask("KEYSLOT", key), key);
  }
});

test("a cache's keys are spread evenly over the shards, and each reads and writes its own", async (t) => {
  const caches = await workers(t, 1);
  const [cache] = caches;
  const shards = Object.groupBy(names(30_000), (key) => shardOf(slotOf(caches.keys.name(key))));
  for (const [shard, { length }] of Object.entries(shards)) assert.ok(Math.abs(length - 10_000) < 1_500, `${shard}: ${length}`);

  const seen = [];
  for (const round of ["miss", "hit"]) {
    for (const key of names(100)) seen.push([round, key, await cache.read(key, async () => key)]);
  }
  await cache.get("none", async () => undefined);

  for (const [round, key, found] of seen) assert.deepEqual(found, { value: key, from: round });
  assert.deepEqual(await cache.read("none", async () => "row"), { value: null, from: "hit" });
  for (const { redis } of cluster.primaries) assert.ok((await redis.dbsize()) > 10, "every shard has some");
  assert.deepEqual(Object.values(cache.snapshot().shards).map(({ redis, slots }) => [redis, slots > 5_000]), Array(3).fill(["ready", true]));
});

test("a hit is one script and one GET, of the same shard", async (t) => {
  const [cache] = await workers(t, 1);
  await cache.get("k", async () => "row");
  await cache.get("k", async () => "row");
  for (const { redis } of cluster.primaries) await redis.config("RESETSTAT");

  for (let i = 0; i < 50; i += 1) await cache.get("k", async () => "row");

  const counted = await Promise.all(cluster.primaries.map(async ({ redis }) => redis.info("commandstats")));
  const calls = (name) => counted.map((text) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(text)?.[1] ?? 0));
  const [asked] = [...calls("get").keys()].filter((shard) => calls("get")[shard] > 0);
  assert.deepEqual([calls("evalsha"), calls("get")], Array(2).fill([0, 1, 2].map((shard) => (shard === asked ? 50 : 0))));
});

test("parallel misses on several workers are one read of the database for each key", async (t) => {
  const caches = await workers(t, 3);
  const reads = new Map();
  const load = (key) => async () => {
    reads.set(key, (reads.get(key) ?? 0) + 1);
    await sleep(50);
    return key;
  };

  const seen = await Promise.all(Array.from({ length: 900 }, (_, i) => caches[i % 3].get(`k${i % 30}`, load(`k${i % 30}`))));

  assert.deepEqual([...reads.values()], Array(30).fill(1));
  assert.deepEqual(new Set(seen), new Set(names(30)));
});

test("who asks after a write gets nothing older, and whoever read before it stores nothing", async (t) => {
  const [writer, reader] = await workers(t, 2);
  for (const key of names(20)) {
    let row = "old";
    const slow = async () => {
      const seen = row;
      await sleep(20);
      return seen;
    };
    const before = reader.get(key, slow);
    await sleep(10);

    row = "new";
    await writer.invalidate(key, "another", `${key}+`);

    assert.equal(await reader.get(key, slow), "new");
    await before;
    assert.equal(told(await writer.read(key, slow)), "hit new");
  }
});

test("what all were told to forget is read anew, once, on all shards, and whoever read before stores nothing", async (t) => {
  const [cache, other] = await workers(t, 2);
  for (const key of names(30)) await cache.get(key, async () => "first");
  let reading = false;
  const slow = other.get("slow", async () => {
    reading = true;
    await sleep(100);
    return "first";
  });
  await waitUntil(() => reading, "it reads");

  await cache.invalidateAll();

  const reads = new Map();
  const load = (key) => async () => {
    reads.set(key, (reads.get(key) ?? 0) + 1);
    await sleep(300);
    return "second";
  };
  const knows = names(30).map((key) => cache.get(key, load(key)));
  await sleep(100); // it has leases now, and the other one believes in what counted before
  const seen = await Promise.all([...knows, ...names(30).map((key) => other.get(key, load(key)))]);
  await slow;

  assert.deepEqual(new Set(seen), new Set(["second"]));
  assert.deepEqual([...reads.values()], Array(30).fill(1), "by the worker that knew and the one that didn't");
  assert.equal(await cache.get("slow", async () => "second"), "second");
});

test("whoever reads after a write is told how far a replica must have come", async (t) => {
  const at = { position: "00000000000000b0" };
  const [writer, reader] = await workers(t, 2, { position: () => at.position });

  await writer.invalidate("k");
  assert.equal(await reader.get("k", async (position) => position), "00000000000000b0");
  at.position = "00000000000000c0";
  await writer.invalidateAll();
  for (const key of ["k", "another"]) assert.equal(await reader.get(key, async (position) => position), "00000000000000c0");
});

test("the sample app takes a cluster by what its environment says, and tells each shard's state", async (t) => {
  inCluster(t);
  const app = await start(t, new URL("../../server.js", import.meta.url).pathname, { DATABASE_URL: "" });
  const cache = async () => JSON.parse((await send(app, "/readyz?verbose")).body).parts.cache;

  await waitUntil(async () => (await cache()).redis === "ready", "connected");
  assert.deepEqual(Object.values((await cache()).shards).map(({ redis, breaker }) => `${redis} ${breaker}`), Array(3).fill("ready closed"));
});

test("a namespace with braces is refused", async (t) => {
  inCluster(t);
  assert.throws(() => createCache(Redis, { namespace: "a{b}" }), /braces/);
});

test("while a slot moves to another shard, hits go on, none older than a write, and nobody has to do without", async (t) => {
  const caches = await workers(t, 2);
  const [writer, reader] = caches;
  await writer.invalidateAll(); // so that the generation is a key too
  const slot = slotOf(caches.keys.name("k0"));
  const keys = names(30_000).filter((key) => slotOf(caches.keys.name(key)) === slot).slice(0, 20);
  const rows = new Map(keys.map((key) => [key, 0]));
  const found = { old: 0, from: {}, rounds: 0 };
  let moving = true;
  t.after(() => {
    moving = false;
  });
  const traffic = (async () => {
    for (; moving; found.rounds += 1) {
      for (const key of keys) {
        rows.set(key, rows.get(key) + 1);
        const acknowledged = rows.get(key);
        await writer.invalidate(key);
        for (const cache of [reader, writer]) {
          const { value, from } = await cache.read(key, async () => rows.get(key));
          found.from[from] = (found.from[from] ?? 0) + 1;
          if (value < acknowledged) found.old += 1;
        }
      }
    }
  })();
  const more = async () => {
    const { rounds } = found;
    await waitUntil(() => found.rounds > rounds + 2, "they go on");
  };
  const [from] = await cluster.shard(slot);
  const to = cluster.primaries.find((each) => each !== from);

  await more();
  const moved = await cluster.move(slot, to, more);
  await more();
  moving = false;
  await traffic;

  assert.ok(moved > keys.length / 2, `${moved}`);
  assert.equal(found.old, 0);
  assert.deepEqual(Object.keys(found.from).sort(), ["hit", "miss"]);
  assert.equal(writer.snapshot().owed, 0);
});

test("a primary is killed: reads go on, the other shards' from the cache, none older than its last write, and it heals", async (t) => {
  const caches = await workers(t, 2, { timeout: 1_000, wait: 1_000, lease: 2_000, ttl: 600_000 });
  const { keys } = caches;
  const [writer, reader] = caches;
  const [primary, replica] = await cluster.shard(slotOf(keys.name("k0")));
  const owners = new Map();
  for (const key of names(24)) owners.set(key, (await cluster.shard(slotOf(keys.name(key))))[0]);
  const rows = new Map(names(24).map((key) => [key, 0]));
  const found = { failed: [], old: [], slowest: 0, others: {}, rounds: 0 };
  const readAll = async () => {
    for (const [key, owner] of owners) {
      if (found.rounds % 3 === 0) {
        rows.set(key, rows.get(key) + 1);
        await writer.invalidate(key);
      }
      const acknowledged = rows.get(key);
      const began = now();
      const { value, from } = await writer.read(key, async () => rows.get(key));
      found.slowest = Math.max(found.slowest, now() - began);
      if (value < acknowledged) found.old.push(key);
      if (owner !== primary) found.others[from] = (found.others[from] ?? 0) + 1;
    }
  };
  let on = true;
  t.after(() => {
    on = false;
  });
  const traffic = (async () => {
    for (; on; found.rounds += 1) await readAll().catch((error) => found.failed.push(error.message));
  })();
  const more = async () => {
    const { rounds } = found;
    await waitUntil(() => found.rounds > rounds + 5, "they go on");
  };
  await more();
  found.others = {};

  await kill(t, primary);
  await waitUntil(() => caches.every((cache) => cache.snapshot().redis !== "ready"), "seen");
  assert.deepEqual(Object.values(writer.snapshot().shards).map(({ redis }) => redis).sort(), ["away", "ready", "ready"]);
  await cluster.replace(primary);
  await waitUntil(async () => (await replica.redis.role())[0] === "master", "the others have voted");
  const voted = now();
  await waitUntil(() => caches.every((cache) => cache.snapshot().redis === "ready"), "healed");
  const healed = now() - voted;
  await more();
  on = false;
  await traffic;

  assert.deepEqual([found.failed, found.old], [[], []]);
  assert.ok(found.slowest < 2_500, `the slowest read: ${found.slowest} ms`);
  assert.ok(healed < 7_000, `${healed} ms`);
  assert.ok((found.others.bypass ?? 0) < found.others.hit / 20, `${JSON.stringify(found.others)}: hits, but for a busy machine`);
  assert.equal((await reader.read("k0", async () => rows.get("k0"))).from, "hit");
  assert.equal((await cluster.shard(slotOf(keys.name("k0")), replica))[0], replica, "from the one that took over");
  assert.match(caches.said.join("\n"), /cache unavailable[^]*available again/);
});

test("what only a killed primary was told is told to the replica that took over", async (t) => {
  const caches = await workers(t, 2, { ttl: 600_000 });
  const { keys } = caches;
  const [writer, reader] = caches;
  const [primary, replica] = await cluster.shard(slotOf(keys.name("k")));
  await reader.get("k", async () => "old");
  await replica.redis.readonly();
  await waitUntil(async () => (await replica.redis.hget(keys.name("k"), "value")) === '"old"', "replicated");
  // The replica is kept out, and hears no more. Connections that are open go on.
  primary.redis.options.password = "other";
  await primary.redis.config("SET", "requirepass", "other");
  await primary.redis.call("CLIENT", "KILL", "TYPE", "replica");

  await writer.invalidate("k");
  primary.redis.options.password = undefined;
  await kill(t, primary);
  await replica.ask("FAILOVER", "TAKEOVER"); // as others' votes have it do, but now: what was told is known for 10 s
  const seen = new Set();
  await waitUntil(async () => {
    const found = [];
    for (const cache of [writer, reader]) found.push(await cache.read("k", async () => "new"));
    for (const { value } of found) seen.add(value);
    return found.every(({ from }) => from === "hit");
  }, "read from the one that took over");

  assert.deepEqual(seen, new Set(["new"]));
});
