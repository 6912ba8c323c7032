import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";

/** How long a look at the secrets may take; in milliseconds. */
const PATIENCE = 2_000;

let looking = null;

/**
 * What a variable holds now. On a machine of Expressway that follows a secret which changes while the app runs, where
 * `process.env` is what the worker was started with; elsewhere it is `process.env`.
 * @param {string} name
 * @returns {string | undefined}
 */
export function current(name) {
  const file = process.env.EXPRESSWAY_ENVIRONMENT;
  if (file) {
    try {
      // In memory, and replaced as a whole: short enough to read each time that a connection is opened.
      return JSON.parse(readFileSync(file, "utf8"))[name] ?? process.env[name];
    } catch {
      // Taken away while the service stops.
    }
  }
  return process.env[name];
}

/**
 * Have this machine look at the secrets now, and wait until it has, two seconds at most.
 * @returns {Promise<boolean>} whether there is somebody to ask
 */
export async function refresh() {
  const file = process.env.EXPRESSWAY_ENVIRONMENT;
  if (!file) return false;
  // Connections that are refused together ask once.
  looking ??= ask(join(dirname(file), "refresh.sock")).finally(() => {
    looking = null;
  });
  await looking;
  return true;
}

/** Resolves when the other end hangs up, or there is none. */
function ask(path) {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.setTimeout(PATIENCE, () => socket.destroy());
    socket.on("error", () => {});
    socket.on("close", resolve);
    socket.resume();
  });
}
