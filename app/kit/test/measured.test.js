import assert from "node:assert/strict";
import { test } from "node:test";
import { Cache, createCache } from "@expressway/kit/cache";
import { createDatabase } from "@expressway/kit/database";
import { Redis } from "ioredis";
import pg from "pg";
import { FakeRedis } from "../../test/fakes.js";
import { measured, ofCache, ofDatabase } from "../measured.js";

/** What measure.cjs of Expressway's machines finds. */
const told = () => [...(globalThis[Symbol.for("expressway.kit")] ?? [])].map((tell) => tell());

test("a cache and a database are told of by a name that whoever measures knows, until they end", async () => {
  const cache = new Cache(Object.assign(new FakeRedis(), { disconnect() {} }));
  const database = createDatabase(pg, { address: () => "postgres://127.0.0.1:1/none", log: () => {} });
  await cache.read("k", async () => "row");
  await cache.read("k", async () => "row");

  assert.deepEqual(told(), [
    { hits: 1, misses: 1, stale: 0, bypassed: 0, open: 0 },
    { retries: 0, open: 0 },
  ]);

  cache.close();
  await database.end();
  assert.deepEqual(told(), []);
});

test("where there is no Redis, no cache is told of", async () => {
  const cache = createCache(Redis, { variable: "NO_SUCH_VARIABLE" });

  await cache.read("k", async () => "row");

  assert.deepEqual(told(), [], "its reads go past no Redis that is away");
});

test("every copy of the kit in a process tells", async () => {
  const copy = await import("../measured.js?another");

  const ends = [measured(() => ({ open: 1 })), copy.measured(() => ({ open: 2 }))];

  assert.deepEqual(told(), [{ open: 1 }, { open: 2 }]);
  for (const end of ends) end();
});

test("of a cluster each shard's breaker counts, and the whole's is none", () => {
  const counts = { hits: 5, misses: 4, stale: 3, bypassed: 2, loads: 9 };
  const shards = { 0: { breaker: "open" }, 1: { breaker: "closed" }, 2: { breaker: "half-open" } };

  assert.equal(ofCache({ ...counts, breaker: "open", shards }).open, 2);
  assert.deepEqual(ofCache({ ...counts, breaker: "open" }), { hits: 5, misses: 4, stale: 3, bypassed: 2, open: 1 });
});

test("of replicas it is told how many are read, and how far the worst is behind if anybody knows", () => {
  const node = (inRotation, lag, breaker = "closed") => ({ breaker, inRotation, lag });
  const of = (...replicas) => ofDatabase({ primary: node(), replicas, retries: 7 });

  assert.deepEqual(of(), { retries: 7, open: 0 });
  assert.deepEqual(of(node(true, 20), node(false, 4_000), node(false, null, "open")), {
    retries: 7,
    open: 1,
    rotation: 1,
    lag: 4_000,
  });
  assert.deepEqual(of(node(false, null)), { retries: 7, open: 0, rotation: 0 });
});
