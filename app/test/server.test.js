import assert from "node:assert/strict";
import { test } from "node:test";
import { send, start, waitUntil } from "./processes.js";

const SERVER = new URL("../server.js", import.meta.url).pathname;
const NOWHERE = "127.0.0.1:9"; // nothing listens there

test("the app starts without a database and a cache, and says what it lacks", async (t) => {
  const server = await start(t, SERVER, { INSTANCE_ID: "i-1", RELEASE_ID: "abc", NODE_APP_INSTANCE: "3" });

  const home = JSON.parse((await send(server, "/")).body);
  assert.deepEqual([home.instance, home.release, home.worker], ["i-1", "abc", 3]);
  assert.equal((await send(server, "/readyz")).status, 200);
  const items = await send(server, "/items");
  assert.equal(items.status, 503);
  assert.match(items.body, /DATABASE_URL isn't set/);

  server.signal("SIGINT");
  assert.equal((await server.exit).code, 0, server.output);
});

test("while the database is out of reach the app is alive, not ready, and keeps trying", async (t) => {
  const server = await start(t, SERVER, { DATABASE_URL: `postgresql://app:topsecret@${NOWHERE}/app` });

  await waitUntil(() => server.output.split("not ready").length > 2, "it tries again");
  assert.equal((await send(server, "/healthz")).status, 200);
  assert.equal((await send(server, "/readyz")).status, 503);
  assert.equal((await send(server, "/items")).status, 503);
  assert.doesNotMatch(server.output, /topsecret/, "no password in the log");

  server.signal("SIGTERM");
  assert.equal((await server.exit).code, 0, server.output);
});

test("without Redis the app is ready all the same", async (t) => {
  const server = await start(t, SERVER, { REDIS_URL: `redis://:topsecret@${NOWHERE}` });

  await waitUntil(async () => (await send(server, "/readyz")).status === 200, "ready");
  await waitUntil(() => server.output.includes("cache unavailable"), "the log says so");
  const verbose = await send(server, "/readyz?verbose");
  assert.equal(JSON.parse(verbose.body).parts.cache.redis, "away");
  assert.doesNotMatch(server.output + verbose.body, /topsecret/, "no password in the log, nor in the state");

  server.signal("SIGINT");
  const { code, took } = await server.exit;
  assert.equal(code, 0, server.output);
  assert.ok(took < 2_500, `reconnecting doesn't hold it up: ${took} ms`);
});
