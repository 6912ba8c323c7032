import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Drain } from "./drain.js";
import { answerHealth } from "./health.js";

/** Longer than the balancer keeps an idle connection (60 s), so that never both ends decide at once; in milliseconds. */
export const KEEP_ALIVE_TIMEOUT = 75_000;
/** Longer than KEEP_ALIVE_TIMEOUT, or Node would cut an idle connection with it first; in milliseconds. */
export const HEADERS_TIMEOUT = 80_000;
/** How long a client may take to send a whole request; not less than HEADERS_TIMEOUT; in milliseconds. */
export const REQUEST_TIMEOUT = 120_000;
/** How long in-flight requests may take after SIGINT or SIGTERM: less than PM2's kill_timeout of 12 s; in milliseconds. */
export const DRAIN_TIMEOUT = 10_000;

const READY_RETRY = 500;

/**
 * Serve `handler`, an Express app or any other (request, response) function, until SIGINT or SIGTERM drains it.
 * @param {import("node:http").RequestListener} handler
 * @param {import("./index.d.ts").ServeOptions} [options]
 * @returns {import("node:http").Server}
 */
export function serve(handler, options = {}) {
  const {
    port = process.env.PORT ?? 3000,
    host,
    ready = async () => {},
    close = async () => {},
    livenessPath = "/healthz",
    readinessPath = "/readyz",
    parts = {},
    drainTimeout = DRAIN_TIMEOUT,
    log = (message) => console.log(message),
  } = options;

  const state = { started: false, draining: false };
  const server = createServer((request, response) => {
    drain.track(response);
    if (!answerHealth(request, response, state, { livenessPath, readinessPath, parts })) {
      handler(request, response);
    }
  });
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT;
  server.headersTimeout = HEADERS_TIMEOUT;
  server.requestTimeout = REQUEST_TIMEOUT;
  const drain = new Drain(server, drainTimeout);

  const stop = async (signal) => {
    // PM2 and systemd may each send one; the first is enough.
    if (state.draining) return;
    state.draining = true;
    log(`${signal}: draining`);
    // The deadline covers the pools too: PM2 would kill the process soon after it.
    const overdue = setTimeout(() => exit("gave up waiting", 1), drainTimeout);
    await drain.run();
    await close();
    clearTimeout(overdue);
    exit("drained", 0);
  };
  const exit = (message, code) => {
    log(`${message}; ${drain.active} requests unanswered`);
    process.exit(code);
  };
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => {
      stop(signal).catch((error) => exit(`draining failed: ${error.message}`, 1));
    });
  }

  const announce = async () => {
    for (;;) {
      try {
        await ready();
        break;
      } catch (error) {
        log(`not ready: ${error.message}`);
        await sleep(READY_RETRY);
      }
    }
    state.started = true;
    if (process.connected) process.send("ready"); // for PM2's wait_ready; elsewhere there is no such channel
    log("ready");
  };

  server.listen({ port, host }, () => {
    announce();
  });
  return server;
}
