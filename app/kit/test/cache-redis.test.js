// The cache on a real Redis: its scripts, its clock, several workers, and a Redis that is slow or gone.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createCache } from "@expressway/kit/cache";
import { Redis } from "ioredis";
import { now } from "../../test/clock.js";
import { slowRow } from "../../test/fakes.js";
import { waitUntil } from "../../test/processes.js";
import { redisServer, way } from "./real.js";

// A lease that outlasts any host, where a test doesn't wait for its end, and a wait that doesn't outlast the lease.
const PATIENT = { timeout: 5_000, wait: 20_000, lease: 60_000 };
let namespaces = 0;
let server;

before(async () => {
  server = await redisServer();
});
after(() => server.stop());

/** As many workers as asked for, each with a connection of its own, and what they say of themselves. */
async function workers(t, count, options = {}, port = server.port) {
  namespaces += 1;
  process.env.REDIS_URL = `redis://127.0.0.1:${port}`;
  t.after(() => delete process.env.REDIS_URL);
  const said = [];
  const made = Array.from({ length: count }, () =>
    createCache(Redis, { namespace: `test${namespaces}`, jitter: 0, ...PATIENT, log: (line) => said.push(line), ...options }),
  );
  for (const cache of made) t.after(() => cache.close());
  await waitUntil(() => made.every((cache) => cache.snapshot().redis === "ready"), "connected");
  return Object.assign(made, { said });
}

/** A database of one row whose reads take a while. */
function row(value, takes = 30) {
  const found = { value, reads: 0, fails: null };
  found.load = async () => {
    found.reads += 1;
    const seen = found.value;
    await sleep(takes);
    if (found.fails) throw found.fails;
    return seen;
  };
  return found;
}

const told = ({ value, from }) => `${from} ${value}`;

test("1,000 parallel misses on 8 workers are one read of the database", async (t) => {
  const caches = await workers(t, 8);
  const one = row("row", 200);

  const reads = await Promise.all(Array.from({ length: 1_000 }, (_, i) => caches[i % 8].read("k", one.load)));

  assert.equal(one.reads, 1);
  assert.deepEqual(new Set(reads.map(({ value }) => value)), new Set(["row"]));
  assert.equal(reads.filter(({ from }) => from === "miss").length, 1);
});

test("a value is handed out for its ttl, and nothing for a shorter one", async (t) => {
  const [cache] = await workers(t, 1, { ttl: 60_000, negativeTtl: 100 });
  const [brief] = await workers(t, 1, { ttl: 100 });

  await cache.get("there", async () => "row");
  await cache.get("not", async () => undefined);
  await brief.get("there", async () => "row");
  await sleep(200);

  assert.deepEqual(await cache.read("there", async () => "new"), { value: "row", from: "hit" });
  assert.deepEqual(await cache.read("not", async () => "new"), { value: "new", from: "miss" });
  assert.deepEqual(await brief.read("there", async () => "new"), { value: "new", from: "miss" });
});

test("values that were read together expire at different times, none late", async (t) => {
  const [cache] = await workers(t, 1, { ttl: 100_000, jitter: 0.5 });
  await Promise.all(Array.from({ length: 50 }, (_, i) => cache.get(`k${i}`, async () => i)));

  const redis = new Redis(process.env.REDIS_URL);
  t.after(() => redis.disconnect());
  const left = await Promise.all(Array.from({ length: 50 }, (_, i) => redis.pttl(`test${namespaces}:v1:k${i}`)));

  assert.ok(Math.max(...left) <= 100_000, `${Math.max(...left)}`);
  assert.ok(Math.min(...left) > 40_000, `${Math.min(...left)}`);
  assert.ok(Math.max(...left) - Math.min(...left) > 20_000, `spread: ${left}`);
});

test("a stale value is handed out at once while one reader reads a new one", async (t) => {
  const caches = await workers(t, 2, { staleWhileRevalidate: 60_000 });
  await caches[0].get("k", async () => "old", { ttl: 50 });
  const one = slowRow("new");
  setTimeout(one.open, 10_000).unref(); // for who waits for it
  await sleep(80);

  const seen = await Promise.all(Array.from({ length: 20 }, (_, i) => caches[i % 2].read("k", one.load)));

  assert.deepEqual(new Set(seen.map(told)), new Set(["stale old"]));
  one.open();
  await waitUntil(async () => (await caches[1].get("k", one.load)) === "new", "read anew");
  assert.equal(one.reads, 1);
});

