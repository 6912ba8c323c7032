import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as ask } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createPool } from "@expressway/kit/postgres";
import { commented, requestId } from "@expressway/kit/request";
import pg from "pg";
import { machine, postgres } from "./servers.js";

async function serve(t, handler) {
  const server = createServer(handler); // no middleware, and not the kit's serve
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (headers, agent) =>
    new Promise((resolve, reject) => {
      const sent = ask({ port: server.address().port, headers, agent }, async (response) => {
        let body = "";
        for await (const chunk of response) body += chunk;
        resolve(body);
      });
      sent.on("error", reject);
      sent.end();
    });
}

test("each request has its own id, also while others are answered", async (t) => {
  const send = await serve(t, async (request, response) => {
    await sleep(Math.random() * 20);
    response.end(`${requestId() === request.headers["x-request-id"]}`);
  });
  const ids = Array.from({ length: 50 }, (_, each) => `request-${each}`);
  const answers = await Promise.all(ids.map((id) => send({ "x-request-id": id })));
  assert.deepEqual(new Set(answers), new Set(["true"]));
  assert.equal(requestId(), undefined, "there is none outside of requests");
});

test("a request without an id doesn't have that of the one before on its connection", async (t) => {
  const { Agent } = await import("node:http");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const send = await serve(t, (_request, response) => response.end(`${requestId()}`));
  assert.equal(await send({ "x-request-id": "first-request" }, agent), "first-request");
  assert.equal(await send({}, agent), "undefined");
});

test("what could end a comment is no id", async (t) => {
  const send = await serve(t, (_request, response) => response.end(commented("select 1")));
  assert.equal(await send({ "x-request-id": "a */ drop table items; --" }), "select 1");
  assert.equal(await send({ "x-request-id": "it's-me-me" }), "select 1");
  assert.equal(await send({ "x-request-id": "0123456789abcdef" }), "select 1 /*request_id='0123456789abcdef'*/");
});

test("a pool tells PostgreSQL the id of the request that asks, though it waits for another's connection", async (t) => {
  const database = await postgres(t, "first");
  await machine(t, { DATABASE_URL: `postgresql://app:first@127.0.0.1:${database.port}/app` });
  const pool = createPool(pg, { max: 1, requestIds: true });
  t.after(() => pool.end());
  const send = await serve(t, async (request, response) => {
    await pool.query(`select '${request.headers["x-request-id"]}'`);
    response.end();
  });
  const ids = Array.from({ length: 10 }, (_, each) => `request-${each}`);
  await Promise.all(ids.map((id) => send({ "x-request-id": id })));
  assert.deepEqual(database.statements.sort(), ids.map((id) => `select '${id}' /*request_id='${id}'*/`));
});
