"use strict";
// Who PM2 says that this process is: {name, id, restarts}; nothing in PM2 itself, in a package manager, in a worker thread
// and in commands that PM2 didn't start. For what Node loads before the app (NODE_OPTIONS).

const PACKAGE_MANAGERS = /^(npm|npx|pnpm|yarn)(-cli)?(\.c?js)?$/;

/** What PM2 gave the process. In cluster mode its own first lines, which come after this, unpack the variable. */
const given = () => (process.env.pm2_env ? JSON.parse(process.env.pm2_env) : process.env);

function identify() {
  if (!require("node:worker_threads").isMainThread) return undefined;
  if (PACKAGE_MANAGERS.test(require("node:path").basename(process.argv[1] ?? ""))) return undefined;
  const { name, pm_id: id, restart_time: restarts } = given();
  return id === undefined ? undefined : { name, id: Number(id), restarts: Number(restarts) || 0 };
}

module.exports = { given, identify };
