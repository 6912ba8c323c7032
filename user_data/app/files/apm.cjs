"use strict";
// Starts the APM agent that came with the release in each process of the app (NODE_OPTIONS has --require of this, after
// measure.cjs). It watches and the app serves: where the agent is missing or doesn't start, that is said and counted, and
// the app starts all the same.

const AGENT = process.env.EXPRESSWAY_APM_AGENT ?? "/srv/releases/current/apm/start.cjs";
const OURS = /^(EXPRESSWAY_APM|OTEL_|NEW_RELIC_|DD_)/;
const COMPLAIN_MS = 60_000;

const say = (words) => console.error(`expressway: APM: ${words}`);

function start(given) {
  // What changed since PM2 started is in what PM2 gives alone.
  for (const [name, value] of Object.entries(given)) {
    if (OURS.test(name) && typeof value === "string") process.env[name] = value;
  }
  const told = JSON.parse(process.env.EXPRESSWAY_APM ?? "{}");
  const state = { missing: 1, dropped: () => 0 };
  globalThis[Symbol.for("expressway.apm")] = state; // for measure.cjs
  if (!told.ready) return say(`${told.vendor} isn't told anything: its secret can't be read`);
  let agent;
  try {
    agent = require(AGENT);
  } catch (error) {
    if (error.code !== "MODULE_NOT_FOUND" || !error.message.includes(AGENT)) throw error;
    return say(`${told.vendor} isn't told anything: this release was built without its agent. Build and deploy it anew`);
  }
  const dropped = agent(told);
  Object.assign(state, { missing: 0, dropped });
  let known = 0;
  const complain = () => {
    const now = dropped();
    if (now > known) say(`${told.vendor} wasn't told ${now - known} ${told.unit}: it doesn't take them, or not fast enough`);
    known = now;
  };
  setInterval(complain, COMPLAIN_MS).unref();
}

try {
  const { given, identify } = require("./identity.cjs");
  if (identify()) start(given());
} catch (error) {
  say(`the agent doesn't start: ${error?.message ?? error}`);
}
