#!/usr/bin/env node
// Move keys to a shard that was added: move-shard.js [move|undo|finish] [--settle=SECONDS], in the folder of an app whose
// package.json says which tables have shard keys. A line of JSON for each step, the last with what was done, or `error`.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { current } from "./environment.js";
import { MoveError, moveKeys } from "./move.js";

/** Milliseconds between two lines, at most. */
const SIGN_OF_LIFE = 5_000;

const say = (what) => console.log(JSON.stringify(what));

function wanted() {
  try {
    const { positionals, values } = parseArgs({ allowPositionals: true, options: { settle: { type: "string" } } });
    const [action = "move"] = positionals;
    const settle = values.settle === undefined ? undefined : Number(values.settle) * 1_000;
    if (positionals.length > 1 || !["move", "undo", "finish"].includes(action))
      throw new Error(`not ${positionals.join(" ")}`);
    if (settle !== undefined && !(settle >= 0)) throw new Error(`--settle=${values.settle} is no number of seconds`);
    return { action, settle };
  } catch (error) {
    console.error(`move-shard.js [move|undo|finish] [--settle=SECONDS]: ${error.message}`);
    process.exit(2);
  }
}

const options = wanted();
let last = { doing: "connecting" };
// Who listens knows by it that this goes on.
setInterval(() => say(last), SIGN_OF_LIFE).unref();
const tell = (step) => {
  last = step;
  say(step);
};
const manifest = join(process.cwd(), "package.json");
try {
  const { default: pg } = await import(createRequire(manifest).resolve("pg"));
  const { expressway = {} } = JSON.parse(readFileSync(manifest, "utf8"));
  const variable = current("DATABASE_SHARD_URLS") ? "DATABASE_SHARD_URLS" : "DATABASE_URL"; // one has no list
  say(await moveKeys(pg, { ...options, tables: expressway.shards, variable, tell }));
} catch (error) {
  say({ error: error instanceof MoveError ? error.message : `${error.message || error}`, code: error.code });
  process.exitCode = 1;
}
