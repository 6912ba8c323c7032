import assert from "node:assert/strict";
import { Agent } from "node:http";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DRAIN_TIMEOUT, HEADERS_TIMEOUT, KEEP_ALIVE_TIMEOUT, REQUEST_TIMEOUT } from "@expressway/kit";
import { now } from "../../test/clock.js";
import { connect, send, start, waitUntil } from "../../test/processes.js";

const SERVER = new URL("server.js", import.meta.url).pathname;

const EDGE_KEEP_ALIVE = 60_000; // Nginx's upstream keepalive_timeout
const PM2_KILL_TIMEOUT = 12_000;

/** Resolves when a server has said all of these. */
const said = (server, ...words) => waitUntil(() => words.every((each) => server.output.includes(each)), `it says ${words}`);

test("timeouts are in the order that loses no request", () => {
  assert.ok(EDGE_KEEP_ALIVE < KEEP_ALIVE_TIMEOUT, "the edge gives up an idle connection first");
  assert.ok(KEEP_ALIVE_TIMEOUT < HEADERS_TIMEOUT, "Node doesn't cut it with the other one");
  assert.ok(HEADERS_TIMEOUT <= REQUEST_TIMEOUT, "headers are part of a request");
  assert.ok(DRAIN_TIMEOUT < PM2_KILL_TIMEOUT, "the process ends by itself");
});

test("a server tells clients how long it keeps connections", async (t) => {
  const server = await start(t, SERVER);

  const { headers } = await send(server, "/", { agent: new Agent({ keepAlive: true }) });

  assert.equal(headers["keep-alive"], `timeout=${KEEP_ALIVE_TIMEOUT / 1000}`);
});

test("a server is alive before it is ready, and tells PM2 once", async (t) => {
  const server = await start(t, SERVER, { COLD: "yes" });

  assert.equal((await send(server, "/healthz")).status, 200, "alive");
  assert.equal((await send(server, "/readyz?probe=1")).status, 503, "not ready yet");
  assert.equal(server.readyMessages, 0, "and PM2 hasn't heard that it is");
  server.child.send("warm");
  await waitUntil(async () => (await send(server, "/readyz")).status === 200, "ready");
  await waitUntil(() => server.readyMessages === 1, "PM2 hears of it");
});

test("?verbose says how the parts are, before and after the server is ready", async (t) => {
  const server = await start(t, SERVER, { COLD: "yes" });
  const parts = { cache: { hits: 3 }, broken: { error: "no idea" } };
  const asked = async (path) => JSON.parse((await send(server, path)).body);

  assert.deepEqual(await asked("/readyz?verbose"), { status: "starting", parts });
  server.child.send("warm");
  await waitUntil(async () => (await send(server, "/readyz?verbose")).status === 200, "ready");
  assert.deepEqual(await asked("/readyz?a=b&verbose=1"), { status: "ready", parts });
  assert.deepEqual(await asked("/readyz?other"), { status: "ready" });
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  test(`on ${signal} requests in flight are answered, and the process ends well`, async (t) => {
    const server = await start(t, SERVER);
    const slow = send(server, "/slow", { agent: new Agent({ keepAlive: true }) });
    const stream = send(server, "/stream", { agent: new Agent({ keepAlive: true }) });
    await said(server, "/slow is here", "/stream is here");

    server.signal(signal);

    const answer = await slow;
    assert.equal(answer.body, "done");
    assert.equal(answer.headers.connection, "close", "the client must not send another on this connection");
    assert.equal((await stream).body, "begun done", "an answer that had begun is finished");
    const { code, took } = await server.exit;
    assert.equal(code, 0, server.output);
    assert.ok(took < 3_000, `it took ${took} ms`);
    assert.match(server.output, /closed/, "the pools were closed");
  });
}

test("a request that arrives on an open connection during the drain is answered", async (t) => {
  // Its drain stands still until the request is there: an idle connection has a second, a host may take longer.
  const server = await start(t, SERVER, { STOPS: "yes" });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await send(server, "/", { agent });
  await send(server, "/readyz", { agent });
  // Holds the process in its drain while the idle connection is used.
  const slow = send(server, "/slow");
  await said(server, "/slow is here");

  server.signal("SIGINT");
  await said(server, "draining");
  await assert.rejects(send(server, "/"), { code: "ECONNREFUSED" }, "new connections go elsewhere");
  const late = await send(server, "/readyz", { agent, method: "POST", sent: () => server.child.kill("SIGCONT") });

  assert.equal(late.status, 503, "readiness is off");
  assert.equal(late.headers.connection, "close", "and the connection ends with this answer");
  assert.equal((await slow).body, "done");
  assert.equal((await server.exit).code, 0);
});

test("clients that keep sending through a drain lose nothing", async (t) => {
  const server = await start(t, SERVER);
  let answered = 0;
  const heldUp = () => performance.now() - now();
  let before = Infinity;
  const client = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (;;) {
      try {
        const { body } = await send(server, "/", { agent, method: "POST" });
        assert.equal(body, "done");
        answered += 1;
      } catch (error) {
        if (error.code === "ECONNREFUSED") return; // it had been told: this would have been a new connection
        // What is idle for a second is cut, as is a client whose host holds it up for longer.
        if (error.code === "ECONNRESET" && heldUp() - before > 900) return;
        throw error;
      }
    }
  };
  const clients = Promise.all(Array.from({ length: 20 }, client));
  await waitUntil(() => answered > 100, "there is a load");

  before = heldUp();
  server.signal("SIGINT");

  await clients;
  assert.equal((await server.exit).code, 0);
});

test("an idle process stays for a moment after it took its last connection", async (t) => {
  const server = await start(t, SERVER);

  server.signal("SIGINT");

  const { code, after } = await server.exit;
  assert.equal(code, 0, server.output);
  assert.ok(after >= 450, `a cluster's primary may have handed one over meanwhile: ${after} ms`);
});

test("connections on which nothing is asked don't hold up the end", async (t) => {
  const server = await start(t, SERVER);
  await connect(server);
  await connect(server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await sleep(100);

  server.signal("SIGINT");

  const { code, after } = await server.exit;
  assert.equal(code, 0, server.output);
  assert.ok(after < DRAIN_TIMEOUT, `it took ${after} ms`);
});

test("a request that never ends is given up before PM2 would kill the process", async (t) => {
  const server = await start(t, SERVER, { DRAIN_TIMEOUT: "800" });
  const hanging = send(server, "/hang").catch((error) => error);
  await said(server, "/hang is here");

  server.signal("SIGINT");

  const { code, after, took } = await server.exit;
  assert.equal(code, 1, "the exit status tells");
  assert.ok(after >= 750 && took < 2_000, `it took ${after} ms`);
  assert.match(server.output, /1 requests unanswered/);
  assert.ok((await hanging) instanceof Error);
});

test("a second signal doesn't cut the drain short", async (t) => {
  const server = await start(t, SERVER);
  const slow = send(server, "/slow");
  await said(server, "/slow is here");

  server.signal("SIGINT");
  await said(server, "draining");
  server.signal("SIGTERM");

  assert.equal((await slow).body, "done");
  assert.equal((await server.exit).code, 0);
  assert.deepEqual(server.output.match(/draining|closed/g), ["draining", "closed"], "nothing is done twice");
});
