import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { createRedis } from "@expressway/kit/redis";
import { Redis } from "ioredis";
import { waitUntil } from "../../test/processes.js";
import { machine, redisNode } from "./servers.js";

/** A client of `node`, under a name that `lead` makes lead elsewhere. */
async function setUp(t, node, token = "") {
  const host = await machine(t, { REDIS_URL: `redis://:${token}@127.0.0.1:${node.port}` });
  const redis = createRedis(Redis, { maxRetriesPerRequest: 0, enableOfflineQueue: false, retryStrategy: () => 20 });
  redis.on("error", () => {});
  t.after(() => redis.disconnect());
  await once(redis, "ready");
  return { redis, host };
}

for (const [version, refusal] of [
  [7, "-READONLY You can't write against a read only replica.\r\n"],
  [6, "-ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write against a replica.\r\n"],
]) {
  test(`a node that was demoted is left at its first refusal, as Redis ${version} words it`, async (t) => {
    const [old, next] = [await redisNode(t), await redisNode(t)];
    const { redis } = await setUp(t, old);
    await redis.set("before", "1");

    Object.assign(old, { role: "slave", refusal });
    redis.options.port = next.port; // as the primary's name does
    await assert.rejects(redis.set("lost", "1"), /READONLY/);
    await once(redis, "ready");
    await redis.set("after", "1");

    assert.deepEqual([old.written, next.written], [["before"], ["after"]]);
  });
}

test("while the name still leads to the demoted node, it is tried again and again", async (t) => {
  const [old, next] = [await redisNode(t), await redisNode(t)];
  const { redis } = await setUp(t, old);
  old.role = "slave";
  for (let refused = 0; refused < 3; refused += 1) {
    await assert.rejects(redis.set("lost", "1"), /READONLY/);
    await once(redis, "ready");
  }

  redis.options.port = next.port;
  await assert.rejects(redis.set("lost", "1"), /READONLY/);
  await once(redis, "ready");
  await redis.set("after", "1");

  assert.deepEqual(next.written, ["after"]);
});

test("other errors keep the connection", async (t) => {
  const node = await redisNode(t);
  const { redis } = await setUp(t, node);
  Object.assign(node, { role: "slave", refusal: "-ERR wrong number of arguments\r\n" });

  await assert.rejects(redis.set("k", "v"), /wrong number/);

  assert.deepEqual([redis.status, node.connections], ["ready", 1]);
});

test("a token that changed is asked for and taken at the next connection", async (t) => {
  const node = await redisNode(t, { token: "first" });
  const { redis, host } = await setUp(t, node, "first");
  host.news = () => host.write({ REDIS_URL: `redis://:se%2Fcond@127.0.0.1:${node.port}` });

  node.token = "se/cond";
  await redis.set("open", "1");
  for (const socket of node.sockets) socket.destroy();
  await waitUntil(() => redis.status === "ready" && node.connections > 1, "let in again");
  await redis.set("again", "1");

  assert.deepEqual(node.written, ["open", "again"], "the open connection goes on meanwhile");
  assert.ok(host.asked >= 1, "it asked");
});
