"use strict";
// Measures the process that it is loaded into (NODE_OPTIONS has --require of it) and tells expressway-metrics every few
// seconds, as one line of JSON. CommonJS, so that it precedes apps of either kind. Whatever happens here, the app goes on:
// nothing throws into it, keeps it alive or waits for anybody, and what can't be told is dropped and counted.

const SOCKET = process.env.EXPRESSWAY_METRICS_SOCKET ?? "/run/expressway-metrics/workers.sock";
const FIRST_MS = 1_000;
const INTERVAL_MS = 5_000;
const KIT = Symbol.for("expressway.kit"); // what caches and databases of @expressway/kit are told by: its measured.js
const RESOLUTION_MS = 20; // of the timer whose delay is measured; half as many would cost twice the CPU

/** What they tell, added up; of a lag the longest. Nothing in an app without them. */
function ofKit() {
  const together = {};
  try {
    for (const tell of globalThis[KIT] ?? []) {
      for (const [name, value] of Object.entries(tell())) {
        const before = together[name] ?? 0;
        together[name] = name === "lag" ? Math.max(before, value) : before + value;
      }
    }
  } catch {
    return undefined; // the rest is told all the same
  }
  return together;
}

function measure(identity) {
  const { createConnection } = require("node:net");
  const { monitorEventLoopDelay, PerformanceObserver } = require("node:perf_hooks");
  const { subscribe } = require("node:diagnostics_channel");

  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();

  let collecting = 0; // seconds
  const collections = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) collecting += duration / 1000;
  });
  collections.observe({ entryTypes: ["gc"] });

  let requests = 0;
  let inFlight = 0;
  // Not the channel of finished answers: a client that hangs up gets none, and its request is over all the same.
  const over = () => void (inFlight -= 1);
  subscribe("http.server.request.start", ({ response }) => {
    requests += 1;
    inFlight += 1;
    response.on("close", over);
  });

  const lag = (nanoseconds) => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1e3);
  const report = () => {
    const { rss, heapUsed, heapTotal } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    const apm = globalThis[Symbol.for("expressway.apm")]; // apm.cjs's, where there is to be an agent
    const told = {
      ...identity,
      pid: process.pid,
      uptime: process.uptime(),
      cpu: (user + system) / 1e6,
      rss,
      heap_used: heapUsed,
      heap_total: heapTotal,
      gc: collecting,
      lag_p50: lag(delay.percentile(50)),
      lag_p99: lag(delay.percentile(99)),
      lag_max: lag(delay.max),
      requests,
      in_flight: inFlight,
      dropped,
      apm_missing: apm?.missing ?? 0,
      apm_dropped: apm?.dropped() ?? 0,
      kit: ofKit(),
    };
    delay.reset();
    return `${JSON.stringify(told)}\n`;
  };

  let socket;
  let dropped = 0;
  const connect = () => {
    const fresh = createConnection(SOCKET);
    fresh.unref();
    fresh.on("error", () => void (dropped += 1)); // the line that was to be written
    fresh.on("close", () => {
      if (socket === fresh) socket = undefined;
    });
    fresh.resume(); // nothing is ever answered, but only who reads learns that the other side is gone
    return fresh;
  };
  const tell = () => {
    try {
      const line = report();
      socket ??= connect();
      // A line that is still there means that nobody reads: a second one would only pile up on it.
      if (socket.writableLength === 0) socket.write(line);
      else dropped += 1;
    } catch {
      dropped += 1;
    }
  };
  setTimeout(tell, FIRST_MS).unref();
  setInterval(tell, INTERVAL_MS).unref();
}

for (const begin of [measure, (identity) => require("./profile.cjs").follow(identity)]) {
  try {
    const identity = require("./identity.cjs").identify();
    if (identity) begin(identity);
  } catch {
    // An app that can't be measured, or profiled, still runs.
  }
}
