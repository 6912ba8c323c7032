// Lists the routes of an Express app (4 and 5) when it begins to listen, and ends it there: nothing is served.
// Loaded before the app with --require. Writes JSON to the file that EXPRESSWAY_ROUTES names: [{"method", "path"}, ...].
"use strict";
const { writeFileSync } = require("node:fs");
const Module = require("node:module");
const net = require("node:net");

const PATIENCE_MS = 10_000;
const METHODS = ["get", "head", "post", "put", "patch", "delete", "options"];

const apps = new Set();
// Express 5 keeps only what a mounted router's path compiles to.
const mounts = new WeakMap();

function watchUse(prototype) {
  const { use } = prototype;
  prototype.use = function (...given) {
    const named = typeof given[0] === "string" || given[0] instanceof RegExp || isPaths(given[0]);
    const handlers = given.slice(named ? 1 : 0).flat(Infinity);
    const paths = named ? [given[0]].flat() : ["/"];
    mounts.set(this, [...(mounts.get(this) ?? []), ...handlers.flatMap((to) => paths.map((path) => ({ path, to })))]);
    return use.apply(this, given);
  };
}

function isPaths(given) {
  return Array.isArray(given) && given.length > 0 && given.every((each) => typeof each !== "function");
}

const load = Module._load;
Module._load = function (request, parent, ...rest) {
  const loaded = load.call(this, request, parent, ...rest);
  const within = (parent?.filename ?? "").replaceAll("\\", "/");
  if (/\/express\/lib\/[a-z]+\.js$/.test(within)) {
    if (request === "./application" && !loaded.init.watched) watchInit(loaded);
    const prototype = request === "router" ? loaded.prototype : request === "./router" ? loaded : null;
    if (prototype && !mounts.has(prototype)) {
      mounts.set(prototype, []);
      watchUse(prototype);
    }
  }
  return loaded;
};

function watchInit(application) {
  const { init } = application;
  application.init = function (...given) {
    apps.add(this);
    return init.apply(this, given);
  };
  application.init.watched = true;
}

function join(prefix, path) {
  const joined = `${prefix}/${typeof path === "string" ? path : "*"}`.replace(/\/{2,}/g, "/");
  return joined.length > 1 ? joined.replace(/\/$/, "") : joined;
}

function walk(router, prefix, found) {
  for (const layer of router?.stack ?? []) {
    if (!layer.route) continue;
    const named = METHODS.filter((method) => layer.route.methods[method]);
    // `all` beside others is what refuses the rest.
    const methods = named.length > 0 || !layer.route.methods._all ? named : ["get"];
    for (const path of [layer.route.path].flat()) {
      for (const method of methods) found.push({ method: method.toUpperCase(), path: join(prefix, path) });
    }
  }
  // A prototype's entry is that of every router without its own.
  const own = Object.hasOwn(router ?? {}, "stack") ? (mounts.get(router) ?? []) : [];
  for (const { path, to } of own) if (to?.stack) walk(to, join(prefix, path), found);
}

function tell() {
  // npm, and whatever else starts the app, has none.
  if (apps.size === 0) return;
  const found = [];
  for (const app of apps) {
    // Express 4 has `_router` once there is a route, and `router` throws there.
    walk(Object.hasOwn(app, "_router") ? app._router : app.router, prefixOf(app), found);
  }
  writeFileSync(process.env.EXPRESSWAY_ROUTES, JSON.stringify(found));
  process.exit(0);
}

function prefixOf(app) {
  return app.parent ? join(prefixOf(app.parent), app.mountpath) : "/";
}

net.Server.prototype.listen = function () {
  // What is mounted right after it counts too.
  setImmediate(tell);
  return this;
};
process.on("uncaughtException", (error) => {
  tell();
  console.error(error.message);
  process.exit(1);
});
setTimeout(tell, PATIENCE_MS).unref();
process.on("beforeExit", tell);