test("a stale value is handed out when the database fails, and not when it was forgotten", async (t) => {
  const [cache] = await workers(t, 1, { ttl: 50, staleIfError: 60_000 });
  const one = row("old", 1);
  await cache.get("k", one.load);
  await sleep(80);
  one.fails = new Error("down");

  assert.equal(told(await cache.read("k", one.load)), "stale old");
  assert.equal(told(await cache.read("k", one.load)), "stale old", "no lease is left to wait for");
  await cache.invalidate("k");
  await assert.rejects(cache.read("k", one.load), /down/);
  one.fails = null;
  assert.equal(told(await cache.read("k", one.load)), "miss old", "and then it works again");
});

test("another version, and what all were told to forget, is read anew", async (t) => {
  const [cache, other] = await workers(t, 2);
  const [next] = await workers(t, 1, { namespace: `test${namespaces}`, version: 2 });
  await cache.get("k", async () => "first");

  assert.equal(await next.get("k", async () => "other shape"), "other shape");
  assert.equal(await other.get("k", async () => "second"), "first");
  await cache.invalidateAll();
  assert.equal(await other.get("k", async () => "third"), "third");
  assert.equal(await next.get("k", async () => "again"), "other shape", "a version of its own");
});

test("a reader that began before all was forgotten stores nothing", async (t) => {
  const [cache, other] = await workers(t, 2);
  const one = row("old", 100);
  const reader = cache.get("k", one.load);
  await sleep(30);

  one.value = "new";
  await other.invalidateAll();
  const after = await cache.get("k", one.load);
  await reader;

  assert.equal(after, "new");
  assert.equal(await cache.get("k", async () => "third"), "new");
});

test("whoever reads after a write is told how far a replica must have come", async (t) => {
  const told = { position: "" };
  const [writer, reader] = await workers(t, 2, { position: () => told.position });
  const seen = [];
  const load = async (after) => seen.push(after);

  await reader.get("k", load);
  for (const position of ["00000000000000b0", "00000000000000a0"]) {
    told.position = position;
    await writer.invalidate("k");
    await reader.get("k", load);
  }
  told.position = "00000000000000c0";
  await writer.invalidateAll();
  await reader.get("k", load);
  await reader.get("another", load);

  const [b, c] = ["00000000000000b0", "00000000000000c0"];
  assert.deepEqual(seen, ["", b, b, c, c], "the furthest of its writes");
});

test("a read that failed leaves the position for the next", async (t) => {
  const [cache] = await workers(t, 1, { position: () => "00000000000000b0" });
  await cache.invalidate("k");
  await assert.rejects(cache.get("k", async () => Promise.reject(new Error("down"))), /down/);

  assert.equal(await cache.get("k", async (after) => after), "00000000000000b0");
});

test("a lease that its reader lost is not its to release or to fill", async (t) => {
  const caches = await workers(t, 2);
  const slow = slowRow("slow");
  const first = caches[0].get("k", slow.load, { lease: 80 });
  await waitUntil(() => slow.reads === 1, "it reads");
  const quick = row("quick", 1);

  assert.equal(await caches[1].get("k", quick.load), "quick", "after the lease ended, and before the reader did");
  slow.open();
  await first;
  assert.equal(await caches[1].get("k", async () => "third"), "quick");
});

test("a reader that died holds others up no longer than its lease, and one of them reads", async (t) => {
  const caches = await workers(t, 3);
  const dead = slowRow("dead");
  caches[0].get("k", dead.load, { lease: 150 }).catch(() => {});
  await waitUntil(() => dead.reads === 1, "it reads");
  const one = row("row");
  const began = Date.now();

  await Promise.all(Array.from({ length: 30 }, (_, i) => caches[1 + (i % 2)].get("k", one.load)));

  assert.equal(one.reads, 1);
  assert.ok(Date.now() - began < 10_000, `${Date.now() - began} ms`);
});

test("whose reader of a new value died, a stale one gets another reader", async (t) => {
  const caches = await workers(t, 2, { ttl: 50, staleWhileRevalidate: 600_000 });
  const dying = { held: { lease: 60_000 }, ended: { lease: 150 } };
  for (const key in dying) await caches[0].get(key, async () => "old");
  await sleep(80);
  for (const key in dying) await caches[0].get(key, () => new Promise(() => {}), dying[key]);
  const one = row("new");

  assert.equal(told(await caches[1].read("held", one.load)), "stale old");
  assert.equal(one.reads, 0, "it is being read");
  await waitUntil(async () => (await caches[1].get("ended", one.load)) === "new", "read anew");
});

