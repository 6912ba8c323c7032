import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import { Cache } from "@expressway/kit/cache";
import { now } from "../../test/clock.js";
import { FakeRedis, slowRow } from "../../test/fakes.js";

const answers = (results) => results.map(({ value, from }) => `${from} ${value}`);

test("a miss is followed by hits until the key is forgotten", async () => {
  const cache = new Cache(new FakeRedis());
  const load = async () => "row";

  const seen = [await cache.read("k", load), await cache.read("k", load)];
  await cache.invalidate("k");
  seen.push(await cache.read("k", load));

  assert.deepEqual(answers(seen), ["miss row", "hit row", "miss row"]);
});

test("nothing found is remembered as well", async () => {
  const cache = new Cache(new FakeRedis());

  await cache.read("k", async () => null);

  assert.deepEqual(await cache.read("k", async () => "row"), { value: null, from: "hit" });
});

test("parallel misses on several workers make one database read", async () => {
  const redis = new FakeRedis();
  const workers = [new Cache(redis), new Cache(redis), new Cache(redis)];
  const row = slowRow("row");

  const reads = Promise.all(Array.from({ length: 60 }, (_, i) => workers[i % 3].read("k", row.load)));
  await turn();
  row.open();

  const from = Object.groupBy(await reads, ({ from }) => from);
  assert.equal(row.reads, 1);
  assert.deepEqual([from.miss.length, from.hit.length], [1, 59]);
});

test("a reader that read the old row stores nothing after the write", async () => {
  const cache = new Cache(new FakeRedis());
  const row = slowRow("old");
  const reader = cache.read("k", row.load);
  await turn();

  row.value = "new";
  await cache.invalidate("k");
  row.open();
  await reader;
  const next = cache.read("k", row.load);
  await turn();
  row.open();

  assert.deepEqual(answers([await next]), ["miss new"], "not the old row from the cache");
});

test("who asks after a write never gets an older reader's row", async () => {
  for (const redis of [new FakeRedis(), null]) {
    const cache = new Cache(redis);
    const row = slowRow("old");
    const before = cache.read("k", row.load);
    await turn();

    row.value = "new";
    await cache.invalidate("k");
    const after = cache.read("k", row.load);
    await turn();
    row.open();

    await before;
    assert.equal((await after).value, "new", redis ? "with Redis" : "without");
  }
});

test("a failed database read lets the next one try at once", async () => {
  const redis = new FakeRedis();
  const cache = new Cache(redis);

  await assert.rejects(cache.read("k", async () => Promise.reject(new Error("down"))), /down/);

  assert.equal(redis.keys.size, 0, "no lease is left to wait for");
  assert.deepEqual(await cache.read("k", async () => "row"), { value: "row", from: "miss" });
});

test("without Redis, parallel reads of a key share one database read", async () => {
  for (const redis of [null, Object.assign(new FakeRedis(), { status: "reconnecting" })]) {
    const cache = new Cache(redis);
    const row = slowRow("row");

    const reads = Promise.all(Array.from({ length: 20 }, () => cache.read("k", row.load)));
    await turn();
    row.open();

    assert.deepEqual(new Set(answers(await reads)), new Set(["bypass row"]));
    assert.equal(row.reads, 1);
  }
});

test("without Redis, every later read asks the database again", async () => {
  const cache = new Cache(null);

  const seen = [await cache.read("k", async () => "old"), await cache.read("k", async () => "new")];

  assert.deepEqual(answers(seen), ["bypass old", "bypass new"]);
});

test("a hung Redis is asked a few times and then left alone for a while", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const redis = new FakeRedis();
  redis.claim = t.mock.fn(async () => Promise.reject(new Error("Command timed out")));
  const cache = new Cache(redis, { failures: 3, timeout: 2_000 });

  for (let i = 0; i < 9; i += 1) assert.equal((await cache.read("k", async () => "row")).from, "bypass");
  assert.equal(redis.claim.mock.callCount(), 3, "requests don't all wait for a timeout");

  t.mock.timers.tick(6_000);
  redis.ping = t.mock.fn(() => new Promise(() => {}));
  const began = now();
  for (let i = 0; i < 9; i += 1) assert.equal((await cache.read("k", async () => "row")).from, "bypass");
  assert.ok(now() - began < 1_000, "nobody waits until it is known whether it answers");
  assert.deepEqual([redis.claim.mock.callCount(), redis.ping.mock.callCount()], [3, 1], "it is tried once for all");
});

test("a Redis that answers again is used again, and one that doesn't is left alone for longer", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const redis = new FakeRedis();
  const { claim, ping } = redis;
  redis.claim = redis.ping = async () => Promise.reject(new Error("Command timed out"));
  const cache = new Cache(redis, { failures: 1 });
  const read = async () => {
    const { from } = await cache.read("k", async () => "row");
    await turn();
    return from;
  };

  assert.deepEqual([await read(), cache.snapshot().breaker], ["bypass", "open"]);
  t.mock.timers.tick(6_000);
  assert.deepEqual([await read(), cache.snapshot().breaker], ["bypass", "open"]);
  assert.equal(cache.snapshot().redisErrors, 2);
  Object.assign(redis, { claim, ping });
  assert.deepEqual([await read(), cache.snapshot().breaker], ["bypass", "open"], "not at once");
  t.mock.timers.tick(6_000);
  assert.deepEqual([await read(), cache.snapshot().breaker], ["bypass", "closed"]);
  assert.deepEqual([await read(), await read()], ["miss", "hit"]);
});

