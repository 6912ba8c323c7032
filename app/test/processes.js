import { fork } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { createServer, connect as tcpConnect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { now } from "./clock.js";

/** For what never comes, in milliseconds: what comes may take long on a host that has much else to do. */
const PATIENCE = 60_000;
const given = new Set(); // ports

/** A server in a process of its own, which ends with the test. */
export async function start(t, script, env = {}) {
  const port = await freePort();
  const child = fork(script, { env: { ...process.env, PORT: port, ...env }, stdio: ["ignore", "pipe", "pipe", "ipc"] });
  t.after(() => child.kill("SIGKILL"));
  const server = { child, port, output: "", readyMessages: 0 };
  child.on("message", (message) => {
    if (message === "ready") server.readyMessages += 1;
  });
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (server.output += data));
  // With all that it said; `after` in milliseconds, and `took` without those that the host takes.
  server.exit = once(child, "close").then(([code]) => ({ code, after: Date.now() - server.signalled, took: now() - server.began }));
  server.signal = (name) => {
    Object.assign(server, { signalled: Date.now(), began: now() });
    child.kill(name);
  };
  await waitUntil(() => send(server, "/healthz").then(() => true, () => false), "the server listens");
  return server;
}

/** One request; rejects when there is no complete answer. `sent` is called when the host has all of it. */
export function send({ port }, path, { method = "GET", agent = new Agent(), sent: onSent = () => {} } = {}) {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: "127.0.0.1", path, method, agent }, (response) => {
      let body = "";
      response.on("data", (data) => (body += data));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.on("finish", onSent);
    sent.end();
  });
}

/** A connection that sends `text` and nothing more. */
export async function connect({ port }, text = "") {
  const socket = tcpConnect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.resume();
  await once(socket, "connect");
  socket.write(text);
  return socket;
}

export async function waitUntil(condition, what) {
  for (const deadline = performance.now() + PATIENCE; !(await condition()); await sleep(10)) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}`);
  }
}

/** A port that nobody has, and that is given to nobody else of this process before whoever asked for it listens there. */
export async function freePort() {
  for (;;) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address();
    server.close();
    await once(server, "close");
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
}
