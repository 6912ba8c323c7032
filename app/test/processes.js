import { fork } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { createServer, connect as tcpConnect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

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
  server.exit = once(child, "exit").then(([code]) => ({ code, after: Date.now() - server.signalled }));
  server.signal = (name) => {
    server.signalled = Date.now();
    child.kill(name);
  };
  await waitUntil(() => send(server, "/healthz").then(() => true, () => false), "the server listens");
  return server;
}

/** One request; rejects when there is no complete answer. */
export function send({ port }, path, { method = "GET", agent = new Agent() } = {}) {
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: "127.0.0.1", path, method, agent }, (response) => {
      let body = "";
      response.on("data", (data) => (body += data));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
      response.on("error", reject);
    });
    sent.on("error", reject);
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
  for (const deadline = Date.now() + 10_000; !(await condition()); await sleep(10)) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}`);
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