test("while there is no Redis a read isn't shared with a caller who has written more since", async () => {
  const caller = { position: "00000000000000a0" };
  const cache = new Cache(null, { position: () => caller.position, outageTtl: 60_000 });
  const row = slowRow("old");
  const reads = [cache.read("k", row.load), cache.read("k", row.load)];
  await turn();

  row.value = "new"; // by another worker, which tells nobody while Redis is away
  caller.position = "00000000000000b0";
  reads.push(cache.read("k", row.load));
  await turn();
  caller.position = "00000000000000a0";
  reads.push(cache.read("k", row.load));
  await turn();
  row.open();

  const seen = (await Promise.all(reads)).map(({ value }) => value);
  assert.deepEqual(seen.slice(0, 3), ["old", "old", "new"]);
  assert.equal(row.reads, 2, "who has written less shares with either");
});

test("a write while Redis is away is not undone by what Redis kept", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const redis = new FakeRedis();
  const [writer, reader] = [new Cache(redis), new Cache(redis)];
  await writer.read("k", async () => "old");

  redis.goAway();
  await writer.invalidate("k");
  redis.comeBack();

  assert.equal((await reader.read("k", async () => "new")).from, "bypass", "others may not have told Redis yet");
  await turn();
  t.mock.timers.tick(2_600);
  assert.deepEqual(await reader.read("k", async () => "new"), { value: "new", from: "miss" });
  assert.deepEqual(await reader.read("k", async () => "new"), { value: "new", from: "hit" }, "and it is in use again");
});

test("a write is through once Redis has heard of it, though it failed at first", async (t) => {
  t.mock.method(performance, "now", now);
  const redis = new FakeRedis();
  const cache = new Cache(redis);
  await cache.read("k", async () => "old");

  mock.method(redis, "del", async () => Promise.reject(new Error("Connection is closed.")), { times: 2 });
  await cache.invalidate("k");

  assert.deepEqual([redis.keys.size, cache.snapshot().owed], [0, 0]);
});

test("a write waits for a connection that was there a moment ago, for as long as another worker may still ask", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  t.mock.method(performance, "now", now);
  const redis = new FakeRedis();
  const cache = new Cache(redis);
  await cache.read("k", async () => "old");

  redis.goAway();
  const through = mock.fn();
  const written = cache.invalidate("k").then(through);
  await sleep(50);
  assert.deepEqual([redis.keys.size, through.mock.callCount()], [1, 0]);
  redis.comeBack();
  await written;
  assert.equal(redis.keys.size, 0);

  redis.goAway();
  t.mock.timers.tick(1_100);
  const began = now();
  await cache.invalidate("k");
  assert.ok(now() - began < 500, "Redis is away, not a connection");
});

test("an invalidation that fails is made up for before the next read", async () => {
  const redis = new FakeRedis();
  const cache = new Cache(redis);
  await cache.read("k", async () => "old");

  const del = mock.method(redis, "del", async () => Promise.reject(new Error("Command timed out")));
  await cache.invalidate("k");
  assert.deepEqual([redis.keys.size, cache.snapshot().owed], [1, 1]);
  del.mock.restore();

  assert.deepEqual(await cache.read("k", async () => "new"), { value: "new", from: "miss" });
});

test("invalidations are not kept for longer than Redis keeps a value", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const redis = new FakeRedis();
  const cache = new Cache(redis);
  redis.goAway();
  await cache.invalidate("early");
  t.mock.timers.tick(61_000);
  await cache.invalidate("late");

  const del = mock.method(redis, "del");
  redis.comeBack();

  assert.deepEqual(del.mock.calls[0].arguments, [["cache:v1:late"]]);
});

test("what only the old primary was told is told again after a failover", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const redis = new FakeRedis();
  const cache = new Cache(redis);
  await cache.read("k", async () => "old");
  const replica = new Map(redis.keys);
  await cache.invalidate("k");

  redis.goAway();
  redis.keys = replica; // it takes over without having heard of the last write
  redis.comeBack();

  await turn();
  t.mock.timers.tick(2_600);
  assert.deepEqual(await cache.read("k", async () => "new"), { value: "new", from: "miss" });
});

test("what was told long ago is not told again", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const redis = new FakeRedis();
  const cache = new Cache(redis);
  await cache.invalidate("early");
  t.mock.timers.tick(11_000);
  await cache.invalidate("late");

  const del = mock.method(redis, "del");
  redis.goAway();
  redis.comeBack();

  assert.deepEqual(del.mock.calls[0].arguments, [["cache:v1:late"]]);
});
