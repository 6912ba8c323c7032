// Makes the table on every shard, at first on all but the last, as a stack would that had no more yet: these have keys.
import { createShards } from "@expressway/kit/shards";
import pg from "pg";

process.env.FORMER_SHARD_URLS = process.env.DATABASE_SHARD_URLS.split(",").slice(0, -1).join(",");
for (const variable of ["FORMER_SHARD_URLS", "DATABASE_SHARD_URLS"]) {
  const shards = createShards(pg, { variable });
  await shards.each(
    (database) =>
      database.write("create table if not exists items (key text primary key, id bigint not null, name text not null)"),
    { all: true },
  );
  await shards.end();
}