test("a Redis that takes 500 ms costs a few requests 200 ms, and then none", async (t) => {
  const slow = await way(t, server.port);
  const [cache] = await workers(t, 1, { timeout: 200, pause: 3_000 }, slow.port);
  await cache.get("k", async () => "row");
  slow.delay = 500;
  const took = [];

  for (let i = 0; i < 30; i += 1) {
    const began = now();
    assert.equal(await cache.get("k", async () => "row"), "row");
    took.push(now() - began);
  }

  assert.ok(Math.max(...took) < 450, `the slowest: ${Math.max(...took)} ms`);
  assert.ok(took.filter((each) => each > 50).length <= 6, `slow ones: ${took.map(Math.round)}`);
  assert.equal(cache.snapshot().breaker, "open");

  slow.delay = 0;
  await waitUntil(async () => (await cache.read("k", async () => "row")).from === "hit", "it is asked again");
});

test("an answer that came too late leaves no lease for others to wait for", async (t) => {
  const slow = await way(t, server.port);
  const [late] = await workers(t, 1, { timeout: 50 }, slow.port);
  const [other] = await workers(t, 1, { namespace: `test${namespaces}` });
  const redis = new Redis(server.port);
  t.after(() => redis.disconnect());
  const scripts = async () => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1] ?? 0);
  await late.get("another", async () => "row"); // from now on Redis knows the script
  const before = await scripts();
  slow.delay = 300;

  assert.equal(told(await late.read("k", async () => "late")), "bypass late");
  await waitUntil(async () => (await scripts()) > before, "Redis has heard of it");
  const began = Date.now();
  assert.equal(await other.get("k", async () => "row"), "row");

  assert.ok(Date.now() - began < 15_000, `${Date.now() - began} ms, and a lease is waited for for 20,000`);
});

test("a write is told to a slow Redis all the same", async (t) => {
  t.mock.method(performance, "now", now);
  const slow = await way(t, server.port);
  const [writer] = await workers(t, 1, {}, slow.port);
  const [reader] = await workers(t, 1, { namespace: `test${namespaces}` });
  await reader.get("k", async () => "old");
  slow.delay = 300;

  await writer.invalidate("k");

  assert.equal(await reader.get("k", async () => "new"), "new");
});

test("while Redis is gone, 250 parallel reads are one of the database for each worker, and it comes back by itself", async (t) => {
  const road = await way(t, server.port);
  const caches = await workers(t, 2, {}, road.port);
  await caches[0].get("k", async () => "row");
  await road.cut();
  await waitUntil(() => caches.every((cache) => cache.snapshot().redis === "away"), "seen");
  const one = row("row", 100);

  await Promise.all(Array.from({ length: 250 }, (_, i) => caches[i % 2].get("k", one.load)));
  assert.equal(one.reads, 2);

  await road.mend();
  await waitUntil(async () => (await caches[0].read("k", one.load)).from === "hit", "used again");
  assert.match(caches.said.join("\n"), /cache unavailable[^]*available again/);
});

test("with an outageTtl, reads one after the other share one too, for that long", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const one = row("row", 1);
  const cache = createCache(Redis, { outageTtl: 100, variable: "NO_SUCH_VARIABLE" });

  for (let i = 0; i < 5; i += 1) await cache.get("k", one.load);
  assert.equal(one.reads, 1);
  await cache.invalidate("k");
  await cache.get("k", one.load);
  assert.equal(one.reads, 2, "this process's own writes count");
  t.mock.timers.tick(99);
  await cache.get("k", one.load);
  assert.equal(one.reads, 2);
  t.mock.timers.tick(1);
  await cache.get("k", one.load);
  assert.equal(one.reads, 3);
});

for (const [options, message] of [
  [{ tll: 5 }, /no option tll/],
  [{ ttl: "60s" }, /ttl must be a number/],
  [{ jitter: 2 }, /share from 0 to 1/],
]) {
  test(`${JSON.stringify(options)} is refused: ${message.source}`, async () => {
    assert.throws(() => createCache(Redis, { variable: "NO_SUCH_VARIABLE", ...options }), message);
  });
}
