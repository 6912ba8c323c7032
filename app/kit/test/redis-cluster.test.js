// An app's own client on a real cluster: what a failover, a slot that moves and a token that changes do to its commands.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createRedis } from "@expressway/kit/redis";
import { Redis } from "ioredis";
import { now } from "../../test/clock.js";
import { waitUntil } from "../../test/processes.js";
import { redisCluster } from "./cluster.js";
import { machine } from "./servers.js";

const KEYS = Array.from({ length: 30 }, (_, i) => `k${i}`); // on all shards
let cluster;

before(async () => {
  cluster = await redisCluster();
});
after(() => cluster.end());

/** A client, and the machine of Expressway that it runs on. */
async function setUp(t, options = {}) {
  const url = (token) => `redis://${token}127.0.0.1:${cluster.primaries[0].port}`;
  const host = await machine(t, { REDIS_URL: url(""), REDIS_CLUSTER: "true" });
  const redis = createRedis(Redis, options);
  redis.on("error", () => {});
  t.after(() => redis.disconnect());
  await waitUntil(() => redis.status === "ready", "connected");
  return { redis, host, url };
}

/** Writes to every shard, one after the other, until `stop`: what failed, and how long one took, also without what the host takes. */
function writing(t, redis, keys = KEYS) {
  const found = { done: 0, failed: [], slowest: 0, took: 0 };
  let on = true;
  const running = (async () => {
    while (on) {
      const [began, counted] = [performance.now(), now()];
      const round = String(found.done + 1);
      const all = keys.map(async (key) => {
        await redis.set(key, round);
        assert.equal(await redis.get(key), round);
      });
      await Promise.all(all).catch((error) => found.failed.push(error.message));
      found.done += 1;
      found.slowest = Math.max(found.slowest, performance.now() - began);
      found.took = Math.max(found.took, now() - counted);
    }
  })();
  found.more = async (rounds) => {
    const { done } = found;
    await waitUntil(() => found.done > done + rounds, "they go on");
  };
  found.stop = () => {
    on = false;
    return running;
  };
  t.after(found.stop);
  return found;
}

test("a cluster's client has the names that its certificates have, TLS where the address says so, and asks primaries alone", (t) => {
  process.env.REDIS_URL = "rediss://:secret@clustercfg.shop.abc123.euc1.cache.amazonaws.com:6380";
  t.after(() => delete process.env.REDIS_URL);
  const redis = createRedis(Redis, { cluster: true, lazyConnect: true, connectTimeout: 7, clusterOptions: { maxRedirections: 3 } });
  const { options, startupNodes } = redis;
  let name;
  options.dnsLookup("node.example", (_error, address) => (name = address));

  assert.deepEqual(startupNodes, [{ host: "clustercfg.shop.abc123.euc1.cache.amazonaws.com", port: 6380 }]);
  assert.deepEqual([name, options.scaleReads], ["node.example", "master"]);
  assert.deepEqual([options.redisOptions.tls, options.redisOptions.connectTimeout, options.maxRedirections], [{}, 7, 3]);
  assert.ok(!JSON.stringify([options, startupNodes]).includes("secret"), "the token is read when it is needed");
});

test("it is a cluster where the variable beside REDIS_URL says so, and nothing else of it is", (t) => {
  Object.assign(process.env, { REDIS_CLUSTER: "true", REDIS_URL: "redis://127.0.0.1:1", SESSIONS_URL: "redis://127.0.0.1:1" });
  t.after(() => ["REDIS_CLUSTER", "REDIS_URL", "SESSIONS_URL"].forEach((name) => delete process.env[name]));
  const kinds = [{}, { cluster: false }, { variable: "SESSIONS_URL" }, { variable: "SESSIONS_URL", cluster: true }].map((options) => {
    const redis = createRedis(Redis, { ...options, lazyConnect: true });
    redis.on("error", () => {});
    redis.disconnect();
    return redis.isCluster;
  });
  process.env.REDIS_CLUSTER = "false";

  assert.deepEqual(kinds, [true, false, false, true]);
  assert.equal(createRedis(Redis, { lazyConnect: true }).isCluster, false);
  assert.throws(() => createRedis(Redis, { variable: "NO_SUCH", cluster: true }), /NO_SUCH must be a cluster's address/);
});

test("while a slot moves to another shard no command fails", async (t) => {
  const { redis } = await setUp(t);
  const slot = await cluster.primaries[0].ask("KEYSLOT", "{a}");
  const keys = KEYS.map((key) => `{a}:${key}`);
  for (const key of keys) await redis.set(key, "0");
  const [from] = await cluster.shard(slot);
  const to = cluster.primaries.find((each) => each !== from);
  const load = writing(t, redis, keys);

  await load.more(3);
  const moved = await cluster.move(slot, to, () => load.more(3));
  await load.more(3);
  await load.stop();

  assert.equal(moved, keys.length);
  assert.deepEqual(load.failed, []);
  assert.equal(await to.redis.get(keys[0]), String(load.done));
});

test("a failover on request refuses no command", async (t) => {
  const { redis } = await setUp(t);
  const [primary, replica] = await cluster.shard(0);
  const load = writing(t, redis);

  await load.more(3);
  await replica.ask("FAILOVER");
  await waitUntil(async () => (await cluster.shard(0, primary))[0] === replica, "it took over");
  await load.more(3);
  await load.stop();

  assert.deepEqual(load.failed, []);
  await cluster.whole();
});

test("when a primary is killed, commands wait for the replica that takes over, and none is refused", async (t) => {
  const { redis } = await setUp(t);
  const [primary, replica] = await cluster.shard(16_383);
  const load = writing(t, redis);
  t.after(async () => {
    await primary.start();
    await cluster.whole();
  });

  await load.more(3);
  const began = now();
  await primary.stop();
  await cluster.replace(primary);
  await waitUntil(async () => (await replica.redis.role())[0] === "master", "the others have voted");
  const voted = now() - began;
  await load.more(3);
  await load.stop();

  assert.equal((await cluster.shard(16_383, replica))[0], replica);
  assert.deepEqual(load.failed, []);
  assert.ok(load.slowest > 500, "it did have to wait");
  assert.ok(load.took < voted + 7_000, `${load.took} ms, of which the others voted ${voted}`);
});

test("a token that changed is asked for, and taken by the next connections to all nodes", async (t) => {
  const { redis, host, url } = await setUp(t);
  const write = () => Promise.all(KEYS.map((key) => redis.set(key, "1")));
  await write();
  host.news = () => host.write({ REDIS_URL: url(":se%2Fcond@"), REDIS_CLUSTER: "true" });
  t.after(() => cluster.protect(""));

  await cluster.protect("se/cond");
  await write();
  assert.equal(host.asked, 0, "open connections go on");
  for (const node of cluster.nodes) await node.redis.call("CLIENT", "KILL", "TYPE", "normal");
  await waitUntil(() => write().then(() => true, () => false), "let in again");
  await sleep(50);
  await write();

  assert.ok(host.asked >= 1, "it asked");

  // Connections that are open go on, and those that ask for the topology are made after them.
  host.write({ REDIS_URL: url(":third@"), REDIS_CLUSTER: "true" });
  await cluster.protect("third");
  await new Promise((resolve, reject) => redis.refreshSlotsCache((error) => (error ? reject(error) : resolve())));
});
