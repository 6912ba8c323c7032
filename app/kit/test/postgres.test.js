import assert from "node:assert/strict";
import { test } from "node:test";
import { createPool } from "@expressway/kit/postgres";
import pg from "pg";
import { now } from "../../test/clock.js";
import { waitUntil } from "../../test/processes.js";
import { machine, postgres } from "./servers.js";

const url = ({ port }, password) => `postgresql://app:${password}@127.0.0.1:${port}/app`;

async function setUp(t, options = {}) {
  const server = await postgres(t, "first");
  const host = await machine(t, { DATABASE_URL: url(server, "first") });
  const pool = createPool(pg, { max: 2, ...options });
  t.after(() => pool.end());
  return { server, host, pool };
}

test("open sessions go on when the password changes, and new ones take the new one", async (t) => {
  const { server, host, pool } = await setUp(t);
  const open = await pool.connect();

  server.password = "second";
  host.write({ DATABASE_URL: url(server, "second") });

  await open.query("open");
  await pool.query("new");
  open.release();
  assert.deepEqual(server.statements, ["open", "new"]);
  assert.equal(server.refused, 0, "the file told it before it asked");
});

test("a connection that is refused asks the machine, and its write is sent once", async (t) => {
  const { server, host, pool } = await setUp(t);
  server.password = "second";
  host.news = () => host.write({ DATABASE_URL: url(server, "second") });

  await pool.query("insert");

  assert.deepEqual(server.statements, ["insert"]);
  assert.deepEqual([server.refused, host.asked], [1, 1]);
});

test("the password that counts may come later than the question for it", async (t) => {
  const { server, host, pool } = await setUp(t);
  server.password = "second";
  host.news = () => host.asked === 3 && host.write({ DATABASE_URL: url(server, "second") });

  await pool.query("insert");

  assert.deepEqual(server.statements, ["insert"], "RDS changes the password before the secret says so");
});

test("a pooler in between refuses in words of its own", async (t) => {
  const { server, host, pool } = await setUp(t);
  server.password = "second";
  server.refusal = ["08P01", "SASL authentication failed"]; // PgBouncer's
  host.news = () => host.write({ DATABASE_URL: url(server, "second") });

  await pool.query("insert");

  assert.deepEqual(server.statements, ["insert"]);
});

test("another failure to connect is an error at once", async (t) => {
  const { server, host, pool } = await setUp(t);
  server.password = "second";
  server.refusal = ["08P01", "query_wait_timeout"];

  await assert.rejects(pool.query("insert"), { message: "query_wait_timeout" });

  assert.equal(host.asked, 0);
});

test("connections that are refused together ask once", async (t) => {
  const { server, host, pool } = await setUp(t, { max: 8 });
  server.password = "second";
  host.news = () => host.write({ DATABASE_URL: url(server, "second") });
  host.looked = () => waitUntil(() => server.refused === 8, "all are refused");

  await Promise.all(Array.from({ length: 8 }, (_, each) => pool.query(`insert ${each}`)));

  assert.equal(server.statements.length, 8);
  assert.equal(host.asked, 1);
});

test("a password that stays wrong is an error, at first after a while and then at once", async (t) => {
  const { server, pool } = await setUp(t, { patience: 300 });
  server.password = "second";
  const took = async () => {
    const began = [Date.now(), now()];
    await assert.rejects(pool.query("insert"), { code: "28P01" });
    return { atLeast: Date.now() - began[0], atMost: now() - began[1] };
  };

  assert.ok((await took()).atLeast >= 300, "it might have been changed a moment ago");
  assert.ok((await took()).atMost < 200, "requests must not pile up");
  assert.deepEqual(server.statements, []);
});

test("elsewhere a wrong password is an error at once", async (t) => {
  const { server, pool } = await setUp(t);
  delete process.env.EXPRESSWAY_ENVIRONMENT;
  process.env.DATABASE_URL = url(server, "wrong");
  t.after(() => delete process.env.DATABASE_URL);

  await assert.rejects(pool.query("insert"), { code: "28P01" });

  assert.equal(server.refused, 1, "nobody would bring another one");
});

test("pool.query takes a callback as node-postgres has it", async (t) => {
  const { server, pool } = await setUp(t);

  const result = await new Promise((resolve, reject) => {
    pool.query("select", (error, found) => (error ? reject(error) : resolve(found)));
  });
  const refused = await new Promise((resolve) => {
    server.password = "second";
    const other = createPool(pg, { patience: 1 });
    t.after(() => other.end());
    other.connect((error) => resolve(error));
  });

  assert.deepEqual(result.rows, []);
  assert.equal(refused.code, "28P01");
});
