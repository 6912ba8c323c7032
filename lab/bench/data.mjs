// What `make bench-data` asks for data: a read and a write that cost the database some milliseconds of CPU each, of keys
// that are drawn evenly. Runs in the folder of the sample app, for its packages.
import { createServer } from "node:http";
import { createDatabase } from "@expressway/kit/database";
import { createShards } from "@expressway/kit/shards";
import pg from "pg";

const KEYS = 1000;
const WORK = 1500; // rows that each statement goes through
const { TABLE, REPLICAS, SHARDS } = process.env;

// The first so many of those that there are.
const first = (name, count) => (process.env[name] = process.env[name]?.split(",").slice(0, count).join(",") ?? "");
if (REPLICAS) first("DATABASE_REPLICA_URLS", Number(REPLICAS));
if (SHARDS) first("DATABASE_SHARD_URLS", Number(SHARDS));

const shards = SHARDS ? createShards(pg) : undefined;
const database = shards ? undefined : createDatabase(pg);
const of = (key) => (shards ? shards.for(key) : database);
const everywhere = (work) => (shards ? shards.each(work) : work(database));

const READ = `select value, (select sum(length(md5(n::text))) from generate_series(1, ${WORK}) n) from ${TABLE} where key = $1`;
const WRITE = `insert into ${TABLE} select $1, count(md5(n::text)) from generate_series(1, ${WORK}) n
  on conflict (key) do update set value = ${TABLE}.value + 1`;

await everywhere((each) => each.write(`create table if not exists ${TABLE} (key text primary key, value bigint not null)`));
for (let key = 0; key < KEYS; key++) {
  await of(`key-${key}`).write(`insert into ${TABLE} values ($1, 0) on conflict do nothing`, [`key-${key}`]);
}

createServer(async ({ url }, response) => {
  const key = `key-${Math.floor(KEYS * Math.random())}`;
  try {
    if (url === "/read") await of(key).read(READ, [key]);
    if (url === "/write") await of(key).write(WRITE, [key]);
    response.end(url);
  } catch (error) {
    console.error(error.message);
    response.writeHead(500).end(error.message);
  }
}).listen(process.env.PORT);
