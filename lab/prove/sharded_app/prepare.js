// Makes the table on every shard, and records that all but the last have keys, as a stack would that had no more yet.
import { MoveError, moveKeys } from "@expressway/kit/move";
import { createShards } from "@expressway/kit/shards";
import pg from "pg";

const shards = createShards(pg);
await shards.each(
  (database) => database.write("create table if not exists items (key text primary key, id bigint not null, name text not null)"),
  { all: true },
);
await shards.end();
process.env.FORMER_SHARD_URLS = process.env.DATABASE_SHARD_URLS.split(",").slice(0, -1).join(",");
try {
  await moveKeys(pg, { tables: { items: "key" }, variable: "FORMER_SHARD_URLS" });
} catch (error) {
  if (!(error instanceof MoveError)) throw error; // which it was: the command may run again
}
