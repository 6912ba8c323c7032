"use strict";
// Reload the app's workers with another environment, `parallel` at a time. The order comes as JSON on standard input:
// {env, port, readinessPath, parallel}; the only argument is the folder of PM2. Exits with 1, and the reason as the last line on
// standard error, when a worker doesn't come up: those after it keep serving with the environment that they have.

const { request } = require("node:http");
const { text } = require("node:stream/consumers");
const { setTimeout: sleep } = require("node:timers/promises");
const { promisify } = require("node:util");

const READY_WITHIN = 30_000; // milliseconds, for a single process that was stopped first

const WAITING = "waiting restart";

const pm2 = require(process.argv[2]);
// PM2's client would start a second PM2 where none answers: beside the service, and in the way of its next start.
pm2.Client.launchDaemon = (...args) => args.at(-1)(new Error("PM2 isn't running"));
const list = promisify(pm2.list.bind(pm2));
const call = promisify(pm2.Client.executeRemote.bind(pm2.Client));

async function main() {
  const { env, port, readinessPath, parallel } = JSON.parse(await text(process.stdin));
  await promisify(pm2.connect.bind(pm2))();
  const processes = (await list()).toSorted((one, other) => one.pm_id - other.pm_id);
  const cluster = processes.filter(({ pm2_env }) => pm2_env.exec_mode === "cluster_mode").length;
  for (let next = 0; next < processes.length; next += parallel) {
    const some = processes.slice(next, next + parallel);
    // Nothing is left under way by one that fails: whoever asked goes back to what there was.
    const ends = await Promise.allSettled(some.map((each) => reload(each, env)));
    const failed = ends.find(({ status }) => status === "rejected");
    if (failed) throw failed.reason;
    const deadline = Date.now() + (cluster ? 0 : READY_WITHIN);
    // Node hands connections to its workers in turn, so twice as many questions as workers reach each of them.
    for (let asked = 0; asked < 2 * Math.max(cluster, 1); ) {
      if (await ready(port, readinessPath)) asked += 1;
      else if (Date.now() < deadline) await sleep(200);
      else throw new Error(`worker ${some.map(({ pm_id }) => pm_id).join(" or ")} isn't ready with the new environment`);
    }
  }
}

async function reload({ pm_id: id, pm2_env: was }, env) {
  // One that waits for its next start has the number of a process that ended, which PM2 takes for a running one.
  if (was.status === WAITING) await call("stopProcessId", id);
  await call("reloadProcessId", { id, env });
  const { pm2_env } = (await list()).find(({ pm_id }) => pm_id === id) ?? {};
  if (pm2_env?.status !== "online") throw new Error(`worker ${id} doesn't start: PM2 says ${pm2_env?.status}`);
}

/** Whether the app can take traffic, by the same rule as at the edge: any answer below 500. */
function ready(port, path) {
  return new Promise((resolve) => {
    const headers = { "User-Agent": "expressway-probe", Connection: "close" };
    const asked = request({ host: "127.0.0.1", port, path, agent: false, timeout: 5_000, headers }, (response) => {
      response.resume();
      resolve(response.statusCode < 500);
    });
    asked.on("timeout", () => asked.destroy(new Error("timed out")));
    asked.on("error", () => resolve(false));
    asked.end();
  });
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error?.message ?? String(error));
    process.exit(1);
  },
);
